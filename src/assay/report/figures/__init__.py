"""Lines, rows and scatters, a file each: functions of plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from assay.report.style import Look


class Card(NamedTuple):
    """A figure as the report shows it. `name` names its files; `reading` says in plain words what to see."""

    name: str
    title: str
    reading: str
    figure: Figure


class Series(NamedTuple):
    """What a line or a row shows, NaN where there is nothing: by default one contender's values in text units.

    A row also has a `mark` with its `interval`.
    """

    label: str
    look: Look
    values: np.ndarray
    mark: float | None = None
    interval: tuple[float, float] | None = None
