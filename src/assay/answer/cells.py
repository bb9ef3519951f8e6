"""A task of several: its run, a candidate beside the baseline in it, and the cell that it has in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import polars as pl

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.core import Outcome, Plan, Stages, finite
from assay.core.verdict import Cell, TaskVerdict, ToTarget
from assay.judge import across, speed
from assay.judge.coverage import covered_level
from assay.judge.decide import Interval, outcome, rounding_sd
from assay.judge.edges import held_back
from assay.record.suite import Entry, Suite


@dataclass(frozen=True)
class Judged:
    """One run of a suite: its plan and members, and what its own `result.json` says; None where no verdict can be given."""

    entry: Entry
    plan: Plan
    frame: pl.DataFrame
    content: dict[str, Any] | None
    shared: str = ""  # the source of an earlier run that saw the very same data

    @cached_property
    def arrays(self) -> RecordArrays:
        """Its members as arrays, as many replicates and in the ranges that the record has come to."""
        return RecordArrays(reached(self.plan, self.frame), self.frame)

    @property
    def second(self) -> bool:
        """Whether it is judged by the second edition's rules."""
        return self.plan.science.protocol.second

    @property
    def source(self) -> str:
        """The data source that the task belongs to."""
        return self.shared or self.plan.science.task.family or self.plan.science.task.name

    @property
    def level(self) -> float:
        """The level of each candidate's interval on the task."""
        return 1 - self.plan.science.protocol.alpha / max(1, len(self.plan.science.contenders) - 1)

    @property
    def first(self) -> int | None:
        """Of two stages, how many replicates the first has, whose spread decided on more."""
        stages = self.plan.science.protocol.stages
        return stages.first if isinstance(stages, Stages) else None

    def slot(self, contender: str) -> int:
        """The contender's place in the run."""
        return [c.name for c in self.plan.science.contenders].index(contender)

    def verdict(self, candidate: str) -> TaskVerdict | None:
        """The candidate's own verdict in this run; None where it doesn't take part, or there is none."""
        verdicts: list[dict[str, Any]] = [] if self.content is None else self.content["verdicts"]
        own = (msgspec.convert(v, TaskVerdict) for v in verdicts if v["candidate"] == candidate)
        return next(own, None)

    def holds_back(self, decided: Outcome, verdict: TaskVerdict) -> bool:
        """Whether an edge on this task could explain what was decided over all, by the rule of its plan."""
        if self.plan.science.protocol.edges != "hold back":
            return False
        contenders = self.arrays.plan.science.contenders
        candidate, baseline = (
            (found.edges, contenders[self.slot(found.name)].space)
            for found in (verdict.details.candidate, verdict.details.baseline)
        )
        return held_back(decided, candidate, baseline) is not None


@dataclass(frozen=True)
class Arms:
    """A candidate and the baseline in one run: turned test scores (K, r), diverged ones at the floor."""

    run: Judged
    candidate: str

    @cached_property
    def ours(self) -> np.ndarray:
        """The candidate's scores."""
        return self.run.arrays.scores(self.run.slot(self.candidate))

    @cached_property
    def theirs(self) -> np.ndarray:
        """The baseline's."""
        return self.run.arrays.scores(0)

    @cached_property
    def verdict(self) -> TaskVerdict | None:
        """The candidate's own, where the task is asked about alone."""
        return self.run.verdict(self.candidate)

    @property
    def apart(self) -> np.ndarray:
        """Differences (K,) as they are scored."""
        return self.run.arrays.differences(self.run.slot(self.candidate))

    @cached_property
    def same(self) -> bool:
        """Whether each run is the baseline's."""
        return self.run.arrays.same(self.run.slot(self.candidate))

    @property
    def differences(self) -> np.ndarray:
        """Differences (K,) in margins."""
        return self.apart / self.run.arrays.task.margin

    @property
    def part(self) -> across.Part:
        """What it adds to the mean over tasks."""
        arrays = self.run.arrays
        least = rounding_sd(arrays.deciding.rounded_to(self.apart, self.same)) / arrays.task.margin
        return across.Part(self.differences, least, self.run.first)

    def interval(self, alpha: float) -> Interval:
        """That of this task alone at 1 − α, in margins."""
        f = self.run.arrays
        question = replace(f.deciding, protocol=msgspec.structs.replace(f.protocol, alpha=alpha), candidates=1)
        found, margin = question.interval(self.apart, self.same), f.task.margin
        return found._replace(mean=found.mean / margin, low=found.low / margin, high=found.high / margin)

    def outcome(self, alpha: float) -> Outcome:
        """What that interval says, unless an edge could explain it; where all runs of one diverged, what the verdict says."""
        assert self.verdict is not None
        if self.verdict.details.all_diverged is not None:
            return self.verdict.outcome
        found = self.interval(alpha)
        decided = outcome(found.low, found.high, 1.0)
        return "inconclusive" if self.run.holds_back(decided, self.verdict) else decided

    def from_baseline(self, scores: np.ndarray) -> np.ndarray:
        """How far each replicate's score lies from the baseline's mean (K,), in margins."""
        return (scores.mean(axis=1) - self.theirs.mean()) / self.run.arrays.task.margin


def covered(suite: Suite, runs: Sequence[Judged]) -> float:
    """The level of the tasks' own intervals, of all candidates, at the suite's false coverage rate."""
    arms = [own for run in runs for name in suite.candidates if (own := Arms(run, name)).verdict is not None]

    def says(own: Arms) -> Callable[[float], bool]:
        return lambda alpha: own.outcome(alpha) != "inconclusive"

    return covered_level([says(own) for own in arms], suite.cells_alpha)


def cell(run: Judged, candidate: str, level: float | None) -> Cell:
    """One candidate on one task; None for what can't be given, and why. `level`: None where the task's own decides."""
    arms = Arms(run, candidate)
    task, source, margin, verdict = run.entry.name, run.source, run.arrays.task.margin, arms.verdict
    if verdict is None:
        why = run.entry.skipped.get(candidate, "no verdict can be given: every final run diverged")
        return Cell(task=task, source=source, margin=margin, why=why)
    difference, low, high = (
        None if value is None else value / margin for value in (verdict.difference, verdict.ci_low, verdict.ci_high)
    )
    decided: Outcome = verdict.outcome
    if level is not None:
        found, decided = arms.interval(1 - level), arms.outcome(1 - level)
        difference, low, high = (finite(value) for value in (found.mean, found.low, found.high))
    return Cell(
        task=task,
        source=source,
        margin=margin,
        outcome=decided,
        difference=difference,
        ci_low=low,
        ci_high=high,
        steps=_steps(run, run.slot(candidate)),
    )


def _steps(run: Judged, slot: int) -> ToTarget | None:
    """Steps to the target; None where there is none."""
    f = run.arrays
    target = target_of(f)
    if target is None:
        return None
    ours, theirs = (
        f.steps_per_epoch * speed.epochs_to(f.task.sign * f.curves(s, "validation"), target) for s in (slot, 0)
    )
    return speed.to_target(f.task.sign * target, ours, theirs)


def target_of(arrays: RecordArrays) -> float | None:
    """The turned target of a run: what the tuned baseline reaches in its chosen trials, whose seeds are not judged."""
    return speed.target_of(arrays.task.sign * arrays.contender(0).chosen_validation)
