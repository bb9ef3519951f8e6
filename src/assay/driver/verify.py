"""Is a record what it says it is? Everything is computed again from the plan and the members; torch isn't needed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay import seeds
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached, with_replicates
from assay.answer.result import result
from assay.controls import lengths, verified
from assay.controls.judged import controls_record, has_controls, judged
from assay.controls.plan import FOLDER, skipped
from assay.core import Contender, Curves, Member
from assay.errors import BrokenRecord, NoVerdict, UsageError
from assay.record import RunFolder, chunks, manifest
from assay.record import extend as longer
from assay.record.documents import read_data
from assay.record.plan import read_plan
from assay.record.suite import NAME as SUITE_NAME
from assay.record.suite import is_suite, open_suite

FIRST_EPOCH_TOLERANCE = 0.02  # relative, on another CPU model: rounding has hardly grown by then


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a run folder, or that of a suite, a line each; nothing if it is sound. Exact on any machine.

    Raises:
        UsageError: no run folder, or one of another version.
    """
    changed = manifest.changes(path)
    yield from manifest.brief(changed)
    try:
        yield from _suite(path) if is_suite(path) else _recomputed(path)
    except Exception as error:
        if not changed or not manifest.sealed(path):
            raise
        yield f"the rest can't be computed again ({type(error).__name__}: {error})"


def _recomputed(path: Path) -> Iterator[str]:
    folder = RunFolder.open(path)
    try:
        frame = folder.frame()
        findings = RecordArrays(reached(folder.plan, frame), frame)
        yield from _misnamed(folder)
        if has_controls(folder):
            yield from _misnamed(controls_record(folder), f"{FOLDER}/")
            yield from verified.faults(folder, findings)
        yield from _wrong_seeds(findings)
        yield from _unpaired(frame, folder.plan.science.task.generated)
        yield from _not_as_chosen(findings)
        yield from _another_answer(folder, frame)
        yield from _other_beginnings(folder, frame)
    except BrokenRecord as error:
        yield str(error)


def _suite(path: Path) -> Iterator[str]:
    """Every run of a suite by itself, then the answer across them."""
    from assay.answer.suite import read, result_across

    suite, runs = open_suite(path), []
    for entry in suite.entries:
        with contextlib.suppress(NoVerdict):  # which is then what the members give
            yield from (f"{entry.folder}: {fault}" for fault in faults(path / entry.folder))
        found = read_plan(path / entry.folder).science.plan_hash
        if found != entry.plan_hash:
            yield f"{entry.folder}: its plan isn't the one that {SUITE_NAME} names"
        runs.append(read(entry, path))
    yield from _differing(path, result_across(suite, runs))


def _misnamed(folder: RunFolder, where: str = "") -> Iterator[str]:
    """Chunk files are named by a hash of the plan and their members."""
    for path in sorted(folder.members.glob("*.parquet")):
        if folder.key(chunks.to_members(chunks.read(path))) != path.stem:
            yield f"{where}members/{path.name} isn't named by the members in it and this plan"


def _wrong_seeds(findings: RecordArrays) -> Iterator[str]:
    """Every member has the seeds that the plan gives it, the same for all contenders."""
    science = findings.plan.science
    for slot, contender in enumerate(science.contenders):
        for phase in ("tune", "final"):
            for found in chunks.to_members(findings.members(slot, phase)):
                if not seeds.fit(science.seed, science.protocol.name, found):
                    yield f"{contender.name}, {phase} {found.index} of replicate {found.replicate}: not the plan's seeds"


def _unpaired(frame: pl.DataFrame, generated: bool) -> Iterator[str]:
    """Within a replicate, everyone saw the same data; between replicates of generated data, never the same."""
    per_replicate = frame.group_by("replicate").agg(pl.col("digest").n_unique().alias("sets"))
    for row in per_replicate.filter(pl.col("sets") > 1).sort("replicate").to_dicts():
        yield f"replicate {row['replicate']}: its members did not all see the same data"
    if generated and frame["digest"].n_unique() < frame["replicate"].n_unique():
        yield "two replicates saw the same data"


def _not_as_chosen(findings: RecordArrays) -> Iterator[str]:
    """The final runs have the hyperparameters that the protocol chooses from the trials."""
    for slot, contender in enumerate(findings.plan.science.contenders):
        for member in chunks.to_members(findings.members(slot, "final")):
            if member.hyperparameters != findings.chosen(slot, member.replicate):
                yield (
                    f"{contender.name}, final run {member.index} of replicate {member.replicate}: "
                    "not at the hyperparameters that its trials choose"
                )


def _another_answer(folder: RunFolder, frame: pl.DataFrame) -> Iterator[str]:
    """`result.json` says what the members say. Library versions are those of the run, not of this machine."""
    content = result(folder.plan, frame)
    if has_controls(folder):
        content["controls"] = judged(folder)
    yield from _differing(folder.path, content)


def _other_beginnings(folder: RunFolder, frame: pl.DataFrame) -> Iterator[str]:
    """Of a record that was made longer: the answers it gave before are what its first replicates give."""
    place = folder.path / longer.EARLIER
    for name in sorted({p.name for p in place.glob("*")} - {str(count) for count in folder.plan.earlier or ()}):
        yield f"{longer.EARLIER}/{name} is an earlier verdict that plan.json doesn't tell of"
    for count in folder.plan.earlier or ():
        where = f"{longer.EARLIER}/{count}/"
        try:
            plan = read_plan(folder.path / where)
        except UsageError as error:
            yield str(error)
            continue
        wanted = with_replicates(folder.plan, count).science
        if plan.science != wanted:
            yield f"{where}plan.json is not the plan of this record's first {count} replicates"
            continue
        yield from _differing(folder.path / where, result(plan, frame.filter(pl.col("replicate") < count)), where)


def _differing(path: Path, found: dict[str, Any], where: str = "") -> Iterator[str]:
    try:
        written = read_data(path / "result.json")
    except (OSError, ValueError) as error:
        yield f"{where}result.json can't be read ({error})"
        return
    computed = json.loads(json.dumps(found))
    for key in sorted(computed.keys() | written.keys()):
        if key != "versions" and not _same(computed.get(key), written.get(key)):
            yield f"{where}result.json: {key} is not what the members give"


def _same(a: Any, b: Any) -> bool:
    """Equal, numbers to 1e-12 relative: another machine's mathematics library may round its last digit differently."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= 1e-12 * max(abs(a), abs(b))
    return a == b


@dataclass(frozen=True)
class Retrained:
    """A member trained once more: `exact` if every number of its curves is the same, else `sound` within tolerance."""

    member: Member
    contender: str
    exact: bool
    sound: bool
    first_loss: tuple[float, float]  # mean loss of the first epoch: recorded, now


def retrain(path: Path, number: int, workers_: int | None = None) -> list[Retrained]:
    """Train `number` members drawn at random once more, and compare what they leave with the record.

    On the CPU model and torch of the record the curves must be the same to the bit. Elsewhere rounding acts like
    another seed in the long run, so the first epoch's mean loss is compared, to 2 %.

    Raises:
        UsageError: contenders that can't be made again from their references, or whose source has changed.
    """
    from assay.contenders import again
    from assay.driver import plan as planning
    from assay.driver.scheduler import gather
    from assay.tasks import again as task_again
    from assay.training.numerics import cpu_model, torch_build
    from assay.workers import local as workers

    if is_suite(path):
        raise UsageError(
            f"{path} holds several runs; retrain members of one: assay verify {path}/TASK --retrain {number}"
        )
    folder = RunFolder.open(path)
    plan = folder.plan
    if number < 1:
        raise UsageError(f"--retrain {number}: it must be 1 at least")
    contenders = again(plan.science.contenders)
    task = planning.for_protocol(task_again(plan.science.task), plan.science.protocol.name)
    records = [_Record(folder, contenders)]
    if has_controls(folder):
        records.append(_controls(controls_record(folder), contenders))
    places = [(record, i) for record in records for i in range(len(record.frame))]
    chosen = np.random.default_rng().choice(len(places), size=min(number, len(places)), replace=False)
    drawn = [
        (record, chunks.to_members(record.frame[i])[0])
        for record, i in (places[int(place)] for place in sorted(chosen))
    ]
    then = plan.numerics[0]
    same_machine = (cpu_model(), torch_build()) == (then.cpu, then.torch)
    packed_task = workers.pack(task)
    calls = [
        (
            workers.train_chunk,
            (
                packed_task,
                workers.pack(record.contenders[m.slot]),
                record.together[_place(m)][0],
                record.folder.plan.numerics[m.slot],
            ),
        )
        for record, m in drawn
    ]
    with workers.pool(workers_ or workers.cores()) as pool:
        trained = gather(pool, calls, lambda i: None)
    found: list[Retrained] = []
    for (record, member), now in zip(drawn, trained, strict=True):
        chunk, recorded = record.together[_place(member)]
        i = chunk.index(member)
        first = float(recorded.train_loss[i, 0]), float(now.train_loss[i, 0])
        exact = _equal(recorded, now, i)
        close = bool(np.isclose(*first, rtol=FIRST_EPOCH_TOLERANCE, equal_nan=True))
        name = record.folder.plan.science.contenders[member.slot].name
        found.append(Retrained(member, name, exact, exact or (close and not same_machine), first))
    return found


class _Record:
    """A record whose members can be trained again."""

    def __init__(self, folder: RunFolder, contenders: Sequence[Contender]) -> None:
        self.folder, self.contenders = folder, contenders
        self.frame, self.together = folder.frame(), _chunks(folder)


def _controls(record: RunFolder, contenders: tuple[Contender, ...]) -> _Record:
    from assay.driver.controls import objects

    science, count = record.plan.science, len(contenders)
    tables = {
        slot: skipped(science.contenders[count + 1 + slot]) or lengths.read(record.path, slot)
        for slot in range(1, count)
    }
    return _Record(record, objects(contenders, science, tables))


def _place(member: Member) -> tuple[int, str, int, int]:
    return member.slot, member.phase, member.replicate, member.index


def _chunks(folder: RunFolder) -> dict[tuple[int, str, int, int], tuple[list[Member], Curves]]:
    """For every member the chunk that it was trained in: what engine a chunk ends up with may depend on all of it."""
    found: dict[tuple[int, str, int, int], tuple[list[Member], Curves]] = {}
    for path in sorted(folder.members.glob("*.parquet")):
        frame = chunks.read(path)
        members, curves = chunks.to_members(frame), chunks.to_curves(frame)
        found |= {_place(m): (members, curves) for m in members}
    return found


def _equal(a: Curves, b: Curves, i: int) -> bool:
    """Is member i the same in both, to the bit?"""
    names = ("validation", "test", "train_loss", "grad_norm", "update_norm", "diverged", "gradient_evaluations")
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return a.data[i] == b.data[i] and all(
        (x is None and y is None) or (x is not None and y is not None and np.array_equal(x[i], y[i], equal_nan=True))
        for x, y in pairs
    )
