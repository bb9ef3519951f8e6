"""A row a contender or a difference: its dots, and what is said of them: their mean, its interval, a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from assay.judge.digits import minus
from assay.report.figures import Series
from assay.report.style import FAINT, HEIGHT, INK, LEGEND_ROW, WIDTH, Look, canvas, legend, plain, tell
from assay.report.units import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GLYPH = 0.07  # inches, of a label's digit
LOWEST = 2.3  # inches
NEAR = 2.0  # margins: the linear part of a forest's axis, where that is bent
STRAIGHT = 4.0  # margins: up to them nothing is bent


def strips(rows: Sequence[Series], axis: str, zero: bool, margin: float | None = None) -> Figure:
    """A dot a replicate (K,), the mark and its interval below. `zero` draws the line of no difference, `margin` the
    band of differences that don't matter.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(height=max(HEIGHT + LEGEND_ROW, 0.8 + 0.65 * len(rows)))
    for place, row in enumerate(rows):
        _strip(axes, -float(place), row)
        if zero:  # in pieces, to leave the names alone
            axes.plot([0, 0], [-place - 0.5, -place + 0.25], color=INK, linewidth=0.9, zorder=1.5)
    _frame(axes, axis, len(rows))
    axes.set_yticks([])
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.tick_params(axis="x", length=3)
    if not zero:
        axes.set_xlim(left=0)
    if margin is not None:
        _margin(axes, margin)
    figure.subplots_adjust(left=0.03)
    return figure


def forest(rows: Sequence[Series], axis: str, looks: Mapping[str, Look] | None = None) -> Figure:
    """Differences in margins, beside the line of none and the band of those that don't matter: a mark with its interval,
    small dots above. Where some lie far off they are drawn in and near ones kept apart: the axis is logarithmic beyond
    dotted lines, and says so. `looks` are explained above it, by name.
    """
    labels = list(looks or ())
    figure, (axes,) = canvas(labels, height=max(LOWEST, 0.75 + 0.24 * len(rows)))
    if looks:
        from matplotlib.lines import Line2D

        edge = {"linewidth": 2.4, "markersize": 5.5, "markeredgecolor": INK, "markeredgewidth": 0.7}
        legend(figure, [Line2D([], [], label=name, color=c, marker=m, **edge) for name, (c, m, _) in looks.items()])
    everything = [abs(x) for r in rows for x in (r.mark, *(r.interval or ()), *r.values) if x is not None]
    far = max(1.3 * NEAR, 1.3 * max(everything, default=1.0))
    if far > STRAIGHT:
        axes.set_xscale("symlog", linthresh=NEAR, linscale=1.2)
        axes.set_xlabel(f"logarithmic beyond ±{NEAR:g} (dotted)", labelpad=2)
        for end in (-NEAR, NEAR):
            axes.axvline(end, color=INK, linewidth=0.9, linestyle=":", zorder=1.5)
    axes.set_xlim(-far, far)
    axes.axvspan(-1, 1, color=FAINT, alpha=0.18, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    for place, (label, (colour, marker, _), values, mark, interval) in enumerate(rows):
        dots = {"alpha": 0.7, "markersize": 6, "markeredgewidth": 0}
        own = axes.plot(values, np.full(len(values), 0.16 - place), ".", color=colour, **dots)
        tell(own, [f"{label}: {number(value)} margins" for value in values])
        if interval is not None:
            axes.plot(interval, [-place, -place], color=colour, linewidth=2.4, solid_capstyle="butt")
        if mark is not None:
            edge = {"markersize": 5.5, "markeredgecolor": INK, "markeredgewidth": 0.7}
            tell(
                axes.plot([mark], [-place], marker=marker, color=colour, **edge),
                [_mean(label, mark, interval, " margins")],
            )
    _frame(axes, axis, len(rows))
    axes.set_yticks([-i for i in range(len(rows))], [plain(r.label, 26) for r in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    longest = max(min(26, len(r.label)) for r in rows)
    figure.subplots_adjust(left=min(0.5, (0.12 + 0.068 * longest) / WIDTH))
    _ticks(figure, axes, far)
    return figure


def spread_out(values: np.ndarray) -> np.ndarray:
    """Heights (K,) that keep dots of nearly equal values apart, the same for the same values."""
    heights = np.zeros(len(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return heights + 0.06 * (np.arange(len(values)) % 4)
    close = np.ptp(values) / 28
    level = 0
    for before, now in pairwise(np.argsort(values, kind="stable")):
        level = (level + 1) % 4 if values[now] - values[before] < close else 0
        heights[now] = 0.06 * level
    return heights


def _frame(axes: Axes, title: str, rows: int) -> None:
    """Room for so many rows, top down, a unit each."""
    axes.set_title(title)
    axes.set_ylim(-rows + 0.4, 0.6)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")


def _strip(axes: Axes, y: float, row: Series) -> None:
    colour, marker, _ = row.look
    there = np.flatnonzero(np.isfinite(row.values))
    values = row.values[there]
    dots = {"linestyle": "none", "alpha": 0.65, "markersize": 5, "markeredgewidth": 0}
    own = axes.plot(values, y + 0.08 + spread_out(values), marker=marker, color=colour, **dots)
    tell(own, [f"{row.label}, replicate {i}: {minus(f'{value:.4g}')}" for i, value in zip(there, values, strict=True)])
    below = y - 0.2
    if row.interval is not None:
        axes.plot(row.interval, [below, below], color=colour, linewidth=2.6, solid_capstyle="butt")
        for end in row.interval:
            axes.plot([end, end], [below - 0.07, below + 0.07], color=colour, linewidth=1.6)
    if row.mark is not None:
        edge = {"markersize": 7.5, "markeredgecolor": INK, "markeredgewidth": 0.9}
        tell(
            axes.plot([row.mark], [below], marker=marker, color=colour, **edge),
            [_mean(row.label, row.mark, row.interval)],
        )
    axes.annotate(plain(row.label), (0, y + 0.5), xycoords=("axes fraction", "data"), va="top", fontsize=9)


def _mean(label: str, mark: float, interval: tuple[float, float] | None, unit: str = "") -> str:
    known = f" ({number(interval[0])} to {number(interval[1])})" if interval else ""
    return f"{label}: {number(mark)}{unit}{known}"


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


def _ticks(figure: Figure, axes: Axes, far: float) -> None:
    """Round numbers from the middle outwards, those whose labels have room beside the one before."""

    def place(value: float) -> float:
        return float(axes.transData.transform((value, 0.0))[0]) / figure.dpi

    kept = [0.0]
    for tick in (float(digit * 10**power) for power in range(6) for digit in (1, 2, 5)):
        if tick <= far and place(tick) - place(kept[-1]) > GLYPH * (len(f"{tick:g}") + 2):
            kept.append(tick)
    ticks = [*(-t for t in reversed(kept[1:])), *kept]
    axes.set_xticks([], minor=True)
    axes.set_xticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks], fontsize=8)
