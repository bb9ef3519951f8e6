"""A text of the user's own: what comes next, byte by byte, or token by token of a vocabulary learned from it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError
from assay.tasks.language import drawn, gpt, starts
from assay.tasks.metrics import bits
from assay.tasks.network import at_least, cross_entropy
from assay.tasks.own.cells import decoded
from assay.tasks.own.files import File, Source, Version, noted
from assay.tasks.own.network import network

if TYPE_CHECKING:
    from torch import nn

BLOCKS = 100  # parts of the text, next to each other, that are dealt out to the splits
SHARES = (80, 10, 10)  # of the blocks, to train, validate and test on
TRAIN_SAMPLES, HELD_OUT = 3584, 512  # windows, at most
STEPS = 900  # that the epochs come to, where the text is short
BATCH = 8


class Text(Source, Protocol):
    """Where a text comes from."""

    def read(self) -> bytes:
        """All of it, in an encoding that `decoded` takes, or any other bytes."""
        ...


@lru_cache(maxsize=2)
def tokens(source: Text, vocabulary: int, version: Version) -> np.ndarray:
    """The text as numbers (n,): its bytes, or tokens of a byte-pair encoding of that many symbols (Sennrich et al. 2016).

    `version` is the source's, so that another text isn't taken for this one.
    """
    content = source.read()
    if not vocabulary:
        return np.frombuffer(content, dtype=np.uint8)
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("--vocabulary needs the package tokenizers: pip install 'assay[text]'") from None
    text = decoded(content, source)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([text], trainer)
    return np.array(tokenizer.encode(text).ids, dtype=np.int32)


@dataclass(frozen=True)
class Windows:
    """Called with a seed, it deals the blocks of the text out, and draws windows of `context` tokens from them."""

    source: Text
    vocabulary: int
    context: int
    train_samples: int

    def all(self) -> np.ndarray:
        """The text as numbers (n,)."""
        return tokens(self.source, self.vocabulary, self.source.version())

    def __call__(self, seed: int) -> Splits:
        """Inputs (n, context) int64 tokens, targets (n, context) the token after each."""
        random, found = np.random.default_rng(seed), self.all()
        ends = len(found) // BLOCKS * np.arange(BLOCKS + 1)  # of one size, so that each deal has as many windows
        order = random.permutation(BLOCKS)

        def dealt(blocks: np.ndarray, most: int) -> Split:
            begins = starts(((int(ends[b]), int(ends[b + 1])) for b in np.sort(blocks)), self.context)
            return drawn(found, begins, min(most, len(begins)), self.context, random)

        train, validation, test = np.split(order, np.cumsum(SHARES)[:-1])
        return Splits(dealt(train, self.train_samples), dealt(validation, HELD_OUT), dealt(test, HELD_OUT))


def _sees_ahead(make: Callable[[], nn.Module], context: int) -> bool:
    """Whether what a network predicts in a window depends on its last token; not where that can't be told."""
    import torch

    x = torch.zeros(2, context, dtype=torch.int64)
    x[1, -1] = 1
    with torch.no_grad(), torch.random.fork_rng([]), contextlib.suppress(Exception):  # what else is wrong is told later
        model = make()
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))  # a head of zeros would hide it
        outputs = model.eval()(x)[:, :-1]
        apart = (outputs[0] - outputs[1]).abs().max()
        return bool(apart > 1e-4 * outputs.abs().max())
    return False


def text(
    path: str | Path | Text,
    width: int = 64,
    depth: int = 2,
    context: int = 64,
    train_samples: int = TRAIN_SAMPLES,
    vocabulary: int = 0,
    model: str | None = None,
) -> Task:
    """Next-token prediction on a text file, by python-gpt's network or a `model` of your own, called with (symbols, context).

    Args:
        vocabulary: 0 for bytes, or the symbols of a byte-pair encoding that is learned from the file.
        train_samples: windows of `context` tokens to train on, at most.
    Raises:
        UsageError: a file that isn't there, or too short.

    Example:
        >>> assay.tasks.text("nowhere.txt")
        Traceback (most recent call last):
        assay.errors.UsageError: nowhere.txt can't be read: No such file or directory
    """
    source = File(Path(path)) if isinstance(path, str | Path) else path
    if vocabulary and vocabulary < 257:
        raise ValueError(
            f"vocabulary must be 257 or more (256 bytes, and what comes together), or 0 for bytes, got {vocabulary}"
        )
    windows = Windows(source, vocabulary, at_least("context", context, 2), at_least("train_samples", train_samples))
    count = len(windows.all())
    least = BLOCKS * (context + 1)
    if count < least:
        raise UsageError(
            f"{source} holds {count:,} token{'s' * (count != 1)}, and {least:,} are needed for windows of {context}: give a "
            "longer text, or a smaller --context"
        )
    symbols = vocabulary or 256
    made = network(gpt(symbols, context, width, depth), model, (context, symbols), symbols=symbols, context=context)
    if model is not None and _sees_ahead(made, context):
        raise UsageError(
            f"--model {model} sees token {context} where it predicts it: make it causal, or the task is to copy"
        )
    steps = -(-min(train_samples, SHARES[0] * (count // BLOCKS // context)) // BATCH)
    return Task(
        name=source.name,
        data=windows,
        model=made,
        loss=cross_entropy,
        metric=bits,
        epochs=max(2, min(20, STEPS // max(1, steps))),
        batch_size=BATCH,
        margin=0.03 if vocabulary else 0.02,
        margin_reason=f"{0.03 if vocabulary else 0.02} bits a token: about 1 % of what a model needs",
        generated=False,
        note=noted(source, f"{count:,} {f'tokens of {symbols:,} kinds' if vocabulary else 'bytes'}"),
    )
