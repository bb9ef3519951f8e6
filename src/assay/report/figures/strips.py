"""A row a contender, a dot a replicate, and what is said of them: their mean, its interval, a band."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.report.style import FAINT, HEIGHT, INK, LEGEND_ROW, Look, canvas, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Strip(NamedTuple):
    """One row: values of the replicates (K,), in text units; `mark` and `interval` are drawn below the dots."""

    label: str
    look: Look
    values: np.ndarray
    mark: float | None
    interval: tuple[float, float] | None = None


def strips(rows: Sequence[Strip], axis: str, zero: bool, margin: float | None = None) -> Figure:
    """The rows, top down. `zero` draws the line of no difference, `margin` the band of differences that don't matter."""
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(height=max(HEIGHT + LEGEND_ROW, 0.8 + 0.65 * len(rows)))
    axes.set_title(axis)
    for place, row in enumerate(rows):
        _strip(axes, -float(place), row)
        if zero:  # in pieces, to leave the names alone
            axes.plot([0, 0], [-place - 0.5, -place + 0.25], color=INK, linewidth=0.9, zorder=1.5)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(axis="x", length=3)
    if not zero:
        axes.set_xlim(left=0)
    if margin is not None:
        _margin(axes, margin)
    figure.subplots_adjust(left=0.03)
    return figure


def _margin(axes: Axes, margin: float) -> None:
    """The band of differences that don't matter, and its name beside it, or in it where there is no room."""
    axes.axvspan(-margin, margin, color=FAINT, alpha=0.18, linewidth=0)
    low, high = axes.get_xlim()
    room = max(high - margin, -margin - low) / (high - low)
    outside = room > 0.16
    side = 1 if high - margin > -margin - low else -1
    axes.annotate(
        "margin",
        (side * min(margin, abs((low, high)[side > 0])), 0),
        (side * (3 if outside else -3), 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if (side > 0) == outside else "right",
        va="bottom",
        fontsize=8,
    )


def _strip(axes: Axes, y: float, row: Strip) -> None:
    colour, marker, _ = row.look
    values = row.values[np.isfinite(row.values)]
    heights = y + 0.08 + spread_out(values)
    axes.plot(
        values, heights, linestyle="none", marker=marker, color=colour, alpha=0.65, markersize=5, markeredgewidth=0
    )
    below = y - 0.2
    if row.interval is not None:
        axes.plot(row.interval, [below, below], color=colour, linewidth=2.6, solid_capstyle="butt")
        for end in row.interval:
            axes.plot([end, end], [below - 0.07, below + 0.07], color=colour, linewidth=1.6)
    if row.mark is not None:
        axes.plot(
            [row.mark], [below], marker=marker, markersize=7.5, color=colour, markeredgecolor=INK, markeredgewidth=0.9
        )
    axes.annotate(
        plain(row.label), (0, y + 0.5), xycoords=("axes fraction", "data"), ha="left", va="top", fontsize=9,
    )  # fmt: skip


def spread_out(values: np.ndarray) -> np.ndarray:
    """Heights (K,) that keep dots of nearly equal values apart, the same for the same values."""
    heights = np.zeros(len(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return heights + 0.06 * (np.arange(len(values)) % 4)
    close = np.ptp(values) / 28
    order = np.argsort(values, kind="stable")
    level = 0
    for before, now in pairwise(order):
        level = (level + 1) % 4 if values[now] - values[before] < close else 0
        heights[now] = 0.06 * level
    return heights
