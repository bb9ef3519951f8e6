"""Hyperparameters chosen at an edge of their range, and the wider range (the honest protocol, point 8).

An edge says that the range may be wrong: that contender could do better outside it. So with `Protocol.edges` set to "hold
back", a candidate is not called worse over an edge of its own, nor better over one of the baseline's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from assay.core.verdict import Edge, HeldBack, Outcome
from assay.space import Choice, Dimension, Float, Int, Space

End = Literal["low", "high"]
OUTER = 0.1
ROUNDING = 1e-12  # a position computed at exactly a tenth counts as within it
# Where a hyperparameter does nothing any more: by a decay of 1e-5 a thousand steps at a rate of 0.1 take a weight's thousandth.
NONE_AT_ALL = {"weight_decay": 1e-5, "warmup": 0.0}
SHARES = ("warmup",)  # of training: where a range lies below 1, a wider one does, too


def ends_hit(positions: np.ndarray) -> dict[End, int]:
    """The ends that are hit, each with its hits, for chosen unit positions (K,) of one ordered hyperparameter.

    An end is hit if the outer tenth of the range beside it holds ⌈K/3⌉ of the K positions or more.
    """
    x = np.asarray(positions, dtype=float)
    hits: dict[End, int] = {
        "low": int(np.sum(x <= OUTER + ROUNDING)),
        "high": int(np.sum(x >= 1 - OUTER - ROUNDING)),
    }
    return {end: count for end, count in hits.items() if count >= max(1, math.ceil(len(x) / 3))}


def edges(positions: np.ndarray, space: Space, second: bool = True) -> list[Edge]:
    """The edges hit by chosen unit positions (K, d), the columns in the space's order. Unordered ones have no edge.

    By the `second` edition, nor is there one where a range ends at what does nothing: no lower weight decay is another.
    """
    x = np.asarray(positions, dtype=float)
    if x.ndim != 2 or x.shape[1] != len(space):
        raise ValueError(f"positions must have one column for each of {len(space)} hyperparameters, got {x.shape}")
    return [
        Edge(name, end, hits, len(x))
        for column, (name, dimension) in enumerate(space.items())
        if not isinstance(dimension, Choice)
        for end, hits in ends_hit(x[:, column]).items()
        if not (second and end == "low" and dimension.low <= NONE_AT_ALL.get(name, -math.inf))
    ]


def held_back(
    outcome: Outcome, candidate: tuple[Sequence[Edge], Space], baseline: tuple[Sequence[Edge], Space]
) -> HeldBack | None:
    """The outcome, where an edge could explain it: one of the contender that comes off worse, with room beyond it.

    Each contender is its edges and its space. A bound by nature, as a momentum of 0, explains nothing.
    """
    if outcome not in ("better", "worse"):
        return None
    edges_hit, space = candidate if outcome == "worse" else baseline
    return outcome if any(wider(space[edge.hyperparameter], [edge.end]) is not None for edge in edges_hit) else None


def wider(dimension: Dimension, ends: Sequence[End]) -> Dimension | None:
    """The range carried further out at these ends, or None where it can't be.

    One decade on a log scale; the range's own width on a linear one, but not below 0 where the range starts at 0 or
    above (momentum, weight decay: a bound by nature). Whole numbers stay whole, and 1 or above on a log scale.
    """
    if isinstance(dimension, Choice):
        return None
    if isinstance(dimension, Float) and dimension.near_one:
        return _nearer(dimension, ends)
    low, high = dimension.low, dimension.high
    if "low" in ends:
        low = _carried_down(dimension)
    if "high" in ends:
        high = high * 10 if dimension.log else high + (dimension.high - dimension.low)
    if (low, high) == (dimension.low, dimension.high):
        return None
    try:
        return (
            Int(int(low), int(high), dimension.log) if isinstance(dimension, Int) else Float(low, high, dimension.log)
        )
    except (ValueError, OverflowError):  # beyond what a range may be
        return None


def wider_spaces(found_at: Mapping[str, tuple[Sequence[Edge], Space]]) -> dict[str, dict[str, Dimension]]:
    """For each contender the hyperparameters whose range should be wider; contenders without one are left out.

    `found_at` maps a contender's name to its edges and its space. An edge that one contender hits is
    carried out for every contender that tunes a hyperparameter of that name, so that no one gets more room.
    """
    hit: dict[str, set[End]] = {}
    for own, _ in found_at.values():
        for edge in own:
            hit.setdefault(edge.hyperparameter, set()).add(edge.end)
    found: dict[str, dict[str, Dimension]] = {}
    for name, (_, space) in found_at.items():
        for hyperparameter in (h for h in space if h in hit):
            new = wider(space[hyperparameter], sorted(hit[hyperparameter]))
            if new is not None and not _no_share(hyperparameter, space[hyperparameter], new):
                found.setdefault(name, {})[hyperparameter] = new
    return found


def _no_share(name: str, given: Dimension, new: Dimension) -> bool:
    """Whether a range of shares of training would go on to more than all of it."""
    if name not in SHARES or isinstance(given, Choice) or isinstance(new, Choice):
        return False
    return given.high < 1 <= new.high


def _nearer(dimension: Float, ends: Sequence[End]) -> Float | None:
    """A decade of 1 − x further; not where it would leave (0, 1)."""
    low = 1 - (1 - dimension.low) * 10 if "low" in ends else dimension.low
    high = 1 - (1 - dimension.high) / 10 if "high" in ends else dimension.high
    low, high = round(low, 12) if low > 1e-6 else dimension.low, round(high, 12)
    changed = (low, high) != (dimension.low, dimension.high) and high < 1
    return Float(low, high, scale="1-log") if changed else None


def _carried_down(dimension: Float | Int) -> float:
    if dimension.log:
        tenth = dimension.low / 10
        return max(1, math.floor(tenth)) if isinstance(dimension, Int) else tenth
    lower = dimension.low - (dimension.high - dimension.low)
    return max(0, lower) if dimension.low >= 0 else lower
