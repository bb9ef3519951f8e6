"""How wide the good range of a hyperparameter is: descriptive, never deciding."""

from __future__ import annotations

import numpy as np

from assay.judge.select import BANDWIDTH

POINTS = 401


def good_range(
    positions: np.ndarray, scores: np.ndarray, margin: float, bandwidth: float = BANDWIDTH
) -> tuple[float, float]:
    """The stretch around the best place where the expected score lies within one margin of its maximum.

    The expected score is the kernel mean of all trials, m(x) = Σ w s / Σ w with w = exp(−½ ((x − xⱼ)/h)²), on a grid
    over the range; h as in `select`. Places more than 3h from any trial are not judged, and end the stretch.

    Args:
        positions: unit positions (N,) of one ordered hyperparameter, all trials of all replicates.
        scores: turned, floored scores (N,).
    Returns:
        Its two ends, unit positions. ValueError without a trial.
    """
    x, s = np.asarray(positions, dtype=float), np.asarray(scores, dtype=float)
    if len(x) == 0 or x.shape != s.shape:
        raise ValueError(f"positions and scores must be (trials,) alike, got {x.shape} and {s.shape}")
    grid = np.linspace(0, 1, POINTS)
    weights = np.exp(-0.5 * ((grid[:, None] - x) / bandwidth) ** 2)
    seen = np.abs(grid[:, None] - x).min(axis=1) <= 3 * bandwidth
    with np.errstate(invalid="ignore"):
        means = np.where(seen, (weights * s).sum(axis=1) / weights.sum(axis=1), -np.inf)
    best = int(np.argmax(means))
    good = means >= means[best] - margin
    low = best - int(np.argmin(good[best::-1])) + 1 if not good[: best + 1].all() else 0
    high = best + int(np.argmin(good[best:])) - 1 if not good[best:].all() else POINTS - 1
    return float(grid[low]), float(grid[high])
