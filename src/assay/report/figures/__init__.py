"""Lines, rows and scatters, a file each: functions of plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from assay.report.style import Look


class Card(NamedTuple):
    """A figure as the report shows it.

    `name` names its files; `reading` says in plain words what to see, `data` is what is drawn, a row each.
    """

    name: str
    title: str
    reading: str
    figure: Figure
    data: Sequence[Mapping[str, Any]] = ()


class Series(NamedTuple):
    """What a line or a row shows, NaN where there is nothing: by default one contender's values in text units.

    A row also has a `mark` with its `interval`.
    """

    label: str
    look: Look
    values: np.ndarray
    mark: float | None = None
    interval: tuple[float, float] | None = None


def compared(
    label: str, look: Look, values: Sequence[float | None], entry: Mapping[str, Any], scale: float = 1.0
) -> Series:
    """A row for a verdict, a cell or a control: its values, and beside them its difference with its interval."""
    mark, low, high = (None if entry[k] is None else scale * entry[k] for k in ("difference", "ci_low", "ci_high"))
    interval = None if low is None or high is None else (low, high)
    return Series(label, look, scale * np.array(values, dtype=float), mark, interval)
