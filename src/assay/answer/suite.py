"""From the runs of a suite to its answer: the same for the same members, in whatever order they came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from msgspec import UNSET

from assay import seeds
from assay.answer.cells import Arms, Judged, cell, covered, target_of
from assay.answer.result import changes_sentence, result, schedules_sentence
from assay.core import Protocol, finite, plain
from assay.core.result import AcrossResult, ContenderOnTask, ContenderScores, Levels, TaskOfSeveral
from assay.core.verdict import AcrossDetails, AcrossVerdict, Alike, Cell, Descriptive, HeldBack
from assay.errors import NoVerdict
from assay.judge import across, speed
from assay.judge.across_sentence import AcrossFacts, TaskOutcome, holding, sentence
from assay.judge.decide import Interval, outcome
from assay.judge.second_opinion import holm
from assay.judge.sentence import how_tuned
from assay.record import RunFolder
from assay.record.suite import Entry, Suite

THRESHOLDS = np.arange(-60, 61) / 10  # margins, at which the performance profiles are given


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
    level = covered(suite, runs) if runs[0].second else None
    verdicts = [_verdict(suite, slot, name, runs, level) for slot, name in enumerate(suite.candidates, start=1)]
    adjusted = holm(np.array([np.nan if v.p_value is None else v.p_value for v in verdicts]))
    for i, p in enumerate(adjusted):
        details = msgspec.structs.replace(verdicts[i].details, holm_p=finite(p))
        verdicts[i] = msgspec.structs.replace(verdicts[i], details=details)
    return plain(
        AcrossResult(
            verdicts=verdicts,
            tasks=[_task(run) for run in runs],
            levels=Levels(
                headlines=1 - suite.alpha / len(suite.candidates),
                tasks=level or max(run.level for run in runs if len(run.plan.science.contenders) > 1),
            ),
            suite_hash=suite.hash,
        )
    )


def _verdict(suite: Suite, slot: int, candidate: str, runs: list[Judged], level: float | None) -> AcrossVerdict:
    """`level`: of the tasks' own intervals, from the second edition on."""
    cells = [cell(run, candidate, level) for run in runs]
    own = [(run, cell, v) for run, cell in zip(runs, cells, strict=True) if (v := run.verdict(candidate)) is not None]
    if not own:
        said = f"No verdict can be given on {candidate}: it takes part in no task."
        return AcrossVerdict(
            candidate=candidate, baseline=suite.baseline, outcome="inconclusive", sentence=said,
            unit="margins", holds_on=[], tasks=cells, details=AcrossDetails(),
        )  # fmt: skip
    judged = [run for run, _, _ in own]
    arms = [Arms(run, candidate) for run in judged]
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
        tuned=_how_tuned(suite, judged[0].plan.science.protocol),
        flips=across.flips(
            [
                (run.entry.task, run.entry.setting, cell.ci_low, cell.ci_high)
                for run, cell, _ in own
                if cell.ci_low is not None and cell.ci_high is not None and run.entry.setting
            ]
        ),
        schedules=len(suite.axes.get("schedule", ())) or 1,
        distinct=len({run.entry.task for run in judged}),
        coverage=None if level is None else suite.cells_alpha,
        alike=(alike, outcome(alike.low, alike.high, 1.0)) if looked_at else None,
    )
    told = [sentence(facts), _scheduled(candidate, judged), _without(suite), _changes(candidate, suite.baseline, runs)]
    return _said(suite, slot, facts, cells, arms, "".join(told))


def _scheduled(candidate: str, runs: Sequence[Judged]) -> str:
    """The schedules that were given; none of several, which the settings name."""
    said = {
        schedules_sentence(science.contenders, candidate, science.contenders[0].name)
        for science in (run.plan.science for run in runs if run.second)
    }
    return said.pop() if len(said) == 1 else ""


def _without(suite: Suite) -> str:
    """The tasks that were asked for and are none of the runs."""
    return "".join(
        f" {name} is left out, for no candidate has a part in it ({why})."
        for name, why in (suite.without or {}).items()
    )


def _how_tuned(suite: Suite, first: Protocol) -> str:
    if not suite.transfer:
        return how_tuned(first)
    rule = "as they are" if suite.transfer == "none" else f"learning rates by the rule {suite.transfer}"
    return f"{how_tuned(first)} at {suite.entries[0].setting} (settings carried over from there, {rule})"


def _intervals(suite: Suite, arms: Sequence[Arms], second: bool) -> tuple[Interval, Interval]:
    """The one that decides, and the one over data sources, which is the same in the first edition."""
    means, sources = [float(arm.differences.mean()) for arm in arms], [arm.run.source for arm in arms]
    alike = across.headline(means, sources, suite.alpha, len(suite.candidates))
    if not second:
        return alike, alike
    return across.these([arm.part for arm in arms], sources, suite.alpha, len(suite.candidates)), alike


def _said(suite: Suite, slot: int, f: AcrossFacts, cells: list[Cell], arms: Sequence[Arms], said: str) -> AcrossVerdict:
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


def _descriptive(arms: Sequence[Arms], seed: int) -> Descriptive:
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


def _task(run: Judged) -> TaskOfSeveral:
    """What came of a run, in short; the rest is in its own `result.json`."""
    task, protocol = run.plan.science.task, run.plan.science.protocol
    contenders: dict[str, dict[str, Any]] = {} if run.content is None else run.content["contenders"]
    kept = ContenderScores.__struct_fields__
    return TaskOfSeveral(
        name=run.entry.name,
        source=run.source,
        setting=run.entry.setting,
        metric=task.metric,
        unit=task.unit,
        scale=task.scale,
        margin=task.margin,
        replicates=run.arrays.protocol.replicates,
        level=run.level,
        contenders={
            name: ContenderOnTask(**{k: c[k] for k in kept}, edges=left.edges(protocol))
            for slot, (name, c) in enumerate(contenders.items())
            for left in [run.arrays.contender(slot)]
        },
        skipped=run.entry.skipped,
        plan_hash=run.plan.science.plan_hash,
    )
