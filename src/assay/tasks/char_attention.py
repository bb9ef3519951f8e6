"""A small transformer that spells: the names of the characters of Unicode, letter by letter.

Python carries the Unicode 3.2 database for ever (domain names need it), and Unicode never changes a name: 13,789 of them,
385 kB of text in 38 symbols that is the same wherever Python runs. Its words come in families (ARABIC LETTER …,
MATHEMATICAL BOLD …), so that looking back pays. Attention is where adaptive methods are known to leave SGD behind
(Zhang et al. 2020, "Why are adaptive methods good for attention models?").
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError
from assay.tasks.metrics import bits
from assay.tasks.network import Network, at_least, cross_entropy

SHA256 = "75e63653d6421a7251216714395dde5b33f996a6bd6e2f5fb4fec17c0cac0fa4"
SYMBOLS = "\n -0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONTEXT = 32
SIZES = (2048, 512, 512)  # windows of CONTEXT symbols


@cache
def names() -> tuple[str, ...]:
    """The names of all characters of Unicode 3.2 that have one of their own, by code point.

    UsageError where this Python's database isn't the one that the record speaks of.
    """
    from unicodedata import ucd_3_2_0

    numbered = ("CJK UNIFIED IDEOGRAPH-", "HANGUL SYLLABLE ")
    found = (ucd_3_2_0.name(chr(point), "") for point in range(0x110000))
    kept = tuple(name for name in found if name and not name.startswith(numbered))
    if hashlib.sha256("\n".join(kept).encode()).hexdigest() != SHA256:
        raise UsageError(
            "this Python's Unicode 3.2 names aren't those of other Pythons, so char-attention can't be run on it"
        )
    return kept


def windows(seed: int) -> Splits:
    """Names in the seed's order, cut into windows: inputs (n, 32) int64 symbols, targets (n, 32) the symbol after each.

    A name is in one split only.
    """
    order = np.random.default_rng(seed).permutation(len(names()))
    number = {symbol: i for i, symbol in enumerate(SYMBOLS)}
    ends = np.cumsum([0, *(len(order) * size // sum(SIZES) for size in SIZES)])

    def part(start: int, end: int, count: int) -> Split:
        text = "\n".join(names()[i] for i in order[start:end])
        numbers = np.array([number[symbol] for symbol in text[: count * CONTEXT + 1]], dtype=np.int64)
        return Split(numbers[:-1].reshape(count, CONTEXT), numbers[1:].reshape(count, CONTEXT))

    return Splits(*(part(a, b, count) for a, b, count in zip(ends, ends[1:], SIZES, strict=False)))


def char_attention(width: int = 32) -> Task:
    """`width`: of the embedding, a multiple of 2 (two heads)."""
    if at_least("width", width, 2) % 2:
        raise ValueError(f"width must be even (there are two heads), got {width}")
    return Task(
        name="char-attention",
        data=windows,
        model=Network("CharacterModel", (len(SYMBOLS), CONTEXT, width, 2)),
        loss=cross_entropy,
        metric=bits,
        epochs=8,
        batch_size=32,
        margin=0.03,
        margin_reason="0.03 bits a symbol: about 1 % of what the model needs",
        generated=False,
    )
