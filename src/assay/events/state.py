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

SHORT = 2.0  # seconds after which a rate is one


def lasted(seconds: float) -> str:
    """A time as a clock has it: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Rate:
    """Samples or tokens a second that a stage's trainings went through, from the events heard so far."""

    def __init__(self) -> None:
        self.kind, self.a_training, self.trained, self.began = "", 0, 0, 0.0
        self.counts = False

    def hear(self, event: events.Event) -> None:
        """Keep what it says."""
        match event:
            case events.Estimated(_, kind, a_training):
                self.kind, self.a_training = kind, a_training
            case events.Stage(name):
                self.counts = name in ("pilot", "tune", "final")  # whose trainings are as long as planned
                self.trained, self.began = 0, time.monotonic()
            case events.Trained(_, _, members, recorded) if self.counts and not recorded:
                self.trained += members
            case _:
                pass

    def __str__(self) -> str:
        seconds = time.monotonic() - self.began
        if not self.trained or not self.a_training or seconds < SHORT:
            return ""
        return f"{self.trained * self.a_training / seconds:,.0f} {self.kind}/s"


class State:
    """What is at work. `hear` takes an event and gives the lines that it is worth."""

    def __init__(self) -> None:
        self.began, self.stage, self.total, self.done = time.monotonic(), "loading torch", 0, 0
        self.best: dict[str, float] = {}  # validation scores, raw, by contender
        self.rate = Rate()

    def hear(self, event: events.Event) -> list[str]:
        """Keep what it says."""
        self.rate.hear(event)
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
        rate = f", {self.rate}" if str(self.rate) else ""
        best = ", ".join(f"{name} {score:.4g}" for name, score in self.best.items()) if self.stage == "tuning" else ""
        return f"{self.stage}{far}, at {lasted(self.elapsed)}{rate}" + (f"; last best scores: {best}" if best else "")

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began
