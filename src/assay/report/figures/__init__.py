"""One figure, or a closely related pair, a file: functions of plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Card(NamedTuple):
    """A figure as the report shows it. `name` names its files; `reading` says in plain words what to see."""

    name: str
    title: str
    reading: str
    figure: Figure
