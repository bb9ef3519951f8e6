"""From the members on record to the answer: what was chosen, what came of it, the verdicts, the ledger.

Everything here is computed from the plan and the members alone, so that anyone can compute it again.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from msgspec import UNSET
from msgspec.structs import replace

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached, with_replicates
from assay.core import PHASES, ContenderInfo, Hyperparameters, Phase, Plan, Science, plain
from assay.core.result import ContenderResult, OneTask, PilotResult, Spent
from assay.core.verdict import Earlier, PublishedVerdict, Speed, TaskVerdict
from assay.core.versions import installed
from assay.judge import judge, speed
from assay.judge.divergence import floored
from assay.judge.pilot import SHARED
from assay.judge.published import conclude
from assay.judge.select import good_range
from assay.judge.sentence import listed
from assay.space import Choice, Float, Space

LIBRARIES = ("assay", "torch", "optuna", "numpy", "scipy", "polars")


def result(plan: Plan, frame: pl.DataFrame) -> dict[str, Any]:
    """The content of `result.json`: no times, no paths; the same for the same members, in whatever order they came.

    Raises:
        BrokenRecord: members are missing. NoVerdict: none can be given.
    """
    found = reached(plan, frame)
    arrays = RecordArrays(found, frame)
    earlier = [_honest(RecordArrays(with_replicates(found, k), frame)) for k in plan.earlier or ()]
    verdicts = _published(arrays) if plan.science.protocol.name == "published" else _honest(arrays)
    if earlier:
        verdicts = [_exploratory(v, [before[i] for before in earlier]) for i, v in enumerate(_honest(arrays))]
    common = OneTask(
        contenders={c.name: _contender(arrays, slot) for slot, c in enumerate(plan.science.contenders)},
        ledger=_ledger(arrays),
        data=_data(frame),
        versions={"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        unit=plan.science.task.unit,
        scale=plan.science.task.scale,
        plan_hash=plan.science.plan_hash,
    )
    own: dict[str, Any] = {"verdicts": [_with_changes(arrays, v) for v in verdicts]}
    if earlier:
        own["earlier"] = [v for found in earlier for v in found]
    return {**plain(common), **plain(own)}


def _published(arrays: RecordArrays) -> list[PublishedVerdict]:
    contenders = arrays.plan.science.contenders
    scores = {c.name: float(arrays.curves(slot, "test")[0, 0, -1]) for slot, c in enumerate(contenders)}
    return conclude(arrays.task, contenders[0].name, scores)


def _honest(arrays: RecordArrays) -> list[TaskVerdict]:
    science = arrays.plan.science
    verdicts = judge(
        [arrays.contender(slot) for slot in range(len(science.contenders))],
        science.task,
        science.protocol,
        test_floor=arrays.floors("test_floor"),
        validation_floor=arrays.floors("validation_floor"),
        seed=science.seed,
        test_fraction=arrays.test_fraction,
        step=arrays.step,
    )
    return [
        replace(v, details=replace(v.details, speed=_speed(arrays, slot))) for slot, v in enumerate(verdicts, start=1)
    ]


def _exploratory(verdict: TaskVerdict, earlier: Sequence[TaskVerdict]) -> TaskVerdict:
    """The verdict, marked as exploratory in sentence and details, for these on the same candidate were seen before it.

    `earlier`: that of the first plan first. Whoever adds replicates until the answer suits has no error rate left.
    """
    first, said = earlier[0], verdict.sentence
    sentence = (
        f"Exploratory, for {first.replicates} replicates were planned and their verdict, {first.outcome}, was seen before "
        f"more were added: {said[:1].lower()}{said[1:]}"
    )
    seen = [Earlier(v.replicates, v.outcome, v.difference, v.ci_low, v.ci_high) for v in earlier]
    return replace(verdict, sentence=sentence, details=replace(verdict.details, exploratory=True, earlier=seen))


def _speed(arrays: RecordArrays, slot: int) -> Speed | None:
    """Epochs to the tuned baseline's median final validation score less one margin."""
    task, protocol = arrays.task, arrays.protocol
    baseline, candidate = (task.sign * arrays.curves(s, "validation") for s in (0, slot))
    target = speed.target_of(baseline[:, :, -1], task.margin)
    if target is None:
        return None
    candidates = len(arrays.plan.science.contenders) - 1
    found = speed.compare(candidate, baseline, target, protocol, candidates, arrays.test_fraction)
    return replace(found, target=task.sign * target)


def _contender(arrays: RecordArrays, slot: int) -> ContenderResult:
    """What came of one contender; scores in file units, diverged runs at the floor."""
    info = arrays.plan.science.contenders[slot]
    replicates = range(arrays.protocol.replicates)
    chosen = [arrays.chosen(slot, k) for k in replicates]
    studies = [arrays.study(slot, k) for k in replicates]
    tests = arrays.curves(slot, "test")[:, :, -1]
    scores = floored(tests, arrays.floors("test_floor"))
    return ContenderResult(
        hyperparameters=_typical(chosen, info.space),
        chosen=chosen,
        score_mean=float(scores.mean()),
        score_sd=float(scores.mean(axis=1).std(ddof=1)) if len(scores) > 1 else None,
        seed_sd=float(np.sqrt(scores.var(axis=1, ddof=1).mean())) if scores.shape[1] > 1 else None,
        diverged=int(np.sum(~np.isfinite(tests))),
        final_runs=tests.size,
        diverged_trials=int(sum(np.sum(~np.isfinite(s.validation)) for s in studies)),
        trials=len(studies) * arrays.protocol.trials,
        tuning_curve=[[float(s.test[t]) for t in s.incumbents] for s in studies],
        good_range=_good_range(arrays, slot),
        fallbacks=_counted(arrays, slot, "fallback"),
        note=info.note,
        pilot=_pilot(arrays, slot) if info.pilot else UNSET,
        changed=_counted(arrays, slot, "changed") or UNSET,
    )


def _pilot(arrays: RecordArrays, slot: int) -> PilotResult:
    rows, found = arrays.members(slot, "pilot"), arrays.plan.science.contenders[slot].space["lr"]
    assert isinstance(found, Float)
    return PilotResult(len(rows), int((rows["diverged"] > 0).sum()), (found.low, found.high))


def _counted(arrays: RecordArrays, slot: int, name: Literal["fallback", "changed"]) -> dict[str, int]:
    """How many of a contender's members have something to tell there, by what it is."""
    rows = pl.concat([arrays.members(slot, phase) for phase in PHASES])
    counted = rows.filter(pl.col(name) != "").group_by(name).len().sort(name)
    return {row[name]: row["len"] for row in counted.to_dicts()}


def _with_changes(arrays: RecordArrays, verdict: TaskVerdict | PublishedVerdict) -> TaskVerdict | PublishedVerdict:
    """The verdict, whose sentence also says which schedules its two were given, and what they change in their processes."""
    names = [c.name for c in arrays.plan.science.contenders]
    told = [
        changes_sentence(name, list(changed))
        for name in (verdict.candidate, verdict.baseline)
        if (changed := _counted(arrays, names.index(name), "changed"))
    ]
    if arrays.protocol.second:
        science, two = arrays.plan.science, (verdict.candidate, verdict.baseline)
        told = [schedules_sentence(science.contenders, *two), *told, _pilots_sentence(science, *two)]
    return replace(verdict, sentence=verdict.sentence + "".join(told)) if any(told) else verdict


def schedules_sentence(contenders: Sequence[ContenderInfo], candidate: str, baseline: str) -> str:
    """Which schedules the two have, where their names don't say so, in a sentence that follows another; else empty."""
    own = {c.name: c.schedule for c in contenders if c.name in (candidate, baseline)}
    given = {name: schedule for name, schedule in own.items() if schedule and f"+{schedule}" not in name}
    if len(given) == 2 and len(set(given.values())) == 1:
        return f" Both have the schedule {given[candidate]}."
    return "".join(f" {name} has the schedule {given[name]}." for name in (candidate, baseline) if name in given)


def _pilots_sentence(science: Science, *names: str) -> str:
    """That too many replicates to make up for its luck share a pilot's range, in a sentence that follows another; else empty."""
    shared = [c.name for c in science.contenders if c.name in names and c.pilot]
    count = science.protocol.replicates
    if count <= SHARED or not shared:
        return ""
    return (
        f" All {count} replicates searched the ranges that pilots found for {listed(shared)}, whose luck they share: a small "
        "difference may be due to that."
    )


def changes_sentence(name: str, changes: Sequence[str]) -> str:
    """What a contender changes in its process while it trains, in a sentence that follows another."""
    return (
        f" While {name} trains it changes {' and '.join(changes)}, which was put back: it was kept in processes of its own, and "
        "its own numbers may be due to that."
    )


def _good_range(arrays: RecordArrays, slot: int) -> dict[str, tuple[float, float]]:
    """Of each ordered hyperparameter, where the expected validation score is within one margin of its best."""
    studies = [arrays.study(slot, k) for k in range(arrays.protocol.replicates)]
    positions = np.concatenate([s.positions for s in studies])
    turned = np.concatenate([s.turned for s in studies])
    found: dict[str, tuple[float, float]] = {}
    for column, (name, dimension) in enumerate(arrays.plan.science.contenders[slot].space.items()):
        if not isinstance(dimension, Choice):
            low, high = good_range(positions[:, column], turned, arrays.task.margin)
            found[name] = dimension.from_unit(low), dimension.from_unit(high)
    return found


def _typical(chosen: list[Hyperparameters], space: Space) -> Hyperparameters:
    """Of each hyperparameter the median chosen value (the lower of the two middle ones), of a choice the commonest."""
    middle: Hyperparameters = {}
    for name, dimension in space.items():
        values = [c[name] for c in chosen]
        middle[name] = statistics.mode(values) if isinstance(dimension, Choice) else statistics.median_low(values)  # type: ignore[type-var]
    return middle


def _ledger(arrays: RecordArrays) -> dict[str, dict[Phase, Spent]]:
    """Trainings, steps allotted to them and gradients spent, by contender and phase."""
    spent: dict[str, dict[Phase, Spent]] = {}
    for slot, contender in enumerate(arrays.plan.science.contenders):
        for phase in PHASES if contender.pilot else PHASES[1:]:
            rows = arrays.members(slot, phase)
            spent.setdefault(contender.name, {})[phase] = Spent(
                trainings=len(rows),
                allotted_steps=arrays.steps_per_epoch * arrays.task.epochs * len(rows),
                gradient_evaluations=int(rows["gradient_evaluations"].sum()),
            )
    return spent


def _data(frame: pl.DataFrame) -> dict[str, str]:
    """The digest of each replicate's data set, as its members saw it."""
    seen = frame.group_by("replicate").agg(pl.col("digest").unique().sort()).sort("replicate")
    return {str(row["replicate"]): ",".join(row["digest"]) for row in seen.to_dicts()}
