"""What the library says while it works: events, to the `on_event` of whoever calls. Only `view` shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Started:
    """The plan is settled: how many trainings it asks for, and where they go."""

    trainings: int
    folder: str


@dataclass(frozen=True)
class TaskBegins:
    """A comparison across tasks comes to its next one; `place` counts from 1."""

    task: str
    place: int
    tasks: int


@dataclass(frozen=True)
class Estimated:
    """What the plan will cost and can see, a line each; and what a training goes through: so many `samples`, or `tokens`."""

    lines: tuple[str, ...]
    kind: str = "samples"
    a_training: int = 0


@dataclass(frozen=True)
class Stage:
    """A part of the work begins; `total` counts what it consists of, 0 where that isn't told."""

    name: Literal[
        "settle", "estimate", "data", "pilot", "tune", "score", "final",
        "controls", "controls_final", "ladder", "ladder_final", "report",
    ]  # fmt: skip
    total: int = 0


@dataclass(frozen=True)
class Advanced:
    """One more of what the stage consists of is done: a contender has its engine, a data set is made, a chunk is scored."""


@dataclass(frozen=True)
class Trained:
    """Members are finished, or were found finished in the record."""

    contender: str
    phase: str
    members: int
    recorded: bool


@dataclass(frozen=True)
class TrialDone:
    """A trial was told to its study. Scores are the raw validation scores, metric units."""

    contender: str
    replicate: int
    trial: int
    score: float
    best: float


@dataclass(frozen=True)
class FromRecord:
    """An answer was on record, and nothing was trained. `made`: when, as a reader sees it."""

    folder: str
    made: str


@dataclass(frozen=True)
class Warned:
    """Something a reader must not miss, in one line."""

    message: str


Event = Started | TaskBegins | Estimated | Stage | Advanced | Trained | TrialDone | FromRecord | Warned
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The listener that listens to nothing."""


class Recorded:
    """A listener that hands on what it hears, and notes which answers were on record: `sentence` says it, "" for none."""

    def __init__(self, on_event: OnEvent = ignore) -> None:
        self._on_event, self._found, self._tasks = on_event, dict[str, str](), 0

    def __call__(self, event: Event) -> None:
        """Hear an event."""
        if isinstance(event, FromRecord):
            self._found[event.folder] = event.made
        if isinstance(event, TaskBegins):
            self._tasks = event.tasks
        self._on_event(event)

    @property
    def sentence(self) -> str:
        """`from the record, made at 2026-11-28 18:03:07 UTC`, of all tasks or of some."""
        if not self._found:
            return ""
        times = sorted(set(self._found.values()))
        when = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
        some = f" ({len(self._found)} of {self._tasks} tasks)" if 0 < len(self._found) < self._tasks else ""
        return f"from the record{some}, made at {when}"
