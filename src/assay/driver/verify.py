"""Is a record what it says it is? Everything is computed again from the plan and the members; torch isn't needed."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from assay import seeds
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached, with_replicates
from assay.answer.result import result
from assay.answer.suite import read, result_across
from assay.controls import verified
from assay.controls.judged import controls_record, has_controls, judged
from assay.controls.plan import FOLDER
from assay.errors import BrokenRecord, NoVerdict, UsageError
from assay.record import RunFolder, chunks, extend, manifest
from assay.record.documents import read_data
from assay.record.plan import read_plan
from assay.record.suite import is_suite, open_suite


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a run folder, or that of a suite, a line each; nothing if it is sound. Exact on any machine.

    Raises:
        UsageError: no run folder, or one of another version.
    """
    changed = manifest.changes(path)
    yield from manifest.brief(changed)
    try:
        yield from _suite(path) if is_suite(path) else _recomputed(path)
    except Exception as error:  # whatever comes of files that are not what was written
        if not changed or not manifest.sealed(path):
            raise
        yield f"the rest can't be computed again ({type(error).__name__}: {error})"


def _recomputed(path: Path) -> Iterator[str]:
    folder = RunFolder.open(path)
    try:
        frame = folder.frame()
        arrays = RecordArrays(reached(folder.plan, frame), frame)
        yield from _misnamed(folder)
        if has_controls(folder):
            yield from _misnamed(controls_record(folder), f"{FOLDER}/")
            yield from verified.faults(folder, arrays)
        yield from _wrong_seeds(arrays)
        yield from _unpaired(frame, folder.plan.science.task.generated)
        yield from _not_as_chosen(arrays)
        yield from _another_answer(folder, frame)
        yield from _other_beginnings(folder, frame)
    except BrokenRecord as error:
        yield str(error)


def _suite(path: Path) -> Iterator[str]:
    """Every run of a suite by itself, then the answer across them."""
    suite, runs = open_suite(path), []
    for entry in suite.entries:
        with contextlib.suppress(NoVerdict):  # which is then what the members give
            yield from (f"{entry.folder}: {fault}" for fault in faults(path / entry.folder))
        found = read_plan(path / entry.folder).science.plan_hash
        if found != entry.plan_hash:
            yield f"{entry.folder}: its plan isn't the one that suite.json names"
        runs.append(read(entry, path))
    yield from _differing(path, result_across(suite, runs))


def _misnamed(folder: RunFolder, where: str = "") -> Iterator[str]:
    """Chunk files are named by a hash of the plan and their members."""
    for path in sorted(folder.members.glob("*.parquet")):
        if folder.key(chunks.to_members(chunks.read(path))) != path.stem:
            yield f"{where}members/{path.name} isn't named by the members in it and this plan"


def _wrong_seeds(arrays: RecordArrays) -> Iterator[str]:
    """Every member has the seeds that the plan gives it, the same for all contenders."""
    science = arrays.plan.science
    for slot, contender in enumerate(science.contenders):
        for phase in ("tune", "final"):
            for found in chunks.to_members(arrays.members(slot, phase)):
                if not seeds.fit(science.seed, science.protocol.name, found):
                    yield f"{contender.name}, {phase} {found.index} of replicate {found.replicate}: not the plan's seeds"


def _unpaired(frame: pl.DataFrame, generated: bool) -> Iterator[str]:
    """Within a replicate, everyone saw the same data; between replicates of generated data, never the same."""
    per_replicate = frame.group_by("replicate").agg(pl.col("digest").n_unique().alias("sets"))
    for row in per_replicate.filter(pl.col("sets") > 1).sort("replicate").to_dicts():
        yield f"replicate {row['replicate']}: its members did not all see the same data"
    if generated and frame["digest"].n_unique() < frame["replicate"].n_unique():
        yield "two replicates saw the same data"


def _not_as_chosen(arrays: RecordArrays) -> Iterator[str]:
    """The final runs have the hyperparameters that the protocol chooses from the trials."""
    for slot, contender in enumerate(arrays.plan.science.contenders):
        for member in chunks.to_members(arrays.members(slot, "final")):
            if member.hyperparameters != arrays.chosen(slot, member.replicate):
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
    place = folder.path / extend.EARLIER
    for name in sorted({p.name for p in place.glob("*")} - {str(count) for count in folder.plan.earlier or ()}):
        yield f"{extend.EARLIER}/{name} is an earlier verdict that plan.json doesn't tell of"
    for count in folder.plan.earlier or ():
        where = f"{extend.EARLIER}/{count}/"
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
        return math.isclose(a, b, rel_tol=1e-12)
    return a == b
