"""Does an advantage last as models grow? Its slope over the logarithm of a size, with an interval.

Replicates share their data and seeds over the sizes, so each has a slope of its own, by least squares, and the paired t interval
of these is that of the slope: whatever a replicate's luck has in common at all sizes is no part of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from assay.judge.decide import Interval, paired_interval

FEWEST = 3  # sizes, without which a slope is no more than a difference


def slope(sizes: Sequence[float], values: Sequence[np.ndarray], alpha: float, candidates: int = 1) -> Interval:
    """The slope of values (K,) at each of S sizes over ln size, at 1 − α/c. Of replicates as many as all sizes have.

    ValueError for fewer than two sizes, or one that isn't above 0.
    """
    if len(sizes) < 2 or len(set(sizes)) < len(sizes) or min(sizes) <= 0:
        raise ValueError(f"sizes must be two different ones at least, above 0, got {list(sizes)}")
    common = min(len(v) for v in values)
    x = _centred(sizes)
    y = np.stack([v[:common] for v in values])  # (S, K)
    return paired_interval((x @ y) / float(x @ x), alpha, candidates)


def expected_half_width(sizes: Sequence[float], half_width: float) -> float:
    """About that of a slope, where each size's own is `half_width` and sizes have no luck in common.

    Example:
        >>> round(expected_half_width([32, 64, 128, 256], 1.0), 2)
        0.65
    """
    return half_width / math.sqrt(float(np.sum(_centred(sizes) ** 2)))


def _centred(sizes: Sequence[float]) -> np.ndarray:
    x = np.log(np.array(sizes, dtype=float))
    return x - x.mean()


def sentence(axis: str, ends: Sequence[tuple[float, str]], found: Interval, what: str) -> str:
    """What is said of a slope, that of `what`. `ends`: the smallest and the largest size, with the value there in words."""
    (small, first), (large, last) = ends
    at = f"{first} at {small:g}, {last} at {large:g}"
    told = f"slope {_signed(found.mean)}"
    if found.exists:
        told += f" ({100 * found.level:.4g} % interval {_signed(found.low)} to {_signed(found.high)})"
    if not found.exists or found.low <= 0 <= found.high:
        way = f"Whether what it is worth beside the baseline rises or falls with {axis} can't be told"
    else:
        way = f"What it is worth beside the baseline {'rises' if found.low > 0 else 'falls'} with {axis}"
    return f"{way}: {at}, {told} of {what} over ln({axis})."


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"
