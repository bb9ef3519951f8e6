"""Lines: what happened from epoch to epoch, how soon runs get to a target, and how far above the baseline they lie."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from assay.report.figures import Series
from assay.report.style import INK, OTHERS, canvas, legend, log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = (10.0, 90.0)  # percentiles


def learning(series: Sequence[Series], axis: str, unit: str = "epoch", logarithmic: bool = False) -> Figure:
    """A score by epoch (n, E), already in text units; several runs as their mean and their 10–90 % band.

    `unit`: what is counted, where it isn't epochs. `logarithmic`: the axis of the score, and its mean a geometric one.
    """
    figure, (axes,) = canvas([s.label for s in series])
    _draw(axes, series, logarithmic)
    if logarithmic:
        _log_over(axes, series)
    legend(figure, axes.lines)
    axes.set_title(axis)
    axes.set_xlabel(unit, labelpad=2)
    return figure


def norms(gradient: Sequence[Series], update: Sequence[Series]) -> Figure:
    """The mean gradient norm ‖g‖₂ and the mean update norm ‖θₜ₊₁−θₜ‖₂ of each epoch (n, E), on logarithmic axes."""
    figure, (upper, lower) = canvas([s.label for s in gradient], rows=2)
    for axes, title, series in ((upper, "gradient norm", gradient), (lower, "update norm", update)):
        _draw(axes, series, logarithmic=True)
        axes.set_title(title)
        _log_over(axes, series)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("epoch", labelpad=2)
    legend(figure, lower.lines)
    return figure


def reach(arrivals: Sequence[Series], last: int) -> Figure:
    """The share of runs at the target after each of `last` epochs, in per cent.

    Values are the epochs to the target (n,), infinite where a run never got there, which keeps the curve below 100.
    """
    figure, (axes,) = canvas([a.label for a in arrivals])
    x = np.arange(last + 1)
    for label, (colour, marker, dash), epochs, *_ in arrivals:
        share = 100 * (epochs[:, None] <= x).mean(axis=0)
        style = {"color": colour, "linestyle": dash, "marker": marker, "markevery": max(1, last // 15)}
        axes.plot(x, share, drawstyle="steps-post", label=label, **style)
    axes.set_title("runs at the target (%)")
    axes.set_ylim(-3, 103)
    _whole_numbers(axes, -0.02 * last, 1.03 * last)
    axes.set_xlabel("epoch", labelpad=2)
    legend(figure, axes.lines)
    return figure


def profiles(shares: Sequence[Series], thresholds: np.ndarray) -> Figure:
    """The shares (P,) of replicates that are at least so far above the tuned baseline's mean: thresholds (P,), margins.

    Those that have no colour of their own are thin lines, behind the others and without a name.
    """
    coloured, others = [s for s in shares if s.look != OTHERS], [s for s in shares if s.look == OTHERS]
    figure, (axes,) = canvas([s.label for s in coloured] + ["the others"] * bool(others))
    for _, (colour, _, dash), values, *_ in others:
        axes.plot(thresholds, 100 * values, color=colour, linestyle=dash, linewidth=0.7, label="the others")
    named = [
        axes.plot(thresholds, 100 * values, color=colour, linestyle=dash, label=label)[0]
        for label, (colour, _, dash), values, *_ in coloured
    ]
    legend(figure, [*named, *axes.lines[: bool(others)]])
    axes.axvline(0, color=INK, linewidth=0.7, zorder=1)
    axes.set_title("replicates above x (%), tasks averaged")
    axes.set_ylim(-3, 103)
    axes.set_xlabel("x: margins above the baseline's mean", labelpad=2)
    return figure


def band(values: np.ndarray, logarithmic: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (geometric if logarithmic) and the two ends of the band, each (E,), over the runs still alive."""
    kept = np.where(values > 0, values, np.nan) if logarithmic else values
    with warnings.catch_warnings():  # an epoch that no run lived to see is NaN, as it should be
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.exp(np.nanmean(np.log(kept), axis=0)) if logarithmic else np.nanmean(kept, axis=0)
        low, high = np.nanpercentile(kept, BAND, axis=0)
    return mean, low, high


def _draw(axes: Axes, series: Sequence[Series], logarithmic: bool = False) -> None:
    """A line each, by epoch; a single run as it is."""
    for label, (colour, marker, dash), values, *_ in series:
        epochs = np.arange(1, values.shape[1] + 1)
        middle = values[0]
        if len(values) > 1:
            middle, low, high = band(values, logarithmic)
            axes.fill_between(epochs, low, high, color=colour, alpha=0.16, linewidth=0)
        every = max(1, len(epochs) // 15)
        axes.plot(epochs, middle, color=colour, linestyle=dash, marker=marker, markevery=every, label=label)
    last = max(s.values.shape[1] for s in series)
    _whole_numbers(axes, 1 - 0.03 * last, last + 0.03 * last)


def _log_over(axes: Axes, series: Sequence[Series]) -> None:
    """A logarithmic y axis over what is drawn, where anything above 0 is."""
    low, high = axes.get_ylim()
    drawn = np.concatenate([s.values[s.values > 0] for s in series])
    if len(drawn):
        log_scale(axes, "y", max(low, drawn.min() / 1.15), max(high, drawn.max() * 1.15))


def _whole_numbers(axes: Axes, low: float, high: float) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlim(low, high)
