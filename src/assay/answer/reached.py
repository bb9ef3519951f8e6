"""What a record has come to: how many replicates, which two stages or looks decide, and the ranges that pilots found."""

from __future__ import annotations

import msgspec
import polars as pl

from assay.answer.arrays import RecordArrays
from assay.answer.trials import piloted
from assay.core import ContenderInfo, Plan, Stages
from assay.errors import BrokenRecord
from assay.judge import pilot, two_stage
from assay.judge.decide import outcome
from assay.space import Float


def reached(plan: Plan, frame: pl.DataFrame) -> Plan:
    """The plan with as many replicates as the record says: more than planned only with two stages (`two_stage`) or looks.

    Until the first stage or look is on record, whole, the plan stays what it is. So do ranges until their pilots are; then
    they are what these found.
    """
    plan = with_ranges(plan, frame)
    science, stages, looks = plan.science, plan.science.protocol.stages, plan.science.protocol.looks
    if isinstance(looks, tuple):
        for look in looks:
            plan = with_replicates(plan, look)
            if _undecided(plan, frame, looks) is not True:
                break
        return plan
    if not isinstance(stages, Stages):
        return plan
    first = RecordArrays(plan, frame)
    slots = range(1, len(science.contenders))
    try:
        differences, same = [first.differences(slot) for slot in slots], [first.same(slot) for slot in slots]
    except BrokenRecord:
        return plan
    asked = first.deciding.asked_by(differences, same)
    return with_replicates(plan, two_stage.reached(asked, stages.first, stages.most))


def with_ranges(plan: Plan, frame: pl.DataFrame) -> Plan:
    """The plan with the ranges that pilots found, as far as these are on record, whole."""
    science = plan.science
    if not any(info.pilot for info in science.contenders):
        return plan
    arrays = RecordArrays(plan, frame)
    infos = tuple(_found(arrays, slot) if info.pilot else info for slot, info in enumerate(science.contenders))
    return msgspec.structs.replace(plan, science=msgspec.structs.replace(science, contenders=infos))


def _found(arrays: RecordArrays, slot: int) -> ContenderInfo:
    info, study = arrays.plan.science.contenders[slot], arrays.pilot(slot)
    if study is None:
        return info
    planned = 0
    for trials, _ in piloted(arrays.plan.science, slot, study.process_of):
        planned = trials.stop
        if len(study.hyperparameters) < planned:
            return info
    start = info.space["lr"]
    best = pilot.best_of(study.process_of(planned), list(info.space).index("lr"))
    assert isinstance(start, Float)
    return msgspec.structs.replace(info, space={**info.space, "lr": pilot.range_around(start, best)})


def _undecided(plan: Plan, frame: pl.DataFrame, looks: tuple[int, ...]) -> bool | None:
    """Whether a look leaves a candidate inconclusive; None where it can't be taken yet."""
    arrays, science = RecordArrays(plan, frame), plan.science
    slots = range(1, len(science.contenders))
    try:
        intervals = [arrays.deciding.interval(arrays.differences(slot), arrays.same(slot)) for slot in slots]
    except BrokenRecord:
        return None
    return any(outcome(i.low, i.high, science.task.margin) == "inconclusive" for i in intervals)


def with_replicates(plan: Plan, replicates: int) -> Plan:
    """The plan with another number of replicates."""
    science = plan.science
    protocol = msgspec.structs.replace(science.protocol, replicates=replicates)
    return msgspec.structs.replace(plan, science=msgspec.structs.replace(science, protocol=protocol))
