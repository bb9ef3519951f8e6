"""What happened from epoch to epoch: one line a run, or the mean of many with a band."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assay.report.style import Look, canvas, legend, legend_rows, log_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = (10.0, 90.0)  # percentiles


class Series(NamedTuple):
    """One contender's curves: values (n, E), NaN after a divergence."""

    label: str
    look: Look
    values: np.ndarray


def learning(series: Sequence[Series], axis: str, unit: str = "epoch") -> Figure:
    """A score by epoch, already in text units; several runs as their mean and their 10–90 % band.

    `unit`: what is counted, where it isn't epochs.
    """
    labels = [s.label for s in series]
    figure, (axes,) = canvas(legend=legend_rows(labels))
    legend(figure, [_draw(axes, s) for s in series], labels)
    axes.set_title(axis)
    _epochs(axes, series, unit)
    return figure


def norms(gradient: Sequence[Series], update: Sequence[Series]) -> Figure:
    """The mean gradient norm ‖g‖₂ and the mean update norm ‖θₜ₊₁−θₜ‖₂ of each epoch, on logarithmic axes."""
    labels = [s.label for s in gradient]
    figure, panels = canvas(rows=2, legend=legend_rows(labels))
    handles: list[Any] = []
    for axes, title, series in zip(panels, ("gradient norm", "update norm"), (gradient, update), strict=True):
        handles = [_draw(axes, s, logarithmic=True) for s in series]
        axes.set_title(title)
        low, high = axes.get_ylim()
        drawn = np.concatenate([s.values[s.values > 0] for s in series])
        if len(drawn):
            log_scale(axes, "y", max(low, drawn.min() / 1.15), max(high, drawn.max() * 1.15))
        _epochs(axes, series)
    panels[0].set_xlabel("")
    panels[0].tick_params(labelbottom=False)
    legend(figure, handles, labels)
    return figure


def band(values: np.ndarray, logarithmic: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (geometric if logarithmic) and the two ends of the band, each (E,), over the runs still alive."""
    kept = np.where(values > 0, values, np.nan) if logarithmic else values
    with warnings.catch_warnings():  # an epoch that no run lived to see is NaN, as it should be
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = np.exp(np.nanmean(np.log(kept), axis=0)) if logarithmic else np.nanmean(kept, axis=0)
        low, high = np.nanpercentile(kept, BAND, axis=0)
    return mean, low, high


def _draw(axes: Axes, series: Series, logarithmic: bool = False) -> Any:
    colour, marker, dash = series.look
    epochs = np.arange(1, series.values.shape[1] + 1)
    if len(series.values) == 1:
        middle = series.values[0]
    else:
        middle, low, high = band(series.values, logarithmic)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.16, linewidth=0)
    every = max(1, len(epochs) // 15)
    return axes.plot(epochs, middle, color=colour, linestyle=dash, marker=marker, markevery=every)[0]


def _epochs(axes: Axes, series: Sequence[Series], unit: str = "epoch") -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    last = max((s.values.shape[1] for s in series), default=1)
    axes.set_xlim(1 - 0.03 * last, last + 0.03 * last)
    axes.set_xlabel(unit, labelpad=2)
