"""A row a difference, with its interval; far ones are drawn in, near ones kept apart (the axis is linear near 0 only)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from assay.report.style import FAINT, HEIGHT, INK, WIDTH, Look, canvas, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GLYPH = 0.07  # inches, of a label's digit
NEAR = 2.0  # margins: the linear part of the axis


class Row(NamedTuple):
    """One row, in margins: small dots `values`, a `mark` with its `interval`; a row with none of them is a heading."""

    label: str
    look: Look
    mark: float | None = None
    interval: tuple[float, float] | None = None
    values: tuple[float, ...] = ()


def forest(rows: Sequence[Row], axis: str) -> Figure:
    """The rows, top down, beside the line of no difference and the band of those that don't matter."""
    figure, (axes,) = canvas(height=max(HEIGHT, 0.75 + 0.24 * len(rows)))
    axes.set_title(axis)
    everything = [abs(x) for r in rows for x in (r.mark, *(r.interval or ()), *r.values) if x is not None]
    far = max(1.3 * NEAR, 1.3 * max(everything, default=1.0))
    axes.set_xscale("symlog", linthresh=NEAR, linscale=1.2)
    axes.set_xlim(-far, far)
    axes.axvspan(-1, 1, color=FAINT, alpha=0.18, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.9, zorder=1.5)
    for place, row in enumerate(rows):
        _draw(axes, -float(place), row)
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.set_yticks([-float(i) for i in range(len(rows))])
    axes.set_yticklabels([plain(r.label, 26) for r in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    longest = max((min(26, len(r.label)) for r in rows), default=1)
    figure.subplots_adjust(left=min(0.5, (0.12 + 0.068 * longest) / WIDTH))
    _ticks(figure, axes, far)
    return figure


def _ticks(figure: Figure, axes: Axes, far: float) -> None:
    """Round numbers from the middle outwards, those whose labels have room beside the one before."""

    def place(value: float) -> float:
        return float(axes.transData.transform((value, 0.0))[0]) / figure.dpi

    kept = [0.0]
    for tick in (float(digit * 10**power) for power in range(6) for digit in (1, 2, 5)):
        if tick <= far and place(tick) - place(kept[-1]) > _GLYPH * (len(f"{tick:g}") + 2):
            kept.append(tick)
    ticks = [*(-t for t in reversed(kept[1:])), *kept]
    axes.set_xticks(ticks)
    axes.set_xticks([], minor=True)
    axes.set_xticklabels([f"{t:g}".replace("-", "−") for t in ticks], fontsize=8)


def _draw(axes, y: float, row: Row) -> None:
    colour, marker, _ = row.look
    axes.plot(row.values, [y + 0.16] * len(row.values), ".", color=colour, alpha=0.7, markersize=6, markeredgewidth=0)
    if row.interval is not None:
        axes.plot(row.interval, [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
    if row.mark is not None:
        axes.plot(
            [row.mark], [y], marker=marker, color=colour, markersize=5.5, markeredgecolor=INK, markeredgewidth=0.7
        )
