"""Live progress on a terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from assay import events

from .state import STAGES, Rate
from .text import Screen, line


@contextlib.contextmanager
def on_a_terminal(console: Screen) -> Iterator[events.OnEvent]:
    """A listener that draws there."""
    board = _Board(console)
    with Live(board, console=console, refresh_per_second=8, transient=True):
        yield board


def warn_only(console: Screen) -> events.OnEvent:
    """A listener that writes warnings, wherever standard error leads."""
    return _Board(console).warn_only


class _Board:
    """One bar a stage, and the best trial so far of each contender."""

    def __init__(self, console: Screen) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=console,
        )
        self.bar = self.progress.add_task("loading torch", total=None, rate="")
        self.rate = Rate()
        self.best: dict[str, events.TrialDone] = {}

    def __rich__(self) -> Group:
        lines = [
            Text(f"  {name}: trial {e.trial + 1}, best validation score so far {e.best:.4g}", style="dim")
            for name, e in self.best.items()
        ]
        return Group(self.progress, *lines)

    def warn_only(self, event: events.Event) -> None:
        if isinstance(event, events.Warned):
            self.console.print(line(f"assay: {event.message}"), style="yellow", soft_wrap=True)

    def __call__(self, event: events.Event) -> None:
        self.rate.hear(event)
        match event:
            case events.Started(trainings, folder):
                self.console.print(line(f"{trainings} trainings → {folder}"), soft_wrap=True)
            case events.TaskBegins(task, place, tasks):
                self.console.print(line(f"task {place} of {tasks}: {task}"), style="bold", soft_wrap=True)
                self.best.clear()
            case events.Estimated(lines):
                self.console.print(Text("\n".join(lines)), soft_wrap=True)
            case events.Stage(name, total):
                self.progress.update(self.bar, visible=False)
                self.bar = self.progress.add_task(STAGES.get(name, name), total=total or None, rate="")
            case events.Advanced():
                self.progress.advance(self.bar)
            case events.Trained(_, _, members, _):
                self.progress.update(self.bar, advance=members, rate=str(self.rate))
            case events.TrialDone(contender, _, _, _, best):
                shown = self.best.get(contender)
                if shown is None or best >= shown.best or event.trial > shown.trial:
                    self.best[contender] = event
            case events.Warned():
                self.warn_only(event)
