"""Where the range of a learning rate lies that nobody gave: a pilot, on data of its own (statistics, second edition, 2).

Places are counted in units of the six decades that it begins with: 0 is their lower end, 1 their upper, a decade is a sixth.
Where the maximum lies in an outer sixth, it goes on two decades beyond that end, twice at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from assay.core.plan import GOES_ON
from assay.judge.process import Process
from assay.space import Float

DECADES = 6
TRIALS = 18
MANY = 3  # hyperparameters, for which that is too few (benchmarks/pilot_range.py)
SHARED = 14  # replicates up to which one pilot's luck is no more than theirs (benchmarks/pilot_level.py)
WIDER = 2 / DECADES
OUTER = 1 / DECADES
HALF_WIDTH = 0.75 / DECADES  # of the range that comes of it
ROUNDING = 1e-9

Stretch = tuple[float, float]


def trials(tuned: int) -> int:
    """Of a pilot in which so many hyperparameters are tuned."""
    return 2 * TRIALS if tuned >= MANY else TRIALS


def further(bests: Iterator[float]) -> Iterator[Stretch]:
    """The stretches that a pilot goes on to, each two decades beyond an end, as long as the best lies in the outer sixth.

    `bests`: where its process has its maximum after the first trials, and after each stretch.
    """
    low, high = 0.0, 1.0
    for _, best in zip(range(GOES_ON), bests, strict=False):
        if best >= high - OUTER - ROUNDING:
            yield high, high + WIDER
            high += WIDER
        elif best <= low + OUTER + ROUNDING:
            yield low - WIDER, low
            low -= WIDER
        else:
            return


def range_around(start: Float, best: float) -> Float:
    """The range that comes of a pilot: 0.75 decade to each side of its process's maximum.

    In three digits: people read it, and the last digits of another machine must not make another range of it.
    """
    low, high = (start.from_unit(best + side) for side in (-HALF_WIDTH, HALF_WIDTH))
    return Float(_rounded(low), _rounded(high), log=True)


def best_of(process: Process, column: int) -> float:
    """Where a process has its maximum, on the axis of the learning rate; where all score the same, in the middle."""
    return 0.5 if process.flat else float(process.maximum()[column])


def _rounded(value: float) -> float:
    return float(f"{value:.2e}") if math.isfinite(value) else value
