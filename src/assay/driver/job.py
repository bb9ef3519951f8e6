"""A job: the frozen plan of a comparison on one task, with the objects that it speaks of."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from assay import seeds
from assay.contenders.schedules import see_that_it_schedules
from assay.core import (
    Contender,
    ContenderInfo,
    EngineOptions,
    Protocol,
    ProtocolOptions,
    Science,
    Task,
    TaskInfo,
    TaskOptions,
    canonical,
)
from assay.errors import UsageError
from assay.ladder import plan as ladder
from assay.record.plan import MOST

from .protocol import most_replicates, protocol_of

RUNS = Path("assay-runs")  # where folders are that nobody named
LEAST_MARGIN = 1e-37  # metrics are of float32 numbers, and the smallest of those is 1.2e-38


@dataclass(frozen=True)
class Job:
    """A comparison on one task: the science of its plan, the objects that it speaks of, and the engine asked for."""

    science: Science
    task: Task
    contenders: tuple[Contender, ...]
    folder: Path
    engine: EngineOptions
    controls: bool = False  # beside the question; no part of the science
    speedup: bool = False  # as well
    earlier: Path | None = None  # a record of the first of these contenders, whose trainings are taken over
    smallest: Path | None = None  # the record whose settings are carried over to this one, instead of tuning


def job_of(
    task: Task, contenders: tuple[Contender, ...], on: TaskOptions, protocol: ProtocolOptions, engine: EngineOptions
) -> Job:
    """The job of one task, which has no folder yet; epochs and margin are taken from `on`.

    Raises:
        UsageError: see `protocol_of` and `science_of`.
    """
    settled = protocol_of(protocol, contenders)
    if engine.precision != "float32":
        settled = msgspec.structs.replace(settled, precision=engine.precision)
    contenders = tuple(_begun(c) if settled.pilot else c for c in contenders)
    task = _overridden(task, on)
    science = science_of(task, contenders, settled, protocol.seed)
    if protocol.speedup:
        ladder.first(science)
    return Job(science, task.under(settled.name), contenders, Path(), engine, protocol.controls, protocol.speedup)


def _begun(contender: Contender) -> Contender:
    """The contender with the range that its pilot begins with."""
    return replace(contender, space={**contender.space, "lr": contender.pilot}) if contender.pilot else contender


def _overridden(task: Task, on: TaskOptions) -> Task:
    if on.epochs is not None:
        try:
            task = replace(task, epochs=operator.index(on.epochs))  # type: ignore[arg-type]
        except TypeError:
            raise UsageError(f"--epochs {on.epochs!r}: write a whole number") from None
    margin = on.margin if on.margin_in_text is None else on.margin_in_text / task.metric.scale
    if margin is None:
        return task
    if task.metric.scale == 100 and margin >= 1:
        raise UsageError(
            f"a margin of {100 * margin:g} points is all that {task.metric.name} has: one point is --margin 1 on the command "
            "line, and margin=0.01 in Python"
        )
    return replace(task, margin=margin, margin_reason="chosen by the user (--margin)")


def science_of(task: Task, contenders: Sequence[Contender], protocol: Protocol, seed: int) -> Science:
    """The science of a plan.

    Raises:
        UsageError: fewer than two contenders, epochs below 1, more epochs or trainings than a record can hold, a margin that
            is not above 0, or two replicates whose data would be drawn from one seed.
    """
    if len(contenders) < 2:
        raise UsageError("a comparison needs a baseline and at least one candidate: assay run BASELINE CANDIDATE")
    for contender in contenders:
        see_that_it_schedules(contender)
    if not 1 <= task.epochs <= MOST:
        raise UsageError(f"--epochs {task.epochs}: it must be 1 at least, and {MOST:,} at most")
    margin = f"--margin {task.margin * task.metric.scale:g} {task.metric.unit}".rstrip()
    if not (task.margin > 0 and math.isfinite(task.margin)):
        raise UsageError(f"{margin}: the smallest difference that matters must be above 0")
    if task.margin < LEAST_MARGIN:
        raise UsageError(
            f"{margin}: scores have no such digits, so that no two of them would ever count as equal; say which difference "
            "matters to you"
        )
    if isinstance(protocol.looks, tuple) and not task.generated and not protocol.second:
        raise UsageError(
            f"--looks: task {task.name} has fixed data, whose replicates overlap, so that no error can be spent over them; "
            "use --replicates, or --protocol honest, whose verdict is one on this data set"
        )
    members = len(contenders) * most_replicates(protocol) * (protocol.trials + protocol.final_seeds)
    if members > MOST:
        raise UsageError(
            f"--trials {protocol.trials} and --final-seeds {protocol.final_seeds}: {members:,} trainings, and {MOST:,} are the "
            "most that a record can hold"
        )
    drawn = [seeds.split(seed, k) % 2**32 for k in range(most_replicates(protocol))]  # as generators take them
    if len(set(drawn)) < len(drawn):
        raise UsageError(f"--seed {seed} would draw the data of two replicates alike; take another")
    return _as_read_back(
        Science(task_info(task), tuple(contender_info(c, bool(protocol.pilot)) for c in contenders), protocol, seed)
    )


def _as_read_back(science: Science) -> Science:
    """The science as it comes back from its file, so that no plan can differ from its record.

    Raises:
        UsageError: something that the file can't hold.
    """
    try:
        return msgspec.json.decode(canonical(science), type=Science)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"the plan can't be written down: {' '.join(str(error).split())}") from None


def task_info(task: Task) -> TaskInfo:
    """The task as data."""
    return TaskInfo(
        name=task.name,
        reference=task.reference,
        source=task.source,
        options=dict(task.options),
        metric=task.metric.name,
        direction=task.metric.direction,
        unit=task.metric.unit,
        scale=task.metric.scale,
        epochs=task.epochs,
        batch_size=task.batch_size,
        margin=task.margin,
        margin_reason=task.margin_reason,
        generated=task.generated,
        family=task.family,
        note=task.note,
        reach=task.reach,
        beyond=task.beyond,
    )


def contender_info(contender: Contender, piloted: bool = False) -> ContenderInfo:
    """The contender as data; `piloted`: may a pilot look for its range?"""
    return ContenderInfo(
        name=contender.name,
        reference=contender.reference,
        source=contender.source,
        space=dict(contender.space),
        fixed={k: repr(v) for k, v in contender.fixed.items()},
        schedule=getattr(contender.schedule, "__name__", None) if contender.schedule else None,
        closure=contender.closure,
        note=contender.note,
        pilot=True if contender.pilot and piloted else msgspec.UNSET,
        reach=contender.reach or msgspec.UNSET,
        beyond=contender.beyond or msgspec.UNSET,
        schedule_takes=tuple(contender.schedule_takes) or msgspec.UNSET,
    )


def default_folder(science: Science) -> Path:
    """`assay-runs/<task>-<candidate>-<hash8>`."""
    candidates = "-".join(c.name for c in science.contenders[1:])
    safe = "".join(ch if ch.isalnum() or ch in "-_.+" else "_" for ch in f"{science.task.name}-{candidates}")[:80]
    return RUNS / f"{safe}-{science.plan_hash[:8]}"


def first_lengths(job: Job) -> list[int]:
    """The lengths in epochs, beside the planned one, that the baseline is tuned at in any case; none without a ladder."""
    if not job.speedup:
        return []
    shorter, _, longer = ladder.first(job.science)
    return [shorter, longer]


def ladder_steps(science: Science) -> float:
    """Of all lengths that a ladder can come to, in multiples of the question's own."""
    p, here = science.protocol, science.task.epochs
    rung = p.replicates * (p.trials + min(ladder.FINALS, p.final_seeds))
    return rung * sum(e for e in ladder.lengths(science) if e != here) / (here * trainings(science))


def trainings(science: Science, controls: bool = False, lengths: Sequence[int] = ()) -> int:
    """How many trainings a plan asks for as planned (of two stages the first, of pilots those that they begin with).

    `controls` add a contender's for each of three, and for a replay of each candidate; `lengths` of a ladder the baseline's.
    """
    p, contenders = science.protocol, len(science.contenders)
    pilots = sum(bool(c.pilot) for c in science.contenders) * (p.pilot or 0)
    studied = contenders + (3 + contenders - 1 if controls else 0)
    climbed = len(lengths) * p.replicates * (p.trials + min(ladder.FINALS, p.final_seeds))
    return pilots + studied * p.replicates * (p.trials + p.final_seeds) + climbed
