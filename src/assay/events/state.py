"""How far the work is, by the events heard so far, and the words for it."""

from __future__ import annotations

import time

from assay import events

STAGES = {
    "data": "drawing data",
    "settle": "choosing the engine",
    "estimate": "timing a step",
    "pilot": "looking for ranges",
    "tune": "tuning",
    "score": "scoring the trials",
    "final": "final runs",
    "controls": "tuning the controls",
    "controls_final": "running the controls",
    "ladder": "tuning the baseline at another length",
    "ladder_final": "running the baseline at another length",
    "report": "drawing the report",
}


def lasted(seconds: float) -> str:
    """A time as a clock has it: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class State:
    """What is at work. `hear` takes an event and gives the lines that it is worth."""

    def __init__(self) -> None:
        self.began, self.stage, self.total, self.done = time.monotonic(), "loading torch", 0, 0
        self.best: dict[str, float] = {}  # validation scores, raw, by contender

    def hear(self, event: events.Event) -> list[str]:
        """Keep what it says."""
        match event:
            case events.Started(trainings, folder):
                return [f"{trainings:,} trainings, in {folder}"]
            case events.TaskBegins(task, place, tasks):
                self.best.clear()
                return [f"task {place} of {tasks}: {task}"]
            case events.Estimated(lines):
                return [*lines]
            case events.Stage(name, total):
                self.stage, self.total, self.done = STAGES.get(name, name), total, 0
                return [self.line()]
            case events.Advanced():
                self.done += 1
            case events.Trained(_, _, members, _):
                self.done += members
            case events.TrialDone(contender, _, _, _, best):
                self.best[contender] = best
            case events.Warned(message):
                return [message]
        return []

    def line(self) -> str:
        """What is at work, how far it is, since when, and the best scores so far."""
        far = f", {self.done:,} of {self.total:,}" if self.total else ""
        best = ", ".join(f"{name} {score:.4g}" for name, score in self.best.items()) if self.stage == "tuning" else ""
        return f"{self.stage}{far}, at {lasted(self.elapsed)}" + (f"; last best scores: {best}" if best else "")

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began
