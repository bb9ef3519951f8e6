"""What tasks of next tokens share: windows cut from a text, and the network that reads them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from assay.core import Split
from assay.tasks.network import Network, at_least


def starts(stretches: Iterable[tuple[int, int]], context: int) -> np.ndarray:
    """Where windows of `context` tokens, with the token after each, begin in stretches (first, end) of a text, side by side."""
    return np.concatenate([np.arange(first, end - context, context) for first, end in stretches])


def drawn(tokens: np.ndarray, begins: np.ndarray, count: int, context: int, random: np.random.Generator) -> Split:
    """So many of the windows that begin there: inputs (count, context) int64, targets (count, context) the token after each."""
    chosen = random.choice(begins, count, replace=False)
    cut = tokens[chosen[:, None] + np.arange(context + 1)].astype(np.int64)
    return Split(cut[:, :-1], cut[:, 1:])


def gpt(symbols: int, context: int, width: int, depth: int) -> Network:
    """The network of `python-gpt`, with a head for each 16 of its width. ValueError for sizes that can't be."""
    heads = max(1, at_least("width", width) // 16)
    if width % heads:
        raise ValueError(f"width must be a multiple of its heads, of which there are {heads}, got {width}")
    return Network("GPT", (symbols, at_least("context", context, 2), width, at_least("depth", depth), heads))
