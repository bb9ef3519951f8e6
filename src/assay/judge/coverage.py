"""Intervals of many cells, of which one reads those that say something (statistics, second edition, section 4).

Benjamini & Yekutieli 2005, "False discovery rate-adjusted multiple confidence intervals for selected parameters" (JASA 100):
where R of m are picked for what they say, their intervals at level 1 − R·q/m leave out the truth in q of them at most, in
the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def covered_level(cells: Sequence[Callable[[float], bool]], rate: float) -> float:
    """The level of each of m cells' intervals, 1 − R·q/m, at a false coverage rate of q.

    A cell tells, for an α, whether its interval at 1 − α says something; what it says at one it must say at any larger. R is
    the largest number of cells that do at R·q/m, and 1 where none does. ValueError without cells.
    """
    if not cells:
        raise ValueError("there are no cells to cover")
    m = len(cells)
    picked = next((r for r in range(m, 0, -1) if sum(says(r * rate / m) for says in cells) >= r), 1)
    return 1 - picked * rate / m
