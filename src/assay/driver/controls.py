"""Training the controls: the same studies, folds and final runs as the question's own, in a record of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assay import events, seeds
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.controls import lengths, plan
from assay.controls.judged import Trained, controls_record, has_controls, replayed_at
from assay.core import Contender, Numerics, Plan, Science
from assay.driver.engines import together
from assay.driver.plan import Job
from assay.driver.scheduler import Fold, chunked, gather
from assay.driver.study import final, finals, lanes, study
from assay.errors import BrokenRecord
from assay.record import RunFolder
from assay.record.extend import resume
from assay.training.numerics import torch_build
from assay.workers import local as workers


def train(fold: Fold, job: Job) -> None:
    """Train what the controls of a question lack, when the question itself is trained.

    Raises:
        UsageError: the record holds other controls. BrokenRecord: a file of theirs was changed. Interrupted: as in
            `Fold.drive`.
    """
    frame = fold.folder.frame()
    findings = RecordArrays(reached(fold.folder.plan, frame), frame)
    science = findings.plan.science
    path = fold.folder.path / plan.FOLDER
    tables = lengths.of_record(fold.folder, findings)
    if has_controls(fold.folder):  # the lengths that its members were trained with, to the bit, on whatever machine
        tables = {
            slot: t if isinstance(t, str) else _kept(fold.folder, len(tables), slot) for slot, t in tables.items()
        }
    asked = plan.science_of(science, tables)
    record = resume(path, asked, torch_build())
    contenders = objects(job.contenders, asked, tables)
    if record is None:
        numerics = _settle(fold, job, contenders, asked)
        path.mkdir(exist_ok=True)
        lengths.keep(path, tables)
        record = RunFolder.create(path, Plan(asked, numerics))
    own = Fold(record, job.task, contenders, fold.executor, fold.on_event, behind=fold.folder)
    known = [c for c in plan.controls(len(science.contenders)) if not plan.skipped(asked.contenders[c.slot])]
    _tune(own, contenders, known, findings)
    _final(own, known, findings)


def _kept(folder: RunFolder, candidates: int, slot: int) -> np.ndarray:
    record = controls_record(folder)
    table = lengths.read(record.path, slot)
    if plan.digest(table) not in record.plan.science.contenders[candidates + 2 + slot].source:
        raise BrokenRecord(
            f"{lengths.path(record.path, slot)} was changed; delete {record.path} and run the command again"
        )
    return table


def objects(
    question: tuple[Contender, ...], science: Science, tables: dict[int, np.ndarray | str]
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


def _settle(fold: Fold, job: Job, contenders: tuple[Contender, ...], science: Science) -> tuple[Numerics, ...]:
    """The question's own numerics, and those of the altered baselines; A/A is the baseline and trains as it does."""
    count, p = len(job.contenders), science.protocol
    altered = [i for i in range(count + 1, len(contenders)) if not plan.skipped(science.contenders[i])]
    fold.on_event(events.Stage("settle", len(altered)))
    population = p.replicates * (p.trials + p.final_seeds)
    asked = (job.wanted, population, *together(p), workers.cores(), seeds.split(science.seed, 0))
    calls = [(workers.settle, (fold.packed_task, workers.pack(contenders[i]), *asked)) for i in altered]
    settled = gather(fold.executor, calls, lambda i: fold.on_event(events.Settled(contenders[altered[i]].name)))
    found = dict(zip(altered, (numerics for numerics, _ in settled), strict=True))
    return tuple(fold.numerics[i] if i < count else found.get(i, fold.numerics[0]) for i in range(len(contenders)))


def _tune(fold: Fold, contenders: tuple[Contender, ...], known: list[plan.Control], findings: RecordArrays) -> None:
    science = fold.science
    p, replicates = science.protocol, range(science.protocol.replicates)
    fold.on_event(
        events.Stage("controls", sum(2 if c.kind == "sceptic" else 1 for c in known) * p.replicates * p.trials)
    )
    by_slot = {c.slot: c for c in known}
    runs = []
    for slot, width, some in lanes({c.slot: fold.numerics[c.slot] for c in known}, replicates):
        kind, contender = by_slot[slot].kind, contenders[slot]
        if kind == "sceptic":
            contender = replace(contender, name=f"{contender.name}, {2 * p.trials} trials")
            runs.append(study(science, slot, contender, some, width, fold.on_event, more=p.trials))
        elif kind == "replay":
            contender = replace(contender, space=plan.REPLAY_SPACE)
            given = replayed_at(findings)
            runs.append(study(science, slot, contender, some, width, fold.on_event, given=given))
        else:
            runs.append(study(science, slot, contender, some, width, fold.on_event))
    fold.drive(runs)
    fold.score()


def _final(fold: Fold, known: list[plan.Control], findings: RecordArrays) -> None:
    p = fold.science.protocol
    fold.on_event(events.Stage("controls_final", len(known) * p.replicates * p.final_seeds))
    trained = Trained(findings, fold.folder)
    runs = []
    for control in known:
        chosen = trained.chosen(control)
        members = finals(fold.science, control.slot, chosen, trained.first_seed(control))
        runs += [final(chunk) for chunk in chunked(members, fold.numerics[control.slot].width)]
    fold.drive(runs)
