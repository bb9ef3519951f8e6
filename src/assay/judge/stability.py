"""How far a tuned contender's final runs spread: descriptive, never deciding."""

from __future__ import annotations

import math

import numpy as np

from assay.core import finite
from assay.core.verdict import Stability
from assay.judge.decide import paired_interval


def spread(scores: np.ndarray) -> np.ndarray:
    """Standard deviations (K,) over the final seeds of scores (K, r), r − 1 in the denominator; NaN for r = 1."""
    values = np.asarray(scores, dtype=float)
    if values.shape[1] < 2:
        return np.full(len(values), math.nan)
    return np.where(np.ptp(values, axis=1) == 0, 0.0, values.std(axis=1, ddof=1))  # equal scores: 0, not 1e-17


def compare(
    candidate: np.ndarray, baseline: np.ndarray, alpha: float, candidates: int = 1, test_fraction: float | None = None
) -> Stability:
    """The stability of two contenders from floored scores (K, r) each.

    The ratio is the geometric mean over the replicates of sd_candidate/sd_baseline: a paired t interval of the log
    ratios, taken back through exp. No ratio where a spread is 0 or r = 1; no interval for K = 1.
    """
    ours, theirs = spread(candidate), spread(baseline)
    kept = [finite(sd) for sd in ours], [finite(sd) for sd in theirs]
    if np.isnan(ours).any() or np.isnan(theirs).any():
        return Stability(*kept, None, None, None, None, None, "one final seed has no spread")
    pooled = float(np.sqrt(np.mean(ours**2))), float(np.sqrt(np.mean(theirs**2)))
    for name, sd in (("candidate", ours), ("baseline", theirs)):
        if (sd == 0).any():
            reason = f"all final runs of the {name} scored the same in {int((sd == 0).sum())} of {len(sd)} replicates"
            return Stability(*kept, *pooled, None, None, None, reason)
    found = paired_interval(np.log(ours) - np.log(theirs), alpha, candidates, test_fraction)
    ratio = math.exp(found.mean)
    if not found.exists:
        return Stability(*kept, *pooled, ratio, None, None, "one replicate gives no interval")
    with np.errstate(over="ignore"):
        low, high = (float(np.exp(end)) for end in (found.low, found.high))
    return Stability(*kept, *pooled, ratio, low, high, None)
