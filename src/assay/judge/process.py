"""The Gaussian process that the scores of a study's trials are read with (statistics, second edition, section 1).

Scores are clipped below at their median: how bad the bad ones are says nothing of where the best is, and a floor of
diverged trials would bend the curve beside it. Where that leaves nothing, for more than half of them share the best score,
they are clipped at the best of the others. With the clipped scores y (n,) at places x (n, d),

    k(a, b) = (1 + √5 r + 5/3 r²) exp(−√5 r),    r² = Σₖ (aₖ − bₖ)²/ℓₖ²,      K = k(x, x) + ν I,

the level μ = 1ᵀK⁻¹y / 1ᵀK⁻¹1 and the signal s² = (y − μ)ᵀK⁻¹(y − μ)/n are those of the greatest likelihood; lengths ℓ
and noise over signal ν are the best of a grid, by −½ (n ln s² + ln|K|) and a log-normal prior on each length. The mean
at x* is μ + k(x*, x)K⁻¹(y − μ). Options of an unordered hyperparameter are a whole range apart from each other.

Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), equations 2.25, 2.26 and 5.8.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from assay.judge.special import scipy

LENGTHS = (0.05, 0.1, 0.2, 0.4)  # of the range
USUAL_LENGTH, LENGTH_SPREAD = 0.2, 0.7  # of the prior: its median, and the standard deviation of the logarithm
NOISES = (0.01, 0.03, 0.1, 0.3, 1.0)  # variances, over the signal's
OWN_LENGTHS = 2  # ordered hyperparameters that have lengths of their own; of more, all share one
POINTS = 401  # of a line on which the maximum is looked for
PLANE = 61  # of each side of a plane
SPACE = 4096  # of a space of more dimensions
TIE = 1e-10  # relative: means computed on another machine differ by less


class Process:
    """The process that fits trials at unit positions (n, d) with turned, floored scores (n,).

    `unordered` (d,) marks the hyperparameters that are choices. ValueError on shapes that don't fit, and on values that
    aren't finite (floor diverged trials first).
    """

    def __init__(self, positions: np.ndarray, scores: np.ndarray, unordered: np.ndarray | None = None) -> None:
        x, s = np.asarray(positions, dtype=float), np.asarray(scores, dtype=float)
        if x.ndim != 2 or s.ndim != 1 or len(x) != len(s) or len(s) == 0:
            raise ValueError(
                f"positions must be (trials, hyperparameters), scores (trials,), got {x.shape} and {s.shape}"
            )
        if not (np.isfinite(x).all() and np.isfinite(s).all()):
            raise ValueError("positions and scores must be finite: floor diverged trials first")
        self.unordered = np.zeros(x.shape[1], dtype=bool) if unordered is None else np.asarray(unordered, dtype=bool)
        if self.unordered.shape != (x.shape[1],):
            raise ValueError(f"unordered must name each of {x.shape[1]} hyperparameters, got {self.unordered.shape}")
        self.positions = x
        clipped = _clipped(s)
        low, spread = float(clipped.min()), float(np.ptp(clipped))
        self._scale = low, spread
        self.flat = _equal(clipped)
        y = np.zeros(len(s)) if self.flat else (clipped - low) / spread
        self._fit(y)

    def _fit(self, y: np.ndarray) -> None:
        best = -math.inf
        apart = self._apart(self.positions)
        for lengths in self._lengths():
            correlation, prior = _matern(apart, lengths), sum(map(_prior, set_of(lengths, self.unordered)))
            values, vectors = np.linalg.eigh(correlation)
            ones, rotated = vectors.sum(axis=0), vectors.T @ y
            for noise in NOISES:
                total = np.maximum(values, 0) + noise
                level = float((ones * rotated / total).sum() / (ones**2 / total).sum())
                rest = rotated - level * ones
                signal = max(float((rest**2 / total).mean()), 1e-12)
                fit = prior - 0.5 * (len(y) * math.log(signal) + float(np.log(total).sum()))
                if fit > best + 1e-9:
                    best, self.lengths, self.noise = fit, lengths, noise
                    self._level, self._signal = level, signal
                    self._weights = vectors @ (rest / total)
                    self._inverse = (vectors / total) @ vectors.T

    def _lengths(self) -> list[np.ndarray]:
        ordered = np.flatnonzero(~self.unordered)
        free = len(ordered) if len(ordered) <= OWN_LENGTHS else 1
        found: list[np.ndarray] = []
        for some in itertools.product(LENGTHS, repeat=free):
            lengths = np.full(len(self.unordered), USUAL_LENGTH)
            lengths[ordered] = some if free == len(ordered) else some[0]
            found.append(lengths)
        return found

    def _apart(self, places: np.ndarray) -> np.ndarray:
        """Distances (m, n, d) of places (m, d) from the trials; between different options 1."""
        apart = np.abs(places[:, None, :] - self.positions[None, :, :])
        return np.where(self.unordered, (apart > 0).astype(float), apart)

    def mean(self, places: np.ndarray) -> np.ndarray:
        """The expected scores (m,) at unit positions (m, d), turned, in file units; clipped below as the trials' are."""
        return self._in_units(self._level + _matern(self._apart(places), self.lengths) @ self._weights)

    def sd(self, places: np.ndarray) -> np.ndarray:
        """How unsure the process is of the expected scores (m,), in file units."""
        reach = _matern(self._apart(places), self.lengths)
        variance = self._signal * (1 - np.einsum("mi,ij,mj->m", reach, self._inverse, reach))
        return self._scale[1] * np.sqrt(np.maximum(variance, 0))

    def _in_units(self, y: np.ndarray) -> np.ndarray:
        low, spread = self._scale
        return low + spread * y

    def highest(self, places: np.ndarray) -> int:
        """The index of the place (m, d) with the highest expected score; the earliest of equals."""
        means = self.mean(places)
        return int(np.argmax(means >= means.max() - TIE * max(float(np.ptp(means)), self._scale[1])))

    def maximum(self) -> np.ndarray:
        """The place (d,) of the highest expected score, between the lowest and the highest trial of each hyperparameter.

        Of a choice each option that was tried. Where all scores are equal, the first trial.
        """
        if self.flat:
            return self.positions[0]
        ordered = np.flatnonzero(~self.unordered)
        options = np.unique(self.positions[:, self.unordered], axis=0)
        low, high = self.positions.min(axis=0), self.positions.max(axis=0)
        found: list[np.ndarray] = []
        for option in options:
            places = np.tile(low, (len(unit := _lattice(len(ordered))), 1))
            places[:, self.unordered] = option
            places[:, ordered] = low[ordered] + unit * (high - low)[ordered]
            found.append(places)
        places = np.concatenate(found)
        return places[self.highest(places)]


def _clipped(scores: np.ndarray) -> np.ndarray:
    """Clipped below at their median; where more than half share the best, at the best of the others, which say where it ends."""
    clipped = np.maximum(scores, np.median(scores))
    if not _equal(clipped) or _equal(scores):
        return clipped
    others = scores[scores < scores.max() - TIE * np.abs(scores).max()]
    return np.maximum(scores, others.max())


def _equal(scores: np.ndarray) -> bool:
    return bool(np.ptp(scores) <= TIE * max(1e-300, float(np.abs(scores).max())))


def set_of(lengths: np.ndarray, unordered: np.ndarray) -> Sequence[float]:
    """The lengths that were chosen: each once where all share one."""
    own = lengths[~unordered]
    return own.tolist() if len(own) <= OWN_LENGTHS else own[:1].tolist()


def _prior(length: float) -> float:
    return -0.5 * (math.log(length / USUAL_LENGTH) / LENGTH_SPREAD) ** 2


def _matern(apart: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    r = math.sqrt(5) * np.sqrt(((apart / lengths) ** 2).sum(axis=-1))
    return (1 + r + r**2 / 3) * np.exp(-r)


def _lattice(dimensions: int) -> np.ndarray:
    """Places (m, d) all over the unit cube; up to two dimensions its corners are among them."""
    if dimensions == 0:
        return np.zeros((1, 0))
    if dimensions <= 2:
        side = np.linspace(0, 1, POINTS if dimensions == 1 else PLANE)
        return np.stack(np.meshgrid(*[side] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    return scipy.stats.qmc.Sobol(dimensions, scramble=False).random(SPACE)
