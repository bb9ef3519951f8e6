"""Members of a record trained once more: do they leave what they left?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from assay.contenders import again
from assay.controls.judged import controls_record, has_controls
from assay.core import Contender, Curves, Member, Numerics, Plan, WorkerOptions
from assay.driver.controls import contenders_again
from assay.driver.scheduler import Chunk, gather
from assay.errors import UsageError
from assay.record import RunFolder, chunks
from assay.record.suite import is_suite
from assay.tasks import again as task_again
from assay.training.numerics import cpu_model, torch_build
from assay.workers import jobs
from assay.workers.choose import open_workers

NO_NUMBERS = ("seconds", "fallback", "changed")  # of what a member leaves
FIRST_EPOCH_TOLERANCE = 0.02  # relative, on another CPU model: rounding has hardly grown by then


@dataclass(frozen=True)
class Retrained:
    """A member trained once more: `exact` if every number of its curves is the same, else `sound` within tolerance.

    `data`: whether they were those of the record. `unlike`: in what its engine isn't the loop, where it isn't; it isn't sound
    then.
    """

    member: Member
    contender: str
    exact: bool
    sound: bool
    first_loss: tuple[float, float]  # mean loss of the first epoch: recorded, now
    unlike: str = ""
    data: bool = True


class _Trained(NamedTuple):
    """A member on record, in the chunk that it was trained in: what engine a chunk ends up with may depend on all of it."""

    plan: Plan
    name: str
    contender: Contender
    chunk: Chunk
    rows: pl.DataFrame
    place: int

    @property
    def member(self) -> Member:
        return self.chunk[self.place]

    @property
    def row(self) -> pl.DataFrame:
        return self.rows[self.place]

    @property
    def engine(self) -> Numerics:
        return self.plan.numerics[self.member.slot]


def retrain(path: Path, number: int, asked: int | None = None) -> list[Retrained]:
    """Train `number` members drawn at random once more, and compare what they leave with the record.

    Members that an engine trained are trained by the loop, too, over their whole length in float64: what the engine and the
    loop differ in beyond rounding is named.

    On the CPU model and torch of the record the curves must be the same to the bit. Elsewhere rounding acts like
    another seed in the long run, so the first epoch's mean loss is compared, to 2 %.

    Args:
        asked: worker processes; by default as many as a run on the record's device has.
    Raises:
        UsageError: contenders that can't be made again from their references, or whose source has changed.
    """
    if is_suite(path):
        raise UsageError(
            f"{path} holds several runs; retrain members of one: assay verify {path}/TASK --retrain {number}"
        )
    if number < 1:
        raise UsageError(f"--retrain {number}: it must be 1 at least")
    folder = RunFolder.open(path)
    science, then = folder.plan.science, folder.plan.numerics[0]
    contenders = again(science.contenders)
    task = task_again(science.task).under(science.protocol.name)
    trained, tasks = _trained(folder, contenders), {id(folder.plan): task}
    if has_controls(folder):
        controls = controls_record(folder)
        tasks[id(controls.plan)] = task
        trained += _trained(controls, contenders_again(controls, contenders))
    for rung in folder.rungs():
        tasks[id(rung.plan)] = replace(task, epochs=rung.plan.science.task.epochs)
        trained += _trained(rung, contenders, f" at {rung.plan.science.task.epochs} epochs")
    chosen = np.random.default_rng().choice(len(trained), size=min(number, len(trained)), replace=False)
    drawn = [trained[i] for i in sorted(chosen)]
    packed = {plan: jobs.pack(task) for plan, task in tasks.items()}
    calls = [(jobs.train_chunk, (packed[id(t.plan)], jobs.pack(t.contender), t.chunk, t.engine)) for t in drawn]
    audited = [t for t in drawn if t.engine.engine == "vectorized" and not t.row["fallback"].item()]
    audits = [(jobs.audit_member, (packed[id(t.plan)], jobs.pack(t.contender), t.member, t.engine)) for t in audited]
    with open_workers(WorkerOptions(workers=asked), then.device) as workers:
        found = gather(workers, calls)
        unlike = dict(zip(map(id, audited), gather(workers, audits), strict=True))
    same_machine = (cpu_model(), torch_build()) == (then.cpu, then.torch)
    return [_compared(t, now, same_machine, unlike.get(id(t)) or "") for t, now in zip(drawn, found, strict=True)]


def _trained(folder: RunFolder, contenders: Sequence[Contender], at: str = "") -> list[_Trained]:
    """All members of a record, by slot, phase, replicate and index. `at`: said behind the contender's name."""
    found: list[_Trained] = []
    for path in folder.members.glob("*.parquet"):
        frame = chunks.read(path)
        chunk = chunks.to_members(frame)
        contender, name = contenders[chunk[0].slot], folder.plan.science.contenders[chunk[0].slot].name
        found += [_Trained(folder.plan, name + at, contender, chunk, frame, place) for place in range(len(chunk))]
    return sorted(found, key=lambda t: (t.member.slot, t.member.phase, t.member.replicate, t.member.index))


def _compared(then: _Trained, now: Curves, same_machine: bool, unlike: str) -> Retrained:
    before, after = (rows[then.place] for rows in (then.rows, chunks.to_frame(then.chunk, now)))
    first = before["train_loss"].item()[0], after["train_loss"].item()[0]
    exact = before.drop(NO_NUMBERS).equals(after.drop(NO_NUMBERS))
    close = bool(np.isclose(*first, rtol=FIRST_EPOCH_TOLERANCE, equal_nan=True))
    sound = (exact or (close and not same_machine)) and not unlike
    data = before["digest"].item() == after["digest"].item()
    return Retrained(then.member, then.name, exact, sound, first, unlike, data)
