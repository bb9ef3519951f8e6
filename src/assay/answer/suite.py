"""From the runs of a suite to its answer: the same for the same members, in whatever order they came."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
from assay.core import Outcome, Plan, finite, plain
from assay.core.verdict import AcrossDetails, AcrossVerdict, Cell, Descriptive, HeldBack, TaskVerdict, ToTarget
from assay.errors import NoVerdict
from assay.judge import across, speed
from assay.judge.across_sentence import AcrossFacts, TaskOutcome, holding, sentence
from assay.judge.decide import outcome
from assay.judge.edges import edges, held_back
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
    verdicts = [_verdict(suite, slot, name, runs) for slot, name in enumerate(suite.candidates, start=1)]
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
                "tasks": max(run.level for run in runs if len(run.plan.science.contenders) > 1),
            },
            "suite_hash": suite.hash,
        }
    )


def _verdict(suite: Suite, slot: int, candidate: str, runs: list[Judged]) -> AcrossVerdict:
    own = [(run, run.verdict(candidate)) for run in runs]
    cells = [_cell(run, candidate, v) for run, v in own]
    judged = [(run, v) for run, v in own if v is not None]
    if not judged:
        said = f"No verdict can be given on {candidate}: it takes part in no task."
        return AcrossVerdict(
            candidate=candidate, baseline=suite.baseline, outcome="inconclusive", sentence=said,
            unit="margins", holds_on=[], tasks=cells, details=AcrossDetails(),
        )  # fmt: skip
    arms = [_Arms(run, run.arrays.scores(run.slot(candidate)), run.arrays.scores(0)) for run, _ in judged]
    means, sources = [float(arm.differences.mean()) for arm in arms], [arm.run.source for arm in arms]
    interval = across.headline(means, sources, suite.alpha, len(suite.candidates))
    by_source = across.by_source(means, sources)
    decided = outcome(interval.low, interval.high, 1.0)
    by = [run.entry.name for run, v in judged if run.holds_back(decided, v)]
    held: HeldBack | None = decided if by and decided in ("better", "worse") else None
    facts = AcrossFacts(
        candidate=candidate,
        baseline=suite.baseline,
        outcome="inconclusive" if held else decided,
        held_back=held,
        held_back_by=by,
        interval=interval,
        sources=len(by_source),
        tasks=[
            TaskOutcome(run.entry.name, None if v is None else v.outcome, candidate not in run.entry.skipped)
            for run, v in own
        ],
        task_level=max(run.level for run, _ in judged),
        trials=judged[0][0].plan.science.protocol.trials,
        flips=across.flips(
            [
                (run.entry.task, run.entry.setting, v.ci_low, v.ci_high)
                for run, v in judged
                if v.ci_low is not None and v.ci_high is not None and run.entry.setting
            ]
        ),
        distinct=len({run.entry.task for run, _ in judged}),
    )
    return AcrossVerdict(
        candidate=candidate,
        baseline=suite.baseline,
        outcome=facts.outcome,
        sentence=sentence(facts) + _changes(candidate, suite.baseline, runs),
        **interval.recorded(),
        unit="margins",
        holds_on=holding(facts.outcome, facts.tasks),
        tasks=cells,
        details=AcrossDetails(
            level=interval.level,
            sources=by_source,
            flips=facts.flips,
            held_back=held or UNSET,
            held_back_by=by if held else UNSET,
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
    ours: np.ndarray
    theirs: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        """Differences (K,) in margins."""
        return (self.ours - self.theirs).mean(axis=1) / self.run.arrays.task.margin

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


def _cell(run: Judged, candidate: str, verdict: TaskVerdict | None) -> Cell:
    """One candidate on one task; None for what can't be given, and why."""
    task, source, margin = run.entry.name, run.source, run.arrays.task.margin
    if verdict is None:
        why = run.entry.skipped.get(candidate, "no verdict can be given: every final run diverged")
        return Cell(task=task, source=source, margin=margin, why=why)
    difference, low, high = (
        None if value is None else value / margin for value in (verdict.difference, verdict.ci_low, verdict.ci_high)
    )
    return Cell(
        task=task,
        source=source,
        margin=margin,
        outcome=verdict.outcome,
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
