"""How soon runs get to a target: the fraction that is there, by epoch. Those that never are keep the curve below 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.report.style import Look, canvas, legend, legend_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Arrivals(NamedTuple):
    """One contender's epochs to the target (n,), infinite where a run never got there."""

    label: str
    look: Look
    epochs: np.ndarray


def reach(arrivals: Sequence[Arrivals], last: int) -> Figure:
    """The share of runs at the target after each of `last` epochs, in per cent."""
    from matplotlib.ticker import MaxNLocator

    labels = [a.label for a in arrivals]
    figure, (axes,) = canvas(legend=legend_rows(labels))
    handles = []
    for label, (colour, marker, dash), epochs in arrivals:
        del label
        x = np.arange(last + 1)
        share = 100 * (epochs[:, None] <= x).mean(axis=0)
        style = {"color": colour, "linestyle": dash, "marker": marker, "markevery": max(1, last // 15)}
        handles += axes.plot(x, share, drawstyle="steps-post", **style)
    axes.set_title("runs at the target (%)")
    axes.set_ylim(-3, 103)
    axes.set_xlim(-0.02 * last, 1.03 * last)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set_xlabel("epoch", labelpad=2)
    legend(figure, handles, labels)
    return figure
