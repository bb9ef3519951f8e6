"""The ladder: the baseline's score against how long it was trained, and how much of that each candidate is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.report.style import INK, Look, canvas, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

SPREAD = 0.012  # of a rung's dots, in logarithms
FAR = (
    0.35  # of the height of the baseline's dots: how far beyond them a candidate's level may lie, and be drawn to scale
)
ROOM = 0.1  # of the axis' height, for each candidate's interval


class Level(NamedTuple):
    """A candidate: its mean score with the interval of that, and its worth, as stretches and as a factor."""

    label: str
    look: Look
    score: float
    band: tuple[float, float]
    pieces: Sequence[tuple[float, float]]
    open: tuple[bool, bool]  # whether it goes on beyond the first, and the last
    factor: float | None


class Rungs(NamedTuple):
    """The baseline: scores (K, R) at the factors (R,), and the mean curve with its band at others (P,), in text units."""

    label: str
    look: Look
    factors: np.ndarray
    scores: np.ndarray
    at: np.ndarray
    mean: np.ndarray
    band: tuple[np.ndarray, np.ndarray]


def ladder(base: Rungs, candidates: Sequence[Level], axis: str, worse_is_higher: bool) -> Figure:
    """Score against budget, whose axis is logarithmic: a dot a replicate, the mean curve, each candidate's level and worth."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    figure, (axes,) = canvas([base.label, *(c.label for c in candidates)])
    colour, _, dash = base.look
    for place, factor in enumerate(base.factors):
        own = base.scores[:, place]
        x = factor * np.exp(SPREAD * ((np.arange(len(own)) % 5) - 2))
        axes.plot(x, own, ".", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
    axes.fill_between(base.at, *base.band, color=colour, alpha=0.16, linewidth=0)
    lines = axes.plot(base.at, base.mean, color=colour, linestyle=dash, label=base.label)
    low, high = _reach(axes.get_ylim(), [c.score for c in candidates])
    step = ROOM * (high - low)
    for place, c in enumerate(candidates):
        lines += [axes.axhline(c.score, color=c.look.colour, linestyle=c.look.dash, label=c.label)]
        if low <= c.score <= high:
            axes.axhspan(*c.band, color=c.look.colour, alpha=0.14, linewidth=0)
        else:
            above = c.score > high
            _beyond(axes, c, high if above else low, above)
        y = high + step * (place + 0.7) if worse_is_higher else low - step * (place + 0.7)
        for piece in c.pieces:
            axes.plot(piece, [y, y], color=c.look.colour, linewidth=3, solid_capstyle="butt")
        for end, arrow, goes_on in zip(
            (c.pieces or [(1, 1)])[0][:1] + (c.pieces or [(1, 1)])[-1][1:], "<>", c.open, strict=True
        ):
            if goes_on:
                axes.plot([end], [y], marker=arrow, markersize=9, color=c.look.colour, clip_on=False)
        if c.factor is not None:
            edge = {"markersize": 6, "markeredgecolor": INK, "markeredgewidth": 0.7}
            axes.plot([c.factor], [y], marker=c.look.marker, color=c.look.colour, **edge)
            axes.plot([c.factor, c.factor], [y, c.score], color=c.look.colour, linewidth=0.8, linestyle=":")
    more = step * (len(candidates) + 0.4)
    axes.set_ylim((low, high + more) if worse_is_higher else (low - more, high))
    axes.axvline(1, color=INK, linewidth=0.7, zorder=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(base.factors.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.3g}×"))
    axes.set_title(axis)
    axes.set_xlabel(f"{base.label}'s training, in steps as planned", labelpad=2)
    legend(figure, lines)
    return figure


def _reach(dots: tuple[float, float], levels: Sequence[float]) -> tuple[float, float]:
    """The axis' ends: those of the baseline's dots, further where a level lies near them."""
    room = FAR * (dots[1] - dots[0])
    near = [level for level in levels if dots[0] - room <= level <= dots[1] + room]
    edge = 0.04 * (dots[1] - dots[0])
    return min([dots[0], *(level - edge for level in near)]), max([dots[1], *(level + edge for level in near)])


def _beyond(axes: Axes, candidate: Level, end: float, above: bool) -> None:
    """A level too far away to be drawn to scale: an arrow at that end of the axis, with its score."""
    axes.annotate(
        f"{candidate.label}: {candidate.score:.4g}, off the axis",
        (1.0, end),
        xycoords=("axes fraction", "data"),
        xytext=(-6, -12 if above else 6),
        textcoords="offset points",
        ha="right",
        color=candidate.look.colour,
        fontsize="small",
    )
    axes.plot(
        [0.985], [end], marker="^" if above else "v", color=candidate.look.colour, transform=axes.get_yaxis_transform(),
        clip_on=False,
    )  # fmt: skip


class Growing(NamedTuple):
    """A candidate's advantage (S,) at sizes (S,), its ends there, and the line that its slope is of."""

    label: str
    look: Look
    sizes: np.ndarray
    values: np.ndarray
    ends: Sequence[tuple[float | None, float | None]]
    line: np.ndarray


def scale(candidates: Sequence[Growing], axis: str, size: str, factors: bool) -> Figure:
    """An advantage against a size, both logarithmic where it is a factor, with its interval at each size."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    figure, (axes,) = canvas([c.label for c in candidates])
    lines: list[Line2D] = []
    drawn = [
        v
        for c in candidates
        for v in (*c.values, *c.line, *(end for pair in c.ends for end in pair if end is not None))
    ]
    room = 1.25 if factors else 0.1 * (max(drawn) - min(drawn) or 1.0)
    least, most = (min(drawn) / room, max(drawn) * room) if factors else (min(drawn) - room, max(drawn) + room)
    axes.set_yscale("log" if factors else "linear")
    axes.set_ylim(least, most)  # an open end goes on to the edge
    if factors:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}×"))
    for place, (label, (colour, marker, dash), sizes, values, ends, line) in enumerate(candidates):
        beside = sizes * np.exp(0.03 * (place - (len(candidates) - 1) / 2))  # so that intervals don't hide each other
        for x, (low, high) in zip(beside, ends, strict=True):
            axes.plot(
                [x, x], [least if low is None else low, most if high is None else high], color=colour, linewidth=2
            )
        edge = {"markersize": 5.5, "markeredgecolor": INK, "markeredgewidth": 0.7, "linestyle": "none"}
        axes.plot(beside, values, marker=marker, color=colour, **edge)
        lines += axes.plot(sizes, line, color=colour, linestyle=dash, linewidth=1.2, label=label)
    axes.axhline(1.0 if factors else 0.0, color=INK, linewidth=0.9, zorder=1.5)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted({float(s) for c in candidates for s in c.sizes})))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.set_title(axis)
    axes.set_xlabel(size, labelpad=2)
    legend(figure, lines)
    return figure
