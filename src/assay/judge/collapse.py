"""Final runs that collapse: far below their contender's others, though they did not diverge (statistics, second edition, 5)."""

from __future__ import annotations

import numpy as np

from assay.core.verdict import Collapsed
from assay.judge.special import scipy

FAR = 10  # margins below the contender's median


def collapsed(scores: np.ndarray, margin: float) -> np.ndarray:
    """Which final runs (K, r) collapsed, from turned, floored scores of that shape."""
    return scores < np.median(scores) - FAR * margin


def counted(which: np.ndarray, alpha: float) -> Collapsed:
    """The replicates with a collapse, of K, with Clopper and Pearson's exact interval of their share at level 1 − α."""
    hit, of = int(which.any(axis=1).sum()), len(which)
    low = float(scipy.special.betaincinv(hit, of - hit + 1, alpha / 2)) if hit else 0.0
    high = float(scipy.special.betaincinv(hit + 1, of - hit, 1 - alpha / 2)) if hit < of else 1.0
    return Collapsed(hit, of, low, high)
