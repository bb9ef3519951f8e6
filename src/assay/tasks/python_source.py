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
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError
from assay.record.cache import Arrays, cached_arrays
from assay.tasks.language import drawn, gpt, starts
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
        found = corpus()
        order = random.permutation(len(found.begins) - 1)
        ends = np.cumsum([0, *(round(share * len(order)) for share in SHARES)])
        ends[-1] = len(order)

        def dealt(part: np.ndarray, count: int) -> Split:
            begins = starts(((int(found.begins[m]), int(found.begins[m + 1])) for m in part), self.context)
            if count > len(begins):
                raise UsageError(
                    f"python-gpt: --train-samples {count}: Python's library gives {len(begins)} windows of {self.context} tokens"
                )
            return drawn(found.tokens, begins, count, self.context, random)

        train, validation, test = (order[a:b] for a, b in pairwise(ends))
        return Splits(dealt(train, self.train_samples), dealt(validation, self.held_out), dealt(test, self.held_out))


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


def python_gpt(width: int = 64, depth: int = 2, context: int = 64, train_samples: int = 3584) -> Task:
    """`width`: of the embedding, a head for each 16; `depth`: blocks; `context`: tokens of a window."""
    windows = Windows(context, at_least("train_samples", train_samples), held_out=512)
    return _task("python-gpt", windows, gpt(WORDS, context, width, depth), batch_size=8)


def python_gpt_small(width: int = 32, depth: int = 2, context: int = 16, train_samples: int = 1024) -> Task:
    """`python_gpt` at a size that a suite of tasks has time for; arguments are as there."""
    return replace(python_gpt(width, depth, context, train_samples), name="python-gpt-small")


def python_softmax(train_samples: int = 32_768) -> Task:
    """Softmax regression of a token on features of the one before: convex, with the same heavy tail."""
    pairs = Pairs(at_least("train_samples", train_samples), held_out=4096)
    return _task("python-softmax", pairs, Network("linear", (FEATURES, WORDS)), batch_size=256)


def _task(name: str, data: Windows | Pairs, model: Network, batch_size: int) -> Task:
    """What both have: two epochs of next tokens, and a text that is this Python's."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Task(
        name=name,
        data=data,
        model=model,
        loss=cross_entropy,
        metric=bits,
        epochs=2,
        batch_size=batch_size,
        margin=0.03,
        margin_reason="0.03 bits a token: about 1 % of what python-gpt needs",
        generated=False,
        family="python",
        note=f"its text is the standard library of {python}; that of another version, or of another system, is another text",
    )
