"""Training the controls: studies and final runs as the question's own, in a record of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from assay import events
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.controls import lengths, plan
from assay.controls.judged import Trained, controls_record, has_controls, replayed_at
from assay.core import Contender, Numerics, Science, plan_of
from assay.core.result import ControlKind
from assay.driver.estimate import settle
from assay.driver.job import Job
from assay.driver.scheduler import ChunkStream, Scheduler
from assay.driver.study import Lockstep, final_streams, in_lockstep, ranged, study_stream
from assay.errors import BrokenRecord, UsageError
from assay.record import RunFolder
from assay.record.extend import made_by, resume
from assay.training.numerics import torch_build


def train(scheduler: Scheduler, job: Job) -> None:
    """Train what the controls of a question lack, when the question itself is trained.

    Raises:
        UsageError: the record holds other controls. BrokenRecord: a file of theirs was changed. Interrupted: as in
            `Scheduler.train`.
    """
    frame = scheduler.folder.frame()
    arrays = RecordArrays(reached(scheduler.folder.plan, frame), frame)
    science = arrays.plan.science
    path = scheduler.folder.path / plan.FOLDER
    if has_controls(scheduler.folder):
        tables = _kept(controls_record(scheduler.folder), len(science.contenders))
    else:
        tables = lengths.of_record(scheduler.folder, arrays)
    asked = plan.science_of(science, tables)
    record = resume(path, asked, torch_build())
    contenders = contenders_of(ranged(job.contenders, science), asked, tables)
    if record is None:
        numerics = _numerics(scheduler, job, contenders, asked)
        path.mkdir(exist_ok=True)
        lengths.keep(path, tables)
        record = RunFolder.create(path, plan_of(asked, numerics))
    own = Scheduler(record, job.task, contenders, scheduler.workers, scheduler.on_event, behind=scheduler.folder)
    own.data = scheduler.data
    known = [c for c in plan.controls(len(science.contenders)) if not plan.skipped(asked.contenders[c.slot])]
    _tune(own, contenders, known, arrays)
    _final(own, known, arrays)


def refuse_other_code(folder: RunFolder) -> None:
    """UsageError where a record's controls were made by code that is no longer this one's: they can be read, not gone on with."""
    record = controls_record(folder)
    made = [info for info in record.plan.science.contenders if info.reference.startswith(plan.OWN)]
    if any(plan.code() not in info.source and not plan.skipped(info) for info in made):
        raise UsageError(
            f"{record.path} was altered by other code{made_by(folder.path)}: assay verify and assay report read it, but it can't "
            "be gone on with; choose another folder with --out"
        )


def _kept(record: RunFolder, count: int) -> dict[int, np.ndarray | str]:
    """By slot, the lengths that a record's replays were trained with, to the bit, on whatever machine; or why they weren't.

    `count`: of the question's contenders. BrokenRecord where lengths were changed.
    """
    found = dict[int, np.ndarray | str]()
    for slot in range(1, count):
        info = record.plan.science.contenders[count + 1 + slot]
        found[slot] = table = plan.skipped(info) or lengths.read(record.path, slot)
        if not isinstance(table, str) and plan.digest(table) not in info.source:
            changed = lengths.path(record.path, slot)
            raise BrokenRecord(f"{changed} was changed; delete {record.path} and run the command again")
    return found


def contenders_again(record: RunFolder, question: tuple[Contender, ...]) -> tuple[Contender, ...]:
    """The contenders of a record of controls, from those of its question."""
    return contenders_of(question, record.plan.science, _kept(record, len(question)))


def contenders_of(
    question: tuple[Contender, ...], science: Science, tables: Mapping[int, np.ndarray | str]
) -> tuple[Contender, ...]:
    """The contenders of the controls' plan: those of the question, and the baseline as each control alters it."""
    import torch

    from assay.controls.altered import MakeHalted, MakeReplayed

    baseline, infos = question[0], science.contenders[len(question) :]
    source = f"{baseline.source}; {plan.code()}"
    again, halted, *replays = (replace(baseline, name=info.name, note=info.note) for info in infos)
    made = [again, replace(halted, make=MakeHalted(baseline), source=source)]
    for slot, contender in enumerate(replays, start=1):
        table = tables[slot]
        steps = torch.zeros(1, 1) if isinstance(table, str) else torch.from_numpy(table)  # zeros: never trained
        space = {**baseline.space, **plan.REPLAY_SPACE}  # all that differs between members, for the engine
        made.append(replace(contender, make=MakeReplayed(baseline, steps), space=space, source=source))
    return (*question, *made)


def _numerics(
    scheduler: Scheduler, job: Job, contenders: tuple[Contender, ...], science: Science
) -> tuple[Numerics, ...]:
    """The question's own numerics, and those of the altered baselines; A/A is the baseline and trains as it does."""
    count = len(job.contenders)
    altered = [i for i in range(count + 1, len(contenders)) if not plan.skipped(science.contenders[i])]
    asked = replace(job, science=science, contenders=tuple(contenders[i] for i in altered))
    settled = dict(zip(altered, settle(scheduler.workers, asked, scheduler.on_event)[0], strict=True))
    own = scheduler.numerics
    return tuple(own[i] if i < count else settled.get(i, own[0]) for i in range(len(contenders)))


def _tune(
    scheduler: Scheduler, contenders: tuple[Contender, ...], known: list[plan.Control], arrays: RecordArrays
) -> None:
    science, p = scheduler.science, scheduler.science.protocol
    studies = sum(2 if c.kind == "sceptic" else 1 for c in known)
    scheduler.on_event(events.Stage("controls", studies * p.replicates * p.trials))
    kinds: dict[int, ControlKind] = {c.slot: c.kind for c in known}
    streams: list[ChunkStream] = []
    for together in in_lockstep(science, {slot: scheduler.numerics[slot] for slot in kinds}, range(p.replicates)):
        contender, kind = contenders[together.slot], kinds[together.slot]
        streams.append(study_of(science, contender, kind, together, arrays, scheduler.on_event))
    scheduler.train(streams)
    scheduler.score()


def study_of(
    science: Science,
    contender: Contender,
    kind: ControlKind,
    together: Lockstep,
    question: RecordArrays,
    on_event: events.OnEvent,
) -> ChunkStream:
    """Studies of a control: as `study_stream`, of the sceptic twice as many trials, of a replay the multiplier alone."""
    n, more, given = science.protocol.trials, 0, None
    if kind == "sceptic":
        contender, more = replace(contender, name=f"{contender.name}, {2 * n} trials"), n
    elif kind == "replay":
        contender, given = replace(contender, space=plan.REPLAY_SPACE), replayed_at(question)
    return study_stream(science, contender, together, on_event, more=more, given=given)


def _final(scheduler: Scheduler, known: list[plan.Control], arrays: RecordArrays) -> None:
    science, p = scheduler.science, scheduler.science.protocol
    scheduler.on_event(events.Stage("controls_final", len(known) * p.replicates * p.final_seeds))
    trained = Trained(arrays, scheduler.folder)
    streams: list[ChunkStream] = []
    for control in known:
        chosen, first = trained.chosen(control), trained.first_seed(control)
        streams += final_streams(science, control.slot, chosen, scheduler.numerics[control.slot].chunk_size, first)
    scheduler.train(streams)
