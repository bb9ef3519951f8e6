"""Every trial's score against the hyperparameters it was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assay.judge.digits import minus
from assay.report.style import INK, Look, canvas, legend, log_scale, near_one_scale, plain, tell
from assay.report.units import number
from assay.space import Choice, Dimension, Float

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RING: dict[str, Any] = {"linestyle": "none", "markerfacecolor": "none"}  # around the chosen
RING_SIZE = 7.5  # points
MOST_POINTS = 1500  # beyond them a panel's points are one picture, to keep the page small


class Fitted(NamedTuple):
    """A curve over values of one hyperparameter (m,): its middle and its band (m,), text units."""

    values: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Trials(NamedTuple):
    """One contender's trials: values of one hyperparameter (n,), scores (n,) in text units, NaN where diverged.

    `slot`: its place among the contenders. `chosen`, `chosen_scores` (K,): what selection picked, and the score it had, or
    should have. `good`: the stretch of values that do as well as the best, where it is known. `fitted`: what was read out
    of the trials to choose by, where that is more than they.
    """

    slot: int
    label: str
    look: Look
    values: Sequence[Any]
    scores: np.ndarray
    chosen: Sequence[Any]
    chosen_scores: np.ndarray
    good: tuple[float, float] | None = None
    fitted: Fitted | None = None


class Panel(NamedTuple):
    """One hyperparameter: its name, its range over all who tune it, and their trials."""

    hyperparameter: str
    dimension: Dimension
    trials: Sequence[Trials]


def scores(panels: Sequence[Panel], axis: str) -> Figure:
    """The score against each hyperparameter; rings mark the chosen trials, crosses at the foot the diverged ones."""
    from matplotlib.lines import Line2D

    trials = sorted((t for panel in panels for t in panel.trials), key=lambda t: t.slot)
    looks = {t.label: t.look for t in trials}
    columns = 2 if len(panels) > 2 else 1
    rows = -(-len(panels) // columns)
    figure, axes = canvas([*looks, "chosen"], rows, columns)
    for ax, panel in zip(axes, panels, strict=False):
        _panel(ax, panel, narrow=columns > 1)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    axes[0].set_title(axis)
    dot = {"linestyle": "none", "markeredgewidth": 0, "markersize": 4.5}
    dots = [Line2D([], [], marker=k.marker, color=k.colour, label=label, **dot) for label, k in looks.items()]
    legend(figure, [*dots, Line2D([], [], marker="o", markersize=7, label="chosen", markeredgecolor=INK, **RING)])
    return figure


def _panel(axes: Axes, panel: Panel, narrow: bool) -> None:
    everything = np.concatenate([t.scores for t in panel.trials])
    alive = everything[np.isfinite(everything)]
    low, high = (alive.min(), alive.max()) if len(alive) else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    floor = low - 0.08 * span
    axes.set_ylim(floor - 0.05 * span, high + 0.12 * span)
    heavy = len(everything) > MOST_POINTS
    arms = len(panel.trials)
    for place, trials in enumerate(panel.trials):
        colour, marker, _ = trials.look
        x = positions(panel.dimension, trials.values, _shift(place, arms))
        dead = ~np.isfinite(trials.scores)
        points = {"linestyle": "none", "color": colour, "rasterized": heavy}
        said = [f"{trials.label}, {panel.hyperparameter} {number(v)}: " for v in trials.values]
        scored = axes.plot(x[~dead], trials.scores[~dead], marker=marker, alpha=0.6, markeredgewidth=0, **points)
        tell(scored, [said[i] + minus(f"{trials.scores[i]:.4g}") for i in np.flatnonzero(~dead)])
        lost = axes.plot(x[dead], np.full(dead.sum(), floor), marker="x", markersize=3.4, alpha=0.8, **points)
        tell(lost, [f"{said[i]}diverged" for i in np.flatnonzero(dead)])
        if trials.fitted is not None:
            at, middle, low_end, high_end = trials.fitted
            axes.fill_between(at, low_end, high_end, color=colour, alpha=0.16, linewidth=0)
            axes.plot(at, middle, color=colour, linestyle=trials.look.dash)
        if trials.good is not None:
            height = high + (0.13 + 0.06 * (arms - place)) * span
            bar = {"color": colour, "linewidth": 2.2, "solid_capstyle": "butt", "marker": "|", "markersize": 5}
            axes.plot(trials.good, [height, height], **bar)
            axes.set_ylim(top=max(axes.get_ylim()[1], height + 0.05 * span))
    _range(axes, panel.dimension, narrow)
    for place, trials in enumerate(panel.trials):
        x = positions(panel.dimension, trials.chosen, _shift(place, arms))
        _rings(axes, x, trials, below=place % 2 == 1)
    axes.set_xlabel(plain(panel.hyperparameter, 30), labelpad=2)


def _shift(place: int, arms: int) -> float:
    """How far beside an option's place a contender's trials stand."""
    return (place - (arms - 1) / 2) * min(0.2, 0.6 / arms)


def _rings(axes: Axes, x: np.ndarray, trials: Trials, below: bool) -> None:
    """What a contender's replicates chose: rings that would lie on each other are one, with their number beside it."""
    colour, marker, _ = trials.look
    points = np.column_stack([x, trials.chosen_scores])
    points = points[np.isfinite(points).all(axis=1)]
    places = axes.transData.transform(points) * 72 / axes.figure.dpi  # in points, as a ring's size is
    ring = {"marker": marker, "markersize": RING_SIZE, "markeredgewidth": 1.3, "markeredgecolor": colour, "zorder": 4}
    for group in together(places, RING_SIZE):
        middle = axes.transData.inverted().transform(places[group].mean(axis=0) * axes.figure.dpi / 72)
        axes.plot(*middle[:, None], **ring, **RING)
        if len(group) > 1:
            beside = (0, -(RING_SIZE / 2 + 2) if below else RING_SIZE / 2 + 1.5)
            style = {"ha": "center", "va": "top" if below else "bottom", "fontsize": 7, "zorder": 5}
            axes.annotate(str(len(group)), tuple(middle), beside, textcoords="offset points", **style)


def together(places: np.ndarray, apart: float) -> list[list[int]]:
    """Groups of points (n, 2), as indices, whose means lie at least so far from each other: the nearest join first."""
    groups = [[i] for i in range(len(places))]
    while len(groups) > 1:
        means = np.array([places[g].mean(axis=0) for g in groups])
        distance = np.linalg.norm(means[:, None] - means[None], axis=2) + np.diag(np.full(len(groups), np.inf))
        a, b = sorted(int(i) for i in np.unravel_index(distance.argmin(), distance.shape))
        if distance[a, b] >= apart:
            break
        groups[a] += groups.pop(b)
    return groups


def positions(dimension: Dimension, values: Sequence[Any], shift: float) -> np.ndarray:
    """Where values stand on the x axis: options at whole numbers, contenders side by side; numbers as they are."""
    if isinstance(dimension, Choice):
        places = {option: i + shift for i, option in enumerate(dimension.options)}
        return np.array([places.get(v, np.nan) for v in values], dtype=float)
    return np.array(values, dtype=float)


def _range(axes: Axes, dimension: Dimension, narrow: bool) -> None:
    if isinstance(dimension, Choice):
        axes.set_xticks(range(len(dimension.options)), [plain(str(o), 12) for o in dimension.options])
        axes.set_xlim(-0.5, len(dimension.options) - 0.5)
        axes.grid(False, axis="x")
    elif isinstance(dimension, Float) and dimension.near_one:
        near_one_scale(axes, dimension.low, dimension.high)
    elif dimension.log:
        log_scale(axes, "x", dimension.low / 1.3, dimension.high * 1.3, most=4 if narrow else 12)
    else:
        room = 0.03 * (dimension.high - dimension.low)
        axes.set_xlim(dimension.low - room, dimension.high + room)
