"""Language models of Python itself: the source of the standard library, which every machine has.

Adam's lead over SGD is known to come from vocabularies with a heavy tail: most words are rare, and a step of SGD hardly moves
what it has for them (Kunstner et al. 2024, "Heavy-tailed class imbalance and why Adam outperforms gradient descent on language
models"). Source has such a vocabulary: a few names and signs make up most of it, and tens of thousands come a few times.
"""

from __future__ import annotations

import hashlib
import io
import platform
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError
from assay.record.cache import Arrays, cached_arrays
from assay.tasks.metrics import bits
from assay.tasks.network import Network, at_least, cross_entropy

WORDS = 2048  # the most frequent tokens, and one number, 0, for all others
LONGEST = 20  # characters of a string that has a token of its own
NOT_IT = ("site-packages", "dist-packages", "__pycache__")
TESTS = ("test", "tests", "idle_test")
OF_OTHER_KINDS = (
    "encodings",
    "pydoc_data",
    "idlelib",
    "turtledemo",
)  # tables, texts, and what not every system installs
LEFT_OUT = frozenset((*NOT_IT, *TESTS, *OF_OTHER_KINDS))  # folders

SHARES = (0.8, 0.1, 0.1)  # of the modules, to train, validate and test on
FEATURES = 32  # that a token has in softmax regression
VERSION = 1  # of the tokens below


@dataclass(frozen=True, eq=False)
class Corpus:
    """The tokens (n,) of all modules one after the other, and where each module begins, its end the last (modules + 1,)."""

    tokens: np.ndarray
    begins: np.ndarray


def modules() -> list[Path]:
    """The source files of the standard library, by name.

    Raises:
        UsageError: this Python has none.
    """
    library = Path(sysconfig.get_path("stdlib"))
    found = sorted(p for p in library.rglob("*.py") if not LEFT_OUT & set(p.relative_to(library).parts[:-1]))
    if len(found) < 100:
        raise UsageError(
            f"python-gpt learns from the source of Python's standard library, and {library} holds {len(found)} modules of it: "
            "use a Python that comes with its source, or --task text:FILE for a text of your own"
        )
    return found


def words(source: bytes) -> Iterator[str]:
    """The tokens of a module: names, numbers, signs, strings, and where lines end and blocks begin and end.

    Comments are left out, and long strings are one token. Raises what `tokenize` does.
    """
    marks = {tokenize.INDENT: "<begin>", tokenize.DEDENT: "<end>", tokenize.NEWLINE: "<line>"}
    silent = {tokenize.ENCODING, tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER}
    for kind, text, *_ in tokenize.tokenize(io.BytesIO(source).readline):
        if kind in marks:
            yield marks[kind]
        elif kind == tokenize.STRING and len(text) > LONGEST:
            yield "<string>"
        elif kind not in silent:
            yield text


@cache
def corpus() -> Corpus:
    """The standard library as numbers: the most frequent tokens are 1 to 2,047, all others 0. UsageError as in `modules`."""
    sources = [path.read_bytes() for path in modules()]
    sha = hashlib.sha256()
    for source in sources:
        sha.update(hashlib.sha256(source).digest())
    found = cached_arrays(f"python-source-{VERSION}-{sha.hexdigest()[:32]}", partial(_numbered, sources))
    return Corpus(found["tokens"], found["begins"])


def _numbered(sources: list[bytes]) -> Arrays:
    texts: list[list[str]] = []
    for source in sources:
        try:
            texts.append(list(words(source)))
        except (tokenize.TokenError, SyntaxError, ValueError):  # a module for another version, or a template
            continue
    counts = Counter(word for text in texts for word in text)
    kept = sorted(counts, key=lambda word: (-counts[word], word))[: WORDS - 1]
    number = {word: place for place, word in enumerate(kept, start=1)}
    tokens = np.array([number.get(word, 0) for text in texts for word in text], dtype=np.int16)
    return {"tokens": tokens, "begins": np.cumsum([0, *map(len, texts)])}


@dataclass(frozen=True)
class Windows:
    """Called with a seed, it partitions the modules, and draws windows of `context` tokens from those of each part."""

    context: int
    train_samples: int
    held_out: int  # windows to validate on, and as many to test on

    def __call__(self, seed: int) -> Splits:
        """Inputs (n, context) int64 tokens, targets (n, context) the token after each. A module is in one part only."""
        random = np.random.default_rng(seed)
        everything = corpus()
        order = random.permutation(len(everything.begins) - 1)
        ends = np.cumsum([0, *(round(share * len(order)) for share in SHARES)])
        ends[-1] = len(order)
        parts = (order[a:b] for a, b in pairwise(ends))
        sizes = (self.train_samples, self.held_out, self.held_out)
        return Splits(*(self._drawn(part, count, random) for part, count in zip(parts, sizes, strict=True)))

    def _drawn(self, part: np.ndarray, count: int, random: np.random.Generator) -> Split:
        found = corpus()
        starts = np.concatenate(
            [np.arange(int(found.begins[m]), int(found.begins[m + 1]) - self.context, self.context) for m in part]
        )
        if count > len(starts):
            raise UsageError(
                f"python-gpt: --train-samples {count}: Python's library gives {len(starts)} windows of {self.context} tokens"
            )
        chosen = random.choice(starts, count, replace=False)
        cut = found.tokens[chosen[:, None] + np.arange(self.context + 1)].astype(np.int64)
        return Split(cut[:, :-1], cut[:, 1:])


@dataclass(frozen=True)
class Pairs:
    """Called with a seed, it draws tokens of the modules of each part, with the token after each."""

    train_samples: int
    held_out: int

    def __call__(self, seed: int) -> Splits:
        """Inputs (n, 32) float32, the features of a token, which are normal numbers and the same for each seed; targets (n,)."""
        features = np.random.default_rng(0).standard_normal((WORDS, FEATURES), dtype=np.float32)
        drawn = Windows(1, self.train_samples, self.held_out)(seed)

        def shown(part: Split) -> Split:
            return Split(features[part.inputs[:, 0]], part.targets[:, 0])

        return Splits(shown(drawn.train), drawn.validation and shown(drawn.validation), shown(drawn.test))


def _note() -> str:
    return (
        f"its text is the standard library of {platform.python_implementation()} {platform.python_version()}; that of another "
        "version, or of another system, is another text"
    )


def python_gpt(width: int = 64, depth: int = 2, context: int = 64, train_samples: int = 3584) -> Task:
    """`width`: of the embedding, a head for each 16; `depth`: blocks; `context`: tokens of a window."""
    heads = max(1, at_least("width", width) // 16)
    if width % heads:
        raise ValueError(f"width must be a multiple of its heads, of which there are {heads}, got {width}")
    sizes = (WORDS, at_least("context", context, 2), width, at_least("depth", depth), heads)
    return Task(
        name="python-gpt",
        data=Windows(context, at_least("train_samples", train_samples), held_out=512),
        model=Network("GPT", sizes),
        loss=cross_entropy,
        metric=bits,
        epochs=2,
        batch_size=8,
        margin=0.03,
        margin_reason="0.03 bits a token: about 1 % of what the model needs",
        generated=False,
        family="python",
        note=_note(),
    )


def python_softmax(train_samples: int = 32_768) -> Task:
    """Softmax regression of a token on features of the one before: convex, with the same heavy tail."""
    return Task(
        name="python-softmax",
        data=Pairs(at_least("train_samples", train_samples), held_out=4096),
        model=Network("linear", (FEATURES, WORDS)),
        loss=cross_entropy,
        metric=bits,
        epochs=2,
        batch_size=256,
        margin=0.03,
        margin_reason="0.03 bits a token: as python-gpt",
        generated=False,
        family="python",
        note=_note(),
    )
