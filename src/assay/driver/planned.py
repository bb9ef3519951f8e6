"""What a comparison would cost and could see, as data and in words; nothing of it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from assay import events
from assay.core import ContenderInfo, Science, WorkerOptions
from assay.judge.scale import expected_half_width
from assay.ladder.scale import sizes_of

from .estimate import Estimate, as_data, duration, estimated, sentence
from .plan import Comparison


@dataclass(frozen=True)
class PlannedTask:
    """One task of it: what is asked there, and what it costs and can see."""

    name: str
    science: Science
    estimate: Estimate


@dataclass(frozen=True)
class Planned:
    """A comparison that is planned: its tasks, what names it, and the folder that it would go to.

    `str(planned)` is what `assay run --plan-only` prints, `planned.data` what it prints with `--json`.

    Example:
        >>> ranges = ["adam.lr=1e-3..1:log", "sgd.lr=1e-2..10:log"]
        >>> planned = assay.plan("adam", "sgd", task="logistic", replicates=4, space=ranges, engine="loop", quiet=True)
        >>> planned.trainings, planned.tasks[0].estimate.margin  # 2 contenders of 4 times 10 trials and 12 final runs
        (176, 0.01)
    """

    folder: Path
    plan_hash: str
    tasks: tuple[PlannedTask, ...]
    across: bool = False  # one verdict across several tasks
    sized: tuple[str, list[float]] | None = None  # the axis and the sizes, where the tasks are one at several sizes

    @property
    def trainings(self) -> int:
        """Over all tasks."""
        return sum(task.estimate.trainings for task in self.tasks)

    @property
    def seconds(self) -> float | None:
        """What they should take here; None where it wasn't measured."""
        seconds = [task.estimate.seconds for task in self.tasks]
        return None if None in seconds else sum(s for s in seconds if s is not None)

    @property
    def beyond(self) -> list[str]:
        """What the plan can't hold of the code, a line for the task and each contender; empty if nothing."""
        return list(dict.fromkeys(line for task in self.tasks for line in task.science.beyond))

    @property
    def data(self) -> dict[str, Any]:
        """The plan as plain data, for JSON."""
        if not self.across:
            (task,) = self.tasks
            plan = {"science": msgspec.to_builtins(task.science), "plan_hash": self.plan_hash}
            return {**plan, "estimate": as_data(task.estimate)}
        tasks = [
            {"name": t.name, "plan_hash": t.science.plan_hash, "estimate": as_data(t.estimate)} for t in self.tasks
        ]
        return {"tasks": tasks, "suite_hash": self.plan_hash}

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        beyond = (f"beyond the plan: {line}" for line in self.beyond)
        notes = (f"task {t.name}: {t.science.task.note}" for t in self.tasks if t.science.task.note)
        return "\n".join([*self._lines(), *notes, *beyond, f"plan {self.plan_hash[:8]}, would go to {self.folder}"])

    def _lines(self) -> list[str]:
        if not self.across:
            (task,) = self.tasks
            named = [_named(c) for c in task.science.contenders]
            return [*named, *sentence(task.estimate, task.science)]
        total = f", about {duration(self.seconds)} here" if self.seconds is not None else ""
        each = [
            said for t in self.tasks for said in (f"{t.name}:", *(f"  {s}" for s in sentence(t.estimate, t.science)))
        ]
        return [*each, f"{self.trainings} trainings in all{total}", *self._of_the_slope()]

    def _of_the_slope(self) -> list[str]:
        wide = [t.estimate.widest / t.estimate.margin for t in self.tasks if t.estimate.widest is not None]
        if self.sized is None or len(wide) < len(self.tasks):
            return []
        axis, sizes = self.sized
        about = expected_half_width(sizes, max(wide))
        return [
            f"the slope of its advantage over ln({axis}) will be known to about ±{about:.2g} margins, by the same spread"
        ]


def _named(c: ContenderInfo) -> str:
    sought = {"lr"} if c.pilot else set[str]()
    tuned = ", ".join(f"{name} {'where its pilot finds it, in ' * (name in sought)}{r}" for name, r in c.space.items())
    return f"{c.name}: {c.reference or 'code of this session'} ({c.source[:20]}), tunes {tuned}"


def planned(comparison: Comparison, work: WorkerOptions, on_event: events.OnEvent = events.ignore) -> Planned:
    """The cost and power of a comparison on the workers asked for.

    Raises:
        UsageError: its folder holds something else.
    """

    def unestimated(event: events.Event) -> None:  # the estimate is the answer here, and would be told twice
        if not isinstance(event, events.Estimated):
            on_event(event)

    suite = comparison.suite
    names = [job.task.name for job in comparison.jobs] if suite is None else [entry.name for entry in suite.entries]
    tasks = tuple(
        PlannedTask(name, job.science, estimated(job, work, unestimated))
        for name, job in zip(names, comparison.jobs, strict=True)
    )
    plan_hash = comparison.jobs[0].science.plan_hash if suite is None else suite.hash
    sized = None if suite is None else sizes_of(suite)
    return Planned(comparison.folder, plan_hash, tasks, across=suite is not None, sized=sized)
