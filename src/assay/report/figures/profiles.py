"""Performance profiles: the share of replicates that are at least so far above the tuned baseline's mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from assay.report.style import INK, Look, canvas, legend, legend_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Profile(NamedTuple):
    """One contender's shares (P,) in [0, 1] above the thresholds."""

    label: str
    look: Look
    shares: np.ndarray


def profiles(lines: Sequence[Profile], thresholds: np.ndarray) -> Figure:
    """The shares in per cent over the thresholds (P,), in margins."""
    labels = [line.label for line in lines]
    figure, (axes,) = canvas(legend=legend_rows(labels))
    handles = []
    for _, (colour, _, dash), shares in lines:
        handles += axes.plot(thresholds, 100 * shares, color=colour, linestyle=dash)
    axes.axvline(0, color=INK, linewidth=0.7, zorder=1)
    axes.set_title("replicates above x (%), tasks averaged")
    axes.set_ylim(-3, 103)
    axes.set_xlabel("x: margins above the baseline's mean", labelpad=2)
    legend(figure, handles, labels)
    return figure
