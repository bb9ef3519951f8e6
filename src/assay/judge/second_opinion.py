"""Other ways to judge the same differences: printed beside the deciding interval, never deciding."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from assay.judge.decide import critical, level_of
from assay.judge.special import scipy

EXACT_UP_TO = 16  # replicates: 2¹⁶ sign patterns are cheap
SIGN_DRAWS = 99_999
BOOTSTRAP_DRAWS = 9_999


def sign_flip_p(differences: np.ndarray, seed: int) -> float:
    """The two-sided sign-flip permutation p value of a zero mean, for differences (K,).

    The share of sign patterns whose |Σ ±dᵢ| is at least the observed one: over all 2ᴷ up to K = 16, else over 99,999
    drawn with `seed` and the observed one. NaN if there are none or any is not finite.
    """
    values: NDArray[np.float64] = np.asarray(differences, dtype=float)
    if len(values) == 0 or not np.isfinite(values).all():
        return math.nan
    # Sums of the same numbers in another order differ in their last bits, and a tie has to count as one.
    threshold = abs(values.sum()) - 1e-12 * np.abs(values).sum()
    if len(values) <= EXACT_UP_TO:
        sums: NDArray[np.float64] = values[:1]  # the first sign may stay: a pattern's opposite has the same |Σ|
        for value in values[1:]:
            sums = np.concatenate([sums + value, sums - value])
        return float((np.abs(sums) >= threshold).mean())
    rng = np.random.default_rng(seed)
    signs = (rng.integers(0, 2, size=(min(SIGN_DRAWS - start, 10_000), len(values)), dtype=np.int8)
             for start in range(0, SIGN_DRAWS, 10_000))  # in parts, to keep memory flat  # fmt: skip
    extreme = sum(int(np.sum(np.abs((2.0 * part - 1) @ values) >= threshold)) for part in signs)
    return (extreme + 1) / (SIGN_DRAWS + 1)


def bca_interval(differences: np.ndarray, alpha: float, seed: int, candidates: int = 1) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap interval of the mean of differences (K,), at level 1 − α/c.

    9,999 resamples drawn with `seed`; bias z₀ from the share of resampled means below the mean (ties half),
    acceleration from the jackknife (Efron 1987). It covers too seldom for small K. NaNs where `paired_interval` gives
    no interval.
    """
    values = np.asarray(differences, dtype=float)
    tail = (1 - level_of(alpha, candidates)) / 2
    count = len(values)
    if count < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    if (values == values[0]).all():
        return float(values[0]), float(values[0])
    mean = values.mean()
    drawn = np.random.default_rng(seed).integers(0, count, size=(BOOTSTRAP_DRAWS, count))
    means = values[drawn].mean(axis=1)
    normal = scipy.special
    bias = normal.ndtri(((means < mean).sum() + (means <= mean).sum()) / (2 * BOOTSTRAP_DRAWS))
    influence = (values - mean) / (count - 1)  # what leaving one out takes from the mean
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
    z = bias + normal.ndtri(np.array([tail, 1 - tail]))
    low, high = np.quantile(means, normal.ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def hall_interval(differences: np.ndarray, alpha: float, candidates: int = 1) -> tuple[float, float]:
    """The interval of the mean of differences (K,), at level 1 − α/c, corrected for their skewness (Hall 1992).

    "On the removal of skewness by transformation" (JRSS B 54): with a = γ/√K, γ the sample's skewness, ends are
    mean − s/√K · 3/a · ((1 + a(t − a/6))^⅓ − 1) at t = ±t₁₋α/₂c. By the t quantile, which normal differences need
    (benchmarks/judge_simulation.py). NaNs where `paired_interval` gives no interval.
    """
    values = np.asarray(differences, dtype=float)
    count = len(values)
    if count < 2 or not np.isfinite(values).all():
        return math.nan, math.nan
    mean, spread = float(values.mean()), float(values.std())
    if (values == values[0]).all() or not spread:
        return mean, mean
    skewness = float((((values - mean) / spread) ** 3).mean())
    t, a = float(critical(count, alpha, candidates)), skewness / math.sqrt(count)
    scaled = float(values.std(ddof=1)) / math.sqrt(count)

    def turned(quantile: float) -> float:
        return quantile if abs(a) < 1e-9 else 3 / a * (float(np.cbrt(1 + a * (quantile - a / 6))) - 1)

    return mean - turned(t) * scaled, mean - turned(-t) * scaled


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p values (c,) for the p values (c,) of c candidates (Holm 1979). A NaN counts as 1, stays NaN."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(np.where(np.isnan(p), 1.0, p), kind="stable")
    stepped = np.where(np.isnan(p), 1.0, p)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return np.where(np.isnan(p), math.nan, adjusted)
