"""How often one tuned, trained candidate beats its twin of the baseline (the honest protocol, point 6)."""

from __future__ import annotations

import numpy as np

from assay.judge.decide import Interval, paired_interval


def p_superior(
    candidate: np.ndarray, baseline: np.ndarray, alpha: float, candidates: int = 1, test_fraction: float | None = None
) -> Interval:
    """P(a run of the candidate beats its paired run of the baseline), from turned scores (K, r) each.

    The mean over the K replicates of (wins + ½ ties)/r, with their t interval cut to [0, 1]; `p_value` belongs to ½,
    `sd` and `se` are those of the K rates. Infinite scores are allowed (equal ones tie). ValueError on shapes that
    differ or are not (K, r), and on NaN.
    """
    ours, theirs = np.asarray(candidate, dtype=float), np.asarray(baseline, dtype=float)
    if ours.ndim != 2 or ours.shape != theirs.shape or ours.shape[1] == 0:
        raise ValueError(f"both must have the same shape (replicates, seeds), got {ours.shape} and {theirs.shape}")
    if np.isnan(ours).any() or np.isnan(theirs).any():
        raise ValueError("a score is NaN: give diverged runs the floor first")
    rates = ((ours > theirs) + 0.5 * (ours == theirs)).mean(axis=1)
    found = paired_interval(rates - 0.5, alpha, candidates, test_fraction)
    mean, low, high = (float(np.clip(0.5 + x, 0.0, 1.0)) for x in (found.mean, found.low, found.high))
    return found._replace(mean=mean, low=low, high=high)
