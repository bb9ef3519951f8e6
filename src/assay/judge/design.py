"""Where the trials of a study lie: two thirds spread evenly over the range, the rest close to the best of these.

All places are units of the space, and functions of a seed: no trial depends on the one before it, so that a round is one
wide population (statistics, second edition, section 1).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import qmc

from assay.judge.process import Process

WINDOW = 0.75  # of a cell, to each side of the maximum: where the second round looks


def first_round(trials: int) -> int:
    """How many of n trials are spread over the range: two thirds, at least one."""
    return math.ceil(2 * trials / 3)


def spread(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Unit positions (count, d): of one dimension one in each of `count` equal cells, in random order; else scrambled Sobol."""
    rng = np.random.default_rng(seed)
    if dimensions == 1:
        return ((rng.permutation(count) + rng.random(count)) / count)[:, None]
    return _sobol(count, dimensions, seed)


def refined(process: Process, count: int, cells: int, seed: int) -> np.ndarray:
    """Unit positions (count, d), evenly within ±0.75 cell of the process's maximum, at its options.

    A cell is one of the `cells` equal parts of the range that the first round had a trial in each of.
    """
    best, ordered = process.maximum(), ~process.unordered
    dimensions = int(ordered.sum())
    half = WINDOW * cells ** (-1 / max(dimensions, 1))
    low = np.clip(best - half, 0, max(0.0, 1 - 2 * half))
    places = np.tile(best, (count, 1))
    if dimensions == 1:
        inside = (np.arange(count)[:, None] + 0.5) / count
    else:
        inside = _sobol(count, dimensions, seed)
    places[:, ordered] = np.minimum(low[ordered] + 2 * half * inside, 1.0)
    return places


def _sobol(count: int, dimensions: int, seed: int) -> np.ndarray:
    if dimensions == 0:
        return np.zeros((count, 0))
    power = math.ceil(math.log2(max(count, 1)))
    return qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)[:count]
