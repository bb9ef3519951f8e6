"""Which trial is chosen: the same rule for every contender (the honest protocol, point 4).

The best of n noisy scores is mostly luck. The rule asks for a good *neighbourhood* instead: with the kernel
wᵢⱼ = exp(−½ Σₖ (xᵢₖ − xⱼₖ)²/h²), h = 3 % of the range in the space's own scale, and Wᵢ = Σⱼ wᵢⱼ, trial i is worth

    boundᵢ = mᵢ − σ̂/√Wᵢ,    mᵢ = Σⱼ wᵢⱼ sⱼ / Wᵢ.

Options of an unordered hyperparameter are equal or infinitely far apart.

σ̂, the noise of one trial's score where it matters, is a median of pairs: over all pairs i < j of the good region,
weighted by wᵢⱼ, the median of |sᵢ − sⱼ|, divided by √2·Φ⁻¹(¾) ≈ 0.954 (which it estimates for normal noise). Good are
the trials with mᵢ at the median of all m or above, and at (max m + min m)/2 or above: the first keeps out the slope,
the second the floor, even where most trials have diverged. Only close pairs have weight, so a steep curve adds little,
and a median forgets a stray floored trial. Without a pair of any weight (n = 1, or all far apart) σ̂ is 0; then every
Wᵢ is 1 and the rule is the best raw score.
"""

from __future__ import annotations

import math

import numpy as np

BANDWIDTH = 0.03
POINTS = 401  # of the grid on which the good range is looked for
TIE = 1e-12  # relative: sums taken in another order differ by less
PAIR_MEDIAN = math.sqrt(2) * 0.6744897501960817  # of |a − b| for two normal draws of unit spread


def smoothed(positions: np.ndarray, scores: np.ndarray, choice: np.ndarray | None = None) -> np.ndarray:
    """The lower bounds (n,) of n trials at unit positions (n, d) with turned scores (n,).

    `choice` (d,) marks unordered hyperparameters. ValueError on shapes that do not fit, and on values that are not finite
    (floor diverged trials first).
    """
    x, s = np.asarray(positions, dtype=float), np.asarray(scores, dtype=float)
    if x.ndim != 2 or s.ndim != 1 or len(x) != len(s) or len(s) == 0:
        raise ValueError(f"positions must be (trials, hyperparameters), scores (trials,), got {x.shape} and {s.shape}")
    if not (np.isfinite(x).all() and np.isfinite(s).all()):
        raise ValueError("positions and scores must be finite: floor diverged trials first")
    unordered = np.zeros(x.shape[1], dtype=bool) if choice is None else np.asarray(choice, dtype=bool)
    if unordered.shape != (x.shape[1],):
        raise ValueError(f"choice must name each of {x.shape[1]} hyperparameters, got the shape {unordered.shape}")
    with np.errstate(over="ignore"):  # a square of 1e200 is as far away as infinity
        squares = ((x[:, None, :] - x[None, :, :]) / BANDWIDTH) ** 2
    squares[:, :, unordered] = np.where(squares[:, :, unordered] > 0, math.inf, 0.0)
    weights = np.exp(-0.5 * squares.sum(axis=2))
    total = weights.sum(axis=1)
    means = (weights * s).sum(axis=1) / total
    return means - _noise(weights, means, s) / np.sqrt(total)


def select(positions: np.ndarray, scores: np.ndarray, choice: np.ndarray | None = None) -> int:
    """The index of the trial with the highest lower bound (`smoothed`); the earliest of equals."""
    bounds, s = smoothed(positions, scores, choice), np.asarray(scores, dtype=float)
    return int(np.argmax(bounds >= bounds.max() - TIE * max(np.ptp(s), np.abs(s).max())))


def incumbents(positions: np.ndarray, scores: np.ndarray, choice: np.ndarray | None = None) -> np.ndarray:
    """The indices (n,) that `select` chooses from the first 1, 2, … n trials."""
    return np.array([select(positions[:t], scores[:t], choice) for t in range(1, len(scores) + 1)])


def raw(scores: np.ndarray) -> int:
    """The index of the best raw score (n,), the earliest of equals: the usual rule, for comparison."""
    s = np.asarray(scores, dtype=float)
    if s.ndim != 1 or len(s) == 0 or np.isnan(s).any():
        raise ValueError("scores must be one or more numbers without NaN, (trials,): floor diverged trials first")
    return int(np.argmax(s))


def good_range(positions: np.ndarray, scores: np.ndarray, margin: float) -> tuple[float, float]:
    """The stretch around the best place where the expected score lies within one margin of its maximum.

    The expected score is the kernel mean of all trials, m(x) = Σ w s / Σ w with w = exp(−½ ((x − xⱼ)/h)²), on a grid
    over the range; h as in `smoothed`. Places more than 3h from any trial are not judged, and end the stretch.

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
    weights = np.exp(-0.5 * ((grid[:, None] - x) / BANDWIDTH) ** 2)
    seen = np.abs(grid[:, None] - x).min(axis=1) <= 3 * BANDWIDTH
    with np.errstate(invalid="ignore"):
        means = np.where(seen, (weights * s).sum(axis=1) / weights.sum(axis=1), -np.inf)
    best = int(np.argmax(means))
    good = means >= means[best] - margin
    low = best - int(np.argmin(good[best::-1])) + 1 if not good[: best + 1].all() else 0
    high = best + int(np.argmin(good[best:])) - 1 if not good[best:].all() else POINTS - 1
    return float(grid[low]), float(grid[high])


def _noise(weights: np.ndarray, means: np.ndarray, scores: np.ndarray) -> float:
    """σ̂, as the head of this file defines it: weights (n, n), kernel means (n,), scores (n,)."""
    threshold = max(np.median(means), (means.min() + means.max()) / 2)
    good = np.flatnonzero(means >= threshold - TIE * np.ptp(scores))
    first, second = (good[side] for side in np.triu_indices(len(good), 1))
    gaps, pair_weights = np.abs(scores[first] - scores[second]), weights[first, second]
    order = np.argsort(gaps, kind="stable")
    reached = np.cumsum(pair_weights[order])
    if len(reached) == 0 or reached[-1] == 0:
        return 0.0
    return float(gaps[order][np.searchsorted(reached, reached[-1] / 2)] / PAIR_MEDIAN)
