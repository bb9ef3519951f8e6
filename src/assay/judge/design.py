"""Where the trials of a study lie: two thirds spread evenly over the range, the rest close to the best of these.

All places are in the units of a space, and functions of a seed: no trial depends on the one before it, so that a round is
one wide population (statistics, second edition, section 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from assay.judge.process import Process
from assay.judge.special import scipy

WINDOW = 0.75  # of a cell, to each side of the maximum: where the second round looks


def first_round(trials: int) -> int:
    """How many of n trials are spread over the range: two thirds, at least one."""
    return math.ceil(2 * trials / 3)


def spread(count: int, options: Sequence[int], seed: int) -> np.ndarray:
    """Places (count, d) all over a space: of one dimension one in each of `count` equal cells, in random order, else Sobol's.

    `options` (d,): how many each hyperparameter has, 0 for a range.
    """
    units = _even(count, len(options), seed)
    for column, number in enumerate(options):
        if number:
            units[:, column] = np.minimum(np.floor(units[:, column] * number), number - 1)
    return units


def refined(process: Process, count: int, cells: int, seed: int) -> np.ndarray:
    """Places (count, d), evenly within ±0.75 cell of the process's maximum, at its options.

    A cell is one of the `cells` equal parts of the range that the first round had a trial in each of.
    """
    best, ordered = process.maximum(), ~process.unordered
    dimensions = int(ordered.sum())
    half = min(0.5, WINDOW * cells ** (-1 / max(dimensions, 1)))
    low = np.clip(best - half, 0, 1 - 2 * half)
    places = np.tile(best, (count, 1))
    inside = (np.arange(count)[:, None] + 0.5) / count if dimensions == 1 else _even(count, dimensions, seed)
    places[:, ordered] = low[ordered] + 2 * half * inside
    return places


def _even(count: int, dimensions: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dimensions <= 1:
        return ((rng.permutation(count) + rng.random(count)) / count)[:, None][:, :dimensions]
    return scipy.stats.qmc.Sobol(dimensions, scramble=True, rng=rng).random_base2(math.ceil(math.log2(max(count, 2))))[
        :count
    ]
