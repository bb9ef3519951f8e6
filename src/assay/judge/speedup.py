"""How many of its own steps would the tuned baseline need for a candidate's score? The verdict's own test, inverted.

The baseline is tuned and trained at several budgets, a ladder of lengths, each to the end of its own schedule. Between two rungs
its score follows a power law of three parameters, whose curvature three neighbouring rungs give. A budget belongs to the set
where the interval that decides finds no difference between the candidate at its own budget and the baseline at that one. So 1
lies in the set exactly where 0 lies in the verdict's interval.

Coverage is 92 to 97 %, the bias 2 % at most (benchmarks/speedup_simulation.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from assay.judge.decide import Interval

FIRST = (-1, 0, 1)  # rungs that every ladder has: powers of √2
FURTHEST = 4  # rungs to each side: a quarter, and four times
CURVATURE = (-1.0, 2.5)  # that is believed
POINTS = 16  # of each stretch between two rungs, at which the set is looked for
HALVINGS = 26
NUDGE = 1e-4  # of ln b, over which a slope is taken

Deciding = Callable[[np.ndarray], Interval]  # from differences (K,) to the interval that decides
End = Literal["shorter", "longer"]
Longer = Literal["helps", "hurts", "untold"]  # longer training, to the baseline


def factor_of(rung: int) -> float:
    """The budget of a rung, in budgets as planned: √2 to that power."""
    return 2.0 ** (rung / 2)


@dataclass(frozen=True)
class Ladder:
    """The baseline at R budgets. `factors` (R,), growing, 1 among them: budgets in multiples of the candidate's own.

    `scores` (K, R): turned means over the final seeds of each replicate. ValueError on anything else.
    """

    factors: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        factors, scores = np.asarray(self.factors, dtype=float), np.asarray(self.scores, dtype=float)
        if factors.ndim != 1 or len(factors) < 2 or not (np.diff(factors) > 0).all() or 1.0 not in factors:
            raise ValueError(f"factors must be two at least, growing, 1 among them; got {factors.tolist()}")
        if scores.ndim != 2 or scores.shape[1] != len(factors):
            raise ValueError(f"scores must be (replicates, {len(factors)}), got the shape {scores.shape}")
        if not np.isfinite(scores).all():
            raise ValueError("scores must be finite: give diverged runs the floor first")

    @cached_property
    def logs(self) -> np.ndarray:
        """ln of the factors (R,)."""
        return np.log(self.factors)

    @cached_property
    def one(self) -> int:
        """Which rung is the planned budget."""
        return int(np.argmin(np.abs(self.logs)))

    @cached_property
    def curvatures(self) -> np.ndarray:
        """How fast the slope of the mean falls along ln b, of each stretch (R − 1,): what its one or two triples of rungs say.

        A triple over which the mean doesn't grow says nothing; where none does, the stretch is straight.
        """
        steps = np.diff(self.logs)
        slopes = (np.diff(self.scores.mean(axis=0)) / steps).tolist()
        triples = [
            _curvature(*pair, 0.5 * (a + b)) for pair, (a, b) in zip(pairwise(slopes), pairwise(steps), strict=True)
        ]
        beside = ([c for c in triples[max(0, j - 1) : j + 1] if c is not None] for j in range(len(steps)))
        return np.array([float(np.mean(known)) if known else 0.0 for known in beside])

    def at(self, log: float) -> np.ndarray:
        """Each replicate's score (K,) at the budget exp(`log`), within the ladder."""
        j = min(max(int(np.searchsorted(self.logs, log, side="right")) - 1, 0), len(self.logs) - 2)
        h, t, c = self.logs[j + 1] - self.logs[j], log - self.logs[j], self.curvatures[j]
        share = t / h if abs(c) < 1e-9 else math.expm1(-c * t) / math.expm1(-c * h)
        return (1 - share) * self.scores[:, j] + share * self.scores[:, j + 1]

    def beyond(self, differences: np.ndarray, log: float) -> np.ndarray:
        """The candidate less the baseline at that budget (K,), from the `differences` (K,) at the planned one."""
        return differences + (self.scores[:, self.one] - self.at(log)) if log else differences

    def slope(self, log: float) -> float:
        """How fast the mean score grows along ln b there."""
        ends = np.clip([log - NUDGE, log + NUDGE], self.logs[0], self.logs[-1])
        low, high = (float(self.at(end).mean()) for end in ends)
        return (high - low) / float(ends[1] - ends[0])

    def longer(self, deciding: Deciding) -> Longer | None:
        """What the first longer budget is to the baseline, beside the planned one; None where there is no such rung."""
        if self.one + 1 == len(self.logs):
            return None
        found = deciding(self._gains(self.one))
        return "helps" if found.low > 0 else "hurts" if found.high < 0 else "untold"

    def still_gains(self, deciding: Deciding, end: End) -> bool:
        """Whether its last step towards that end gained a standard error: else the next would hardly say more."""
        found = deciding(self._gains(len(self.logs) - 2) if end == "longer" else -self._gains(0))
        return found.mean > found.se

    def _gains(self, rung: int) -> np.ndarray:
        """What each replicate gains (K,) by the rung after this one."""
        return self.scores[:, rung + 1] - self.scores[:, rung]


class Worth(NamedTuple):
    """Which of the baseline's budgets are worth as much as the candidate's, in multiples of its own.

    `factor`: where the mean difference is 0, the smallest such; None where it is nowhere on the ladder, or both ends are open.
    `pieces`: the set, as stretches; none where it is empty. `low`, `high`: its ends; None where it is open there, or empty, or
    no bound: at least so many steps is said only of a candidate that is ahead everywhere, at most of one that is behind.
    `tried`: the ladder's ends. `ahead`: whether the candidate's mean is above the baseline's at every budget tried (True), below
    (False), or neither.
    """

    factor: float | None
    low: float | None
    high: float | None
    pieces: list[tuple[float, float]]
    tried: tuple[float, float]
    ahead: bool | None

    @property
    def empty(self) -> bool:
        """No budget on the ladder is worth as much."""
        return not self.pieces

    def open(self, end: End) -> bool:
        """Whether the set goes on to that end of the ladder."""
        return bool(self.pieces) and (
            self.pieces[0][0] == self.tried[0] if end == "shorter" else self.pieces[-1][1] == self.tried[1]
        )

    @property
    def settled(self) -> tuple[float, float, float] | None:
        """A factor within one stretch that is closed at both ends, which a mean over tasks, or a slope, can be taken of.

        ln of it, and of these.
        """
        if self.factor is None or self.low is None or self.high is None or len(self.pieces) != 1:
            return None
        return math.log(self.factor), math.log(self.low), math.log(self.high)


def worth(differences: np.ndarray, ladder: Ladder, deciding: Deciding) -> Worth | None:
    """What a candidate with these differences (K,) from the baseline is worth; None where there is no interval.

    `deciding`: the verdict's own.
    """
    if not deciding(differences).exists:
        return None

    def mean(log: float) -> float:
        return float(ladder.beyond(differences, log).mean())

    def inside(log: float) -> bool:
        found = deciding(ladder.beyond(differences, log))
        return log in roots or found.low <= 0 <= found.high

    grid = _grid(ladder.logs.tolist())
    means = [mean(log) for log in grid]
    turns = [(a, b) for (a, here), (b, there) in pairwise(zip(grid, means, strict=True)) if here * there <= 0]
    roots = [_between(lambda log: mean(log) > 0, a, b) for a, b in turns]
    grid = sorted({*grid, *roots})  # a set may be narrower than the grid, but where the mean is 0 it isn't empty
    member = [inside(log) for log in grid]
    pieces: list[tuple[float, float]] = []
    start = grid[0] if member[0] else None
    for (a, here), (b, there) in pairwise(zip(grid, member, strict=True)):
        if here != there:
            edge = _between(inside, a, b)
            if there:
                start = edge
            elif start is not None:
                pieces.append((start, edge))
                start = None
    if start is not None:
        pieces.append((start, grid[-1]))
    untold = member[0] and member[-1]  # anything on the ladder, and beyond it: a root says nothing then
    ahead = True if min(means) > 0 else False if max(means) < 0 else None
    factor = math.exp(roots[0]) if roots and not untold else None
    tried = float(ladder.factors[0]), float(ladder.factors[-1])
    at = {grid[0]: tried[0], grid[-1]: tried[1]}  # to the bit
    stretches = [(at.get(a, math.exp(a)), at.get(b, math.exp(b))) for a, b in pieces]
    return Worth(
        factor=factor,
        low=stretches[0][0] if stretches and not member[0] and (factor or ahead) else None,
        high=stretches[-1][1] if stretches and not member[-1] and (factor or ahead is False) else None,
        pieces=stretches,
        tried=tried,
        ahead=ahead,
    )


def log_factors(differences: np.ndarray, ladder: Ladder, found: Worth) -> np.ndarray:
    """The logarithm of the speed-up as a mean of values of the replicates (K,), to first order: the delta method.

    Each is ln b̂ and what the replicate's difference there, over the slope of the mean, adds. ValueError without a factor.
    """
    if found.factor is None:
        raise ValueError("there is no speed-up to be a mean of anything")
    log = math.log(found.factor)
    slope = ladder.slope(log)
    return np.full(len(differences), log) + ladder.beyond(differences, log) / (slope if slope else math.nan)


def _curvature(before: float, after: float, apart: float) -> float | None:
    """That of three rungs, from the two slopes between them, so far apart."""
    return float(np.clip(math.log(before / after) / apart, *CURVATURE)) if before > 0 and after > 0 else None


def _grid(rungs: Sequence[float]) -> list[float]:
    """The rungs, and points between them at which the set is looked for."""
    return sorted({a + (b - a) * i / POINTS for a, b in pairwise(rungs) for i in range(POINTS)} | {*rungs})


def _between(holds: Callable[[float], bool], a: float, b: float) -> float:
    """Where, between `a` and `b`, `holds` turns; the side where it is True."""
    at_a = holds(a)
    if at_a == holds(b):
        return a
    for _ in range(HALVINGS):
        middle = 0.5 * (a + b)
        if holds(middle) == at_a:
            a = middle
        else:
            b = middle
    return a if at_a else b


def wanted(found: Sequence[Worth | None], ladder: Ladder, deciding: Deciding) -> set[End]:
    """The ends at which the ladder should go on, by what is known of each candidate: those that its set touches.

    A set that is empty asks for shorter budgets where the candidate is behind everywhere; where it is ahead, for those at which
    the baseline gains. To longer ones it goes only where the last step gained a standard error: of a flat baseline they would
    cost several runs and say nothing.
    """
    ends: set[End] = set()
    for one in filter(None, found):
        ahead = one.empty and one.ahead is True
        if (one.open("longer") or ahead) and ladder.still_gains(deciding, "longer"):
            ends.add("longer")
        if one.open("shorter") or (one.empty and one.ahead is False):
            ends.add("shorter")
        if ahead and ladder.still_gains(deciding, "shorter"):
            ends.add("shorter")
    return ends


Ends = tuple[float | None, float | None, float | None]  # factor, low, high


def in_seconds(steps: Ends, ratio: float, log_se: float, quantile: float) -> Ends:
    """A speed-up in seconds, from that in steps and the ratio of a step's times, candidate to baseline.

    Variances of logarithms add: the half width to each side is √(h² + (q·se)²), h being that of the steps, q the `quantile` of
    the interval, se that of the ratio's logarithm. Where the factor is open, an end is moved by all of q·se.
    """
    factor, low, high = steps

    def end(own: float | None, sign: int) -> float | None:
        if own is None:
            return None
        if factor is None:
            return own / ratio * math.exp(sign * quantile * log_se)
        return factor / ratio * math.exp(sign * math.hypot(math.log(factor / own), quantile * log_se))

    return None if factor is None else factor / ratio, end(low, -1), end(high, +1)
