"""From the runs of a suite to its answer: the same for the same members, in whatever order they came."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from msgspec import UNSET

from assay import seeds
from assay.answer.arrays import RecordArrays
from assay.answer.result import changes_sentence, result
from assay.core import Outcome, Plan, Stages, finite, plain
from assay.core.verdict import AcrossDetails, AcrossVerdict, Alike, Cell, Descriptive, HeldBack, TaskVerdict, ToTarget
from assay.errors import NoVerdict
from assay.judge import across, speed
from assay.judge.across_sentence import AcrossFacts, TaskOutcome, holding, sentence
from assay.judge.coverage import covered_level
from assay.judge.decide import Interval, outcome, resolution, rounding_sd
from assay.judge.edges import edges, held_back
from assay.judge.pair import Question
from assay.judge.second_opinion import holm
from assay.record import RunFolder
from assay.record.suite import Entry, Suite

THRESHOLDS = np.arange(-60, 61) / 10  # margins, at which the performance profiles are given


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
        """Its members as arrays."""
        return RecordArrays(self.plan, self.frame)

    @property
    def second(self) -> bool:
        """Whether it is judged by the second edition's rules."""
        return self.plan.science.protocol.second

    @cached_property
    def resolution(self) -> float:
        """What its scores are rounded to."""
        return resolution([self.arrays.scores(slot) for slot in range(len(self.plan.science.contenders))])

    @property
    def source(self) -> str:
        """The data source that the task belongs to."""
        return self.shared or self.plan.science.task.family or self.plan.science.task.name

    @property
    def level(self) -> float:
        """The level of each candidate's interval on the task."""
        return 1 - self.plan.science.protocol.alpha / max(1, len(self.plan.science.contenders) - 1)

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
        contenders = self.plan.science.contenders
        candidate, baseline = (
            (found.edges, contenders[self.slot(found.name)].space)
            for found in (verdict.details.candidate, verdict.details.baseline)
        )
        return held_back(decided, candidate, baseline) is not None


def read(entry: Entry, path: Path) -> Judged:
    """One run of a suite, judged again from its members. BrokenRecord where some are missing."""
    folder = RunFolder.open(path / entry.folder)
    frame = folder.frame()
    try:
        content = json.loads(json.dumps(result(folder.plan, frame)))
    except NoVerdict:
        content = None
    return Judged(entry, folder.plan, frame, content)


def _with_shared_sources(runs: list[Judged]) -> list[Judged]:
    """Tasks that name no family and saw the same data, by the digests of their members, are one source: the first's."""
    found: list[Judged] = []
    for run in runs:
        seen: set[str] = set() if run.plan.science.task.family else set(run.frame["digest"])
        same = next((r for r in found if not seen.isdisjoint(r.frame["digest"])), None)
        found.append(run if same is None else replace(run, shared=same.source))
    return found


def result_across(suite: Suite, runs: list[Judged]) -> dict[str, Any]:
    """The content of a suite's `result.json`: no times, no paths.

    Raises:
        NoVerdict: none can be given on any task.
    """
    if all(run.content is None for run in runs):
        raise NoVerdict("no verdict can be given on any task")
    runs = _with_shared_sources(runs)
    level = _covered(suite, runs) if runs[0].second else None
    verdicts = [_verdict(suite, slot, name, runs, level) for slot, name in enumerate(suite.candidates, start=1)]
    adjusted = holm(np.array([np.nan if v.p_value is None else v.p_value for v in verdicts]))
    for i, p in enumerate(adjusted):
        details = msgspec.structs.replace(verdicts[i].details, holm_p=finite(p))
        verdicts[i] = msgspec.structs.replace(verdicts[i], details=details)
    return plain(
        {
            "verdicts": verdicts,
            "tasks": [_task(run) for run in runs],
            "levels": {
                "headlines": 1 - suite.alpha / len(suite.candidates),
                "tasks": level or max(run.level for run in runs if len(run.plan.science.contenders) > 1),
            },
            "suite_hash": suite.hash,
        }
    )


def _covered(suite: Suite, runs: Sequence[Judged]) -> float:
    """The level of the tasks' own intervals, of all candidates, at the suite's false coverage rate."""
    arms = [_Arms(run, name) for run in runs for name in suite.candidates if run.verdict(name) is not None]

    def says(own: _Arms) -> Callable[[float], bool]:
        return lambda alpha: own.outcome(alpha) != "inconclusive"

    return covered_level([says(own) for own in arms], suite.cells_alpha)


def _verdict(suite: Suite, slot: int, candidate: str, runs: list[Judged], level: float | None) -> AcrossVerdict:
    """`level`: of the tasks' own intervals, from the second edition on."""
    cells = [_cell(run, candidate, level) for run in runs]
    own = [(run, cell, v) for run, cell in zip(runs, cells, strict=True) if (v := run.verdict(candidate)) is not None]
    if not own:
        said = f"No verdict can be given on {candidate}: it takes part in no task."
        return AcrossVerdict(
            candidate=candidate, baseline=suite.baseline, outcome="inconclusive", sentence=said,
            unit="margins", holds_on=[], tasks=cells, details=AcrossDetails(),
        )  # fmt: skip
    judged = [run for run, _, _ in own]
    arms = [_Arms(run, candidate) for run in judged]
    interval, alike = _intervals(suite, arms, level is not None)
    decided = outcome(interval.low, interval.high, 1.0)
    by = [run.entry.name for run, _, v in own if run.holds_back(decided, v)]
    held: HeldBack | None = decided if by and decided in ("better", "worse") else None
    looked_at = level is not None and decided != "inconclusive" and not held
    facts = AcrossFacts(
        candidate=candidate,
        baseline=suite.baseline,
        outcome="inconclusive" if held else decided,
        held_back=held,
        held_back_by=by,
        interval=interval,
        sources=len({run.source for run in judged}),
        tasks=[
            TaskOutcome(run.entry.name, cell.outcome, candidate not in run.entry.skipped)
            for run, cell in zip(runs, cells, strict=True)
        ],
        task_level=max(run.level for run in judged),
        trials=judged[0].plan.science.protocol.trials,
        flips=across.flips(
            [
                (run.entry.task, run.entry.setting, cell.ci_low, cell.ci_high)
                for run, cell, _ in own
                if cell.ci_low is not None and cell.ci_high is not None and run.entry.setting
            ]
        ),
        distinct=len({run.entry.task for run in judged}),
        coverage=None if level is None else suite.cells_alpha,
        alike=(alike, outcome(alike.low, alike.high, 1.0)) if looked_at else None,
    )
    return _said(suite, slot, facts, cells, arms, sentence(facts) + _changes(candidate, suite.baseline, runs))


def _intervals(suite: Suite, arms: Sequence[_Arms], second: bool) -> tuple[Interval, Interval]:
    """The one that decides, and the one over data sources, which is the same in the first edition."""
    means, sources = [float(arm.differences.mean()) for arm in arms], [arm.run.source for arm in arms]
    alike = across.headline(means, sources, suite.alpha, len(suite.candidates))
    if not second:
        return alike, alike
    return across.these([arm.part for arm in arms], sources, suite.alpha, len(suite.candidates)), alike


def _said(
    suite: Suite, slot: int, f: AcrossFacts, cells: list[Cell], arms: Sequence[_Arms], said: str
) -> AcrossVerdict:
    means, sources = [float(arm.differences.mean()) for arm in arms], [arm.run.source for arm in arms]
    return AcrossVerdict(
        candidate=f.candidate,
        baseline=suite.baseline,
        outcome=f.outcome,
        sentence=said,
        **f.interval.recorded(),
        unit="margins",
        holds_on=holding(f.outcome, f.tasks),
        tasks=cells,
        details=AcrossDetails(
            level=f.interval.level,
            sources=across.by_source(means, sources),
            flips=f.flips,
            held_back=f.held_back or UNSET,
            held_back_by=list(f.held_back_by) if f.held_back else UNSET,
            alike=Alike(finite(f.alike[0].low), finite(f.alike[0].high), f.alike[1]) if f.alike else UNSET,
            descriptive=_descriptive(arms, seeds.hashed("resampling across", suite.seed, slot=slot)),
        ),
    )


def _changes(candidate: str, baseline: str, runs: list[Judged]) -> str:
    """What the two change in their processes while they train, which is nothing as a rule."""
    told = ""
    for name in (candidate, baseline):
        rows = [run.frame.filter((pl.col("contender") == name) & (pl.col("changed") != "")) for run in runs]
        if found := sorted({text for own in rows for text in own["changed"]}):
            told += changes_sentence(name, found)
    return told


@dataclass(frozen=True)
class _Arms:
    """A candidate and the baseline in one run: turned test scores (K, r), diverged ones at the floor."""

    run: Judged
    candidate: str

    @cached_property
    def ours(self) -> np.ndarray:
        return self.run.arrays.scores(self.run.slot(self.candidate))

    @cached_property
    def theirs(self) -> np.ndarray:
        return self.run.arrays.scores(0)

    @property
    def differences(self) -> np.ndarray:
        """Differences (K,) in margins."""
        return (self.ours - self.theirs).mean(axis=1) / self.run.arrays.task.margin

    @property
    def part(self) -> across.Part:
        """What it adds to the mean over tasks."""
        stages = self.run.plan.science.protocol.stages
        least = rounding_sd(self.run.resolution) / self.run.arrays.task.margin
        return across.Part(self.differences, least, stages.first if isinstance(stages, Stages) else None)

    def interval(self, alpha: float) -> Interval:
        """That of this task alone at 1 − α, in margins."""
        f = self.run.arrays
        protocol = msgspec.structs.replace(f.protocol, alpha=alpha)
        question = Question(f.task, protocol, 1, f.test_fraction, 0, self.run.resolution)
        found, margin = question.interval((self.ours - self.theirs).mean(axis=1)), f.task.margin
        return found._replace(mean=found.mean / margin, low=found.low / margin, high=found.high / margin)

    def outcome(self, alpha: float) -> Outcome:
        """What that interval says, an edge that could explain it apart."""
        found = self.interval(alpha)
        return outcome(found.low, found.high, 1.0)

    def from_baseline(self, scores: np.ndarray) -> np.ndarray:
        """How far each replicate's score lies from the baseline's mean (K,), in margins."""
        return (scores.mean(axis=1) - self.theirs.mean()) / self.run.arrays.task.margin


def _descriptive(arms: Sequence[_Arms], seed: int) -> Descriptive:
    differences = [arm.differences for arm in arms]
    pairs = [np.stack([arm.ours, arm.theirs], axis=1) for arm in arms]  # (K, 2, r): both are drawn, for they share data

    def middle(values: Sequence[np.ndarray]) -> float:
        return across.interquartile_mean(np.concatenate(values))

    def improvement(values: Sequence[np.ndarray]) -> float:
        return across.improvement([p[:, 0] for p in values], [p[:, 1] for p in values])

    return Descriptive(
        interquartile_mean=middle(differences),
        interquartile_mean_interval=across.stratified(middle, differences, seed),
        improvement=improvement(pairs),
        improvement_interval=across.stratified(improvement, pairs, seed),
        thresholds=THRESHOLDS.tolist(),
        profile=across.profile([arm.from_baseline(arm.ours) for arm in arms], THRESHOLDS).tolist(),
        baseline_profile=across.profile([arm.from_baseline(arm.theirs) for arm in arms], THRESHOLDS).tolist(),
    )


def _cell(run: Judged, candidate: str, level: float | None) -> Cell:
    """One candidate on one task; None for what can't be given, and why. `level`: None where the task's own decides."""
    task, source, margin, verdict = run.entry.name, run.source, run.arrays.task.margin, run.verdict(candidate)
    if verdict is None:
        why = run.entry.skipped.get(candidate, "no verdict can be given: every final run diverged")
        return Cell(task=task, source=source, margin=margin, why=why)
    difference, low, high = (
        None if value is None else value / margin for value in (verdict.difference, verdict.ci_low, verdict.ci_high)
    )
    decided: Outcome = verdict.outcome
    if level is not None:
        arms = _Arms(run, candidate)
        found = arms.interval(1 - level)
        difference, low, high = (finite(value) for value in (found.mean, found.low, found.high))
        if verdict.details.all_diverged is None:
            decided = arms.outcome(1 - level)
            decided = "inconclusive" if run.holds_back(decided, verdict) else decided
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


def seconds_to_target(run: Judged) -> dict[str, float | None]:
    """Median seconds of training to the target for each contender, measured, hence no part of any result; None: missed."""
    f = run.arrays
    target = target_of(f)
    if target is None or run.content is None:
        return {}
    found: dict[str, float | None] = {}
    for slot, contender in enumerate(f.plan.science.contenders):
        epochs = speed.epochs_to(f.task.sign * f.curves(slot, "validation"), target)
        seconds = f.members(slot, "final")["seconds"].to_numpy().reshape(epochs.shape)
        found[contender.name] = finite(
            float(np.median(np.where(np.isfinite(epochs), epochs * seconds / f.task.epochs, np.inf)))
        )
    return found


def step_seconds(run: Judged) -> dict[str, float]:
    """Seconds of one training step of each contender, measured: training time over steps."""
    found, steps = dict[str, float](), run.arrays.steps_per_epoch * run.plan.science.task.epochs
    for slot, contender in enumerate(run.plan.science.contenders):
        found[contender.name] = float(run.arrays.members(slot, "final")["seconds"].median()) / steps  # type: ignore[arg-type]
    return found


def _task(run: Judged) -> dict[str, Any]:
    """What came of a run, in short; the rest is in its own `result.json`."""
    task, protocol = run.plan.science.task, run.plan.science.protocol
    contenders: dict[str, dict[str, Any]] = {} if run.content is None else run.content["contenders"]
    kept = ("hyperparameters", "score_mean", "score_sd", "diverged", "final_runs", "diverged_trials", "trials")
    return {
        "name": run.entry.name,
        "source": run.source,
        "setting": run.entry.setting,
        "metric": task.metric,
        "unit": task.unit,
        "scale": task.scale,
        "margin": task.margin,
        "replicates": protocol.replicates,
        "level": run.level,
        "contenders": {
            name: {**{k: c[k] for k in kept}, "edges": edges(left.chosen_positions, left.space)}
            for slot, (name, c) in enumerate(contenders.items())
            for left in [run.arrays.contender(slot)]
        },
        "skipped": run.entry.skipped,
        "plan_hash": run.plan.science.plan_hash,
    }
