"""Are the trials on record those that the plan asks for? The studies are gone through again, with the scores on record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from assay import events
from assay.answer.arrays import RecordArrays
from assay.answer.trials import piloted
from assay.controls import plan as controls
from assay.controls.judged import Trained
from assay.core import Contender, ContenderInfo, Hyperparameters, Plan, Science
from assay.driver.controls import study_of
from assay.driver.protocol import sampler
from assay.driver.scheduler import ChunkStream
from assay.driver.study import SAMPLER, Lockstep, study_stream
from assay.record import RunFolder, chunks

OTHERS = "are not those that the plan's seeds and earlier trials ask for"
CLOSE = 1e-9  # relative: another machine's mathematics library may round its last digit differently


def faults(plan: Plan, arrays: RecordArrays) -> Iterator[str]:
    """A line for each study that has other trials than its sampler asks for, which other versions of Optuna's may.

    `arrays`: under the plan that `plan` has come to by now.
    """
    science = arrays.plan.science
    if by_others(science):
        return
    begun = RecordArrays(plan, arrays.frame)  # with the ranges that pilots begin with
    for slot, info in enumerate(plan.science.contenders):
        pilot = begun.pilot(slot)
        if pilot is not None and not _all_alike(
            [values for _, asked in piloted(plan.science, slot, pilot.process_of) for values in asked],
            pilot.hyperparameters,
        ):
            yield f"{info.name}: the trials of its pilot {OTHERS}"
    for slot, info in enumerate(science.contenders):
        for k in range(arrays.protocol.replicates):
            together = Lockstep(slot, range(k, k + 1), arrays.protocol.trials)
            stream = study_stream(science, _nobody(info), together, events.ignore)
            if not _as_asked(arrays, slot, k, stream):
                yield f"{info.name}, replicate {k}: its trials {OTHERS}"


def faults_of_controls(question: RecordArrays, folder: RunFolder) -> Iterator[str]:
    """The same of the controls' studies, the sceptic's further trials among them.

    `folder`: the record of the controls of `question`.
    """
    trained = Trained(question, folder)
    science = trained.science
    if by_others(science):
        return
    for control in trained.controls:
        if trained.skipped(control):
            continue
        arrays, info = trained.arrays(control), science.contenders[control.slot]
        for k in range(arrays.protocol.replicates):
            together = Lockstep(control.slot, range(k, k + 1), arrays.protocol.trials)
            stream = study_of(science, _nobody(info), control.kind, together, question, events.ignore)
            if not _as_asked(arrays, control.slot, k, stream):
                yield f"{controls.FOLDER}: {info.name}, replicate {k}: its trials {OTHERS}"


def by_others(science: Science) -> str:
    """The sampler that asked for the trials, where it isn't here to ask again; else ""."""
    here = SAMPLER if science.protocol.second else sampler()
    return "" if science.protocol.sampler == here else science.protocol.sampler


def _as_asked(arrays: RecordArrays, slot: int, replicate: int, stream: ChunkStream) -> bool:
    """Whether the stream of a replicate's trials, told the scores on record, asks for those on record."""
    n = arrays.protocol.trials
    rows = arrays.members(slot, "tune")[replicate * n : (replicate + 1) * n]
    there = chunks.to_members(rows)
    wanted = next(stream)
    try:
        while True:
            asked = [member for chunk in wanted for member in chunk]
            if not _all_alike([m.hyperparameters for m in asked], [there[m.index].hyperparameters for m in asked]):
                return False
            wanted = stream.send(chunks.to_curves(rows[[m.index for m in asked]]))
    except StopIteration:
        return True


def _nobody(info: ContenderInfo) -> Contender:
    """A contender of the same space, that nothing is trained of."""
    return Contender(info.name, _not_made, info.space)


def _all_alike(wanted: Sequence[Hyperparameters], there: Sequence[Hyperparameters]) -> bool:
    return len(wanted) == len(there) and all(alike(w, t) for w, t in zip(wanted, there, strict=True))


def alike(values: Hyperparameters, others: Hyperparameters) -> bool:
    """Whether hyperparameters are the same, numbers to rounding."""
    return values.keys() == others.keys() and all(_equal(value, others[name]) for name, value in values.items())


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE)
    return type(a) is type(b) and a == b


def _not_made(*_: Any, **__: Any) -> None:
    """Nothing is trained again here."""
