"""Is a record what it says it is? Everything is computed again from the plan and the members; torch isn't needed.

What follows from something else in the record is derived again and compared. What was measured, and so follows from
nothing, is under the root of the record (`record.manifest`, docs/record.md).
"""

from __future__ import annotations

import contextlib
import hmac
import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from assay import seeds
from assay.answer.arrays import RecordArrays
from assay.answer.carried import carried_over
from assay.answer.cells import Judged
from assay.answer.reached import reached, with_replicates
from assay.answer.result import result
from assay.answer.suite import read, seconds_to_target, step_seconds
from assay.controls import verified
from assay.controls.judged import controls_record, has_controls, judged
from assay.controls.plan import FOLDER
from assay.core import PHASES
from assay.driver import asked
from assay.driver.timed import training_seconds
from assay.errors import BrokenRecord, NoVerdict, UsageError
from assay.export import verified as exported
from assay.ladder import across
from assay.ladder import verified as climbed
from assay.ladder.judged import has_speedup, quantile_of, timed, with_speedups
from assay.ladder.plan import FOLDER as LADDER
from assay.record import RunFolder, agreement, chunks, extend, foreign, manifest
from assay.record.documents import read_data
from assay.record.inspection import inspect
from assay.record.plan import NAME, read_plan
from assay.record.suite import Entry, Suite, is_suite, open_suite, runs
from assay.record.timings import read_timings
from assay.report import verified as reported

CLOSE = (
    1e-9  # relative: polars sums in an order of its own, and SciPy 1.16 has 11 digits of a quantile that 1.17 has 15 of
)


def faults(path: Path) -> Iterator[str]:
    """What is wrong with a run folder, or that of a suite, a line each; nothing if it is sound. Exact on any machine.

    Raises:
        UsageError: no run folder, or one of another version. BrokenRecord: something in it that no record has.
    """
    changed = manifest.changes(path)
    yield from manifest.brief(changed)
    try:
        yield from _derived(path, sound=not changed)
    except BrokenRecord as error:
        yield str(error)
    except Exception as error:  # whatever comes of files that are not what was written
        if not changed or not manifest.sealed(path):
            raise
        yield f"the rest can't be computed again ({type(error).__name__}: {error})"


def _derived(path: Path, sound: bool) -> Iterator[str]:
    """What isn't what it follows from. Where nothing else is wrong, what is drawn from it is drawn again."""
    if not is_suite(path):
        inspect(path)
    for fault in _suite(path) if is_suite(path) else _recomputed(path):
        yield fault
        sound = False
    if sound:
        yield from reported.faults(path)


def other_root(path: Path, published: str | None) -> Iterator[str]:
    """A line where the record's root is not the one that was published with its verdict."""
    if published is not None and not hmac.compare_digest(
        published.strip().lower().encode(), manifest.root(path).encode()
    ):
        yield f"the root of the record is not {published}: it is another record, or was changed since that was published"


def made_by_others(path: Path) -> list[str]:
    """A line for each page whose drawings can't be compared, and each run whose trials can't be asked for again.

    For another assay or other libraries drew them, another sampler asked for them.
    """
    pages = [path, *(folder for name, folder in runs(path).items() if name)]
    drawn = [(page, by) for page in pages if (by := reported.by_others(page))]
    samplers = [(folder, asked.by_others(read_plan(folder).science)) for folder in runs(path).values()]
    alone = () if is_suite(path) else (read_plan(path).science.protocol.carried,)
    return [
        *(
            f"its settings were carried over from {c.at}, which is checked where that is: assay verify {path.parent}"
            for c in alone
            if c
        ),
        *(f"{page / 'report.html'} and its figures were drawn by {by}: they are not compared" for page, by in drawn),
        *(f"the trials of {folder} were asked for by {by}: they are not compared" for folder, by in samplers if by),
    ]


def check_result(path: Path) -> None:
    """See that `result.json` is what the members give, so that whatever is drawn from it is, too.

    Raises:
        BrokenRecord: it isn't. UsageError: there is none yet.
    """
    if not (path / "result.json").exists():
        raise UsageError(f"{path} has no result yet; run the command that made it again, it goes on")
    if is_suite(path):
        suite = open_suite(path)
        differing = _differing(path, across.answered(suite, [read(entry, path) for entry in suite.entries], path))
    else:
        folder = RunFolder.open(path)
        differing = _another_answer(folder, folder.frame())
    if found := next(differing, None):
        raise BrokenRecord(f"{path}: {found}; see assay verify {path}")


def _recomputed(path: Path) -> Iterator[str]:
    folder = RunFolder.open(path)
    frame = folder.frame()
    arrays = RecordArrays(reached(folder.plan, frame), frame)
    yield from foreign.faults(folder)
    yield from _misnamed(folder)
    yield from agreement.faults(folder, frame)
    if has_controls(folder):
        controls = controls_record(folder)
        if not any(controls.members.glob("*.parquet")):
            yield f"{FOLDER}/: none of its trainings is there"
            return
        yield from _misnamed(controls, f"{FOLDER}/")
        yield from agreement.faults(controls, controls.frame(), f"{FOLDER}/")
        yield from verified.faults(folder, arrays)
        yield from asked.faults_of_controls(arrays, controls)
    if folder.rungs():
        yield from _ladder(folder, arrays)
    yield from _beyond(arrays)
    yield from _wrong_seeds(arrays)
    yield from _unpaired(frame, folder.plan.science.task.generated)
    yield from asked.faults(folder.plan, arrays)
    yield from _not_as_chosen(arrays)
    yield from exported.faults(path, arrays)
    yield from _another_answer(folder, frame)
    yield from _other_times(folder)
    yield from _other_beginnings(folder, frame)


def _ladder(folder: RunFolder, arrays: RecordArrays) -> Iterator[str]:
    """Every rung by itself, then the ladder that they are."""
    for entry in sorted((folder.path / LADDER).iterdir()):
        if not (entry / NAME).is_file():
            yield f"{LADDER}/{entry.name} is no rung of a ladder"
    for rung in folder.rungs():
        where = f"{LADDER}/{rung.path.name}"
        frame = rung.frame()
        own = RecordArrays(rung.plan, frame)
        faults_ = (
            *foreign.faults(rung, own={NAME}),
            *_misnamed(rung),
            *agreement.faults(rung, frame),
            *_beyond(own),
            *_wrong_seeds(own),
            *asked.faults(rung.plan, own),
            *_not_as_chosen(own),
        )
        yield from (f"{where}: {fault}" for fault in faults_)
    yield from climbed.faults(folder, arrays)


def _suite(path: Path) -> Iterator[str]:
    """Every run of a suite by itself, then the answer across them."""
    suite, judged_ = open_suite(path), list[Judged]()
    for entry in suite.entries:
        folder = path / entry.folder
        try:
            yield from (f"{entry.folder}: {fault}" for fault in _of_entry(folder))
            if not _is_planned(suite, entry, path):
                yield f"{entry.folder}: its plan isn't the one that suite.json names"
            judged_.append(read(entry, path))
        except BrokenRecord as error:
            yield f"{entry.folder}: {error}"
    if len(judged_) < len(suite.entries):
        return
    yield from _differing(path, across.answered(suite, judged_, path))
    yield from _other_times_across(path, judged_)


def _is_planned(suite: Suite, entry: Entry, path: Path) -> bool:
    """Whether a run's plan is the one named; one that settings were carried over to, with those that the first run chose."""
    science = read_plan(path / entry.folder).science
    if not suite.transfer or entry is suite.entries[0]:
        return science.plan_hash == entry.plan_hash
    first = RunFolder.open(path / suite.entries[0].folder)
    at, tuned = suite.entries[0].setting, msgspec.structs.replace(first.plan.science, task=science.task)
    try:
        (axis,) = suite.varied
        expected = carried_over(first.plan, first.frame(), science.task, suite.transfer, axis, at)
    except (ValueError, KeyError, AttributeError, ZeroDivisionError):  # sizes and a rule that no command takes together
        return False
    return science == expected and tuned.plan_hash == entry.plan_hash


def _of_entry(folder: Path) -> Iterator[str]:
    changed = manifest.changes(folder)
    yield from manifest.brief(changed)
    with contextlib.suppress(NoVerdict):  # which is then what the members give
        yield from _derived(folder, sound=not changed)


def _beyond(arrays: RecordArrays) -> Iterator[str]:
    """There are no replicates beyond those that the plan, or the record, asks for."""
    last = arrays.protocol.replicates - 1
    for k in sorted(set(arrays.frame["replicate"])):
        if k > last:
            yield f"replicate {k}: the last that the plan asks for is {last}"


def _misnamed(folder: RunFolder, where: str = "") -> Iterator[str]:
    """Chunk files are named by a hash of the plan and their members."""
    for path in sorted(folder.members.glob("*.parquet")):
        if folder.key(chunks.to_members(chunks.read(path))) != path.stem:
            yield f"{where}members/{path.name} isn't named by the members in it and this plan"


def _wrong_seeds(arrays: RecordArrays) -> Iterator[str]:
    """Every member has the seeds that the plan gives it, the same for all contenders."""
    science = arrays.plan.science
    for slot, contender in enumerate(science.contenders):
        for phase in PHASES:
            for found in chunks.to_members(arrays.members(slot, phase)):
                if not seeds.fit(science.seed, science.protocol.name, found):
                    yield f"{contender.name}, {found.words}: not the plan's seeds"


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
            if not asked.alike(member.hyperparameters, arrays.chosen(slot, member.replicate)):
                yield (
                    f"{contender.name}, final run {member.index} of replicate {member.replicate}: "
                    "not at the hyperparameters that its trials choose"
                )


def _another_answer(folder: RunFolder, frame: pl.DataFrame) -> Iterator[str]:
    """`result.json` says what the members say. Library versions are those of the run, not of this machine."""
    content = result(folder.plan, frame)
    if folder.rungs():
        content = with_speedups(folder, content)
    if has_controls(folder):
        content["controls"] = judged(folder)
    yield from _differing(folder.path, content)
    yield from _other_versions(folder)


def _other_versions(folder: RunFolder) -> Iterator[str]:
    """The versions that the plan tells of, too, are the same; others follow from nothing."""
    with contextlib.suppress(OSError, ValueError):  # said before
        versions, plan = read_data(folder.path / "result.json").get("versions"), folder.plan
        told = {"torch": plan.numerics[0].torch}
        kind, _, number = plan.science.protocol.sampler.partition(" ")
        told |= {kind: number.partition(" ")[0]} if kind == "optuna" else {}
        found: dict[str, Any] = versions if isinstance(versions, dict) else {}
        words = all(isinstance(version, str) for version in found.values())
        if not words or any(found.get(name) != version for name, version in told.items()):
            yield "result.json: versions are not those of the plan"


def _other_times(folder: RunFolder) -> Iterator[str]:
    """`timings.json`: what is summed over the members has their sum. Other times follow from nothing."""
    timings = read_timings(folder.path)
    for name, seconds in training_seconds(folder).items():
        if name in timings and not _close(timings[name], seconds):
            yield f"timings.json: {name} is not what the members took"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # said before
        verdicts = {v["candidate"]: v for v in read_data(folder.path / "result.json")["verdicts"]}
        speedups = timings.get("speedup", {})
        if not speedups.keys() <= {name for name, v in verdicts.items() if has_speedup(v)}:
            yield "timings.json: it has a speed-up in seconds of a candidate that has none in steps"
            return
        for name, found in speedups.items():
            own = timed(verdicts[name], quantile_of(verdicts[name]), found["step_ratio"], found["step_ratio_log_se"])
            if not _same(own, found):
                yield f"timings.json: the speed-up of {name} in seconds is not what its steps and their times give"


def _other_times_across(path: Path, runs: list[Judged]) -> Iterator[str]:
    timings = read_timings(path)
    expected = {
        "seconds_to_target": {r.entry.name: seconds_to_target(r) for r in runs},
        "step_seconds": {r.entry.name: step_seconds(r) for r in runs},
        "speedup": _speedups(path, runs),
    }
    for name, found in expected.items():
        if name in timings and not _same(found, timings[name]):
            yield f"timings.json: {name} is not what the members took"


def _speedups(path: Path, runs: list[Judged]) -> dict[str, dict[str, float | None]] | None:
    """Speed-ups in seconds across tasks, by each task's own times; None where a file can't be read, as is said before."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        own = {r.entry.name: read_timings(path / r.entry.folder) for r in runs}
        return across.in_timings(read_data(path / "result.json"), own)
    return None


def _close(a: Any, b: float) -> bool:
    return isinstance(a, float | int) and math.isclose(a, b, rel_tol=CLOSE)


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
        if not (key == "versions" and key in computed) and not _same(computed.get(key), written.get(key)):
            yield f"{where}result.json: {key} is not what the members give"


def _same(a: Any, b: Any, beside: float = 0.0) -> bool:
    """Equal, numbers nearly: they may have been computed with other releases, or on another machine.

    `beside`: the largest of the numbers that stand with it. Where one end of an interval is near 0, its digits are the other's.
    """
    if isinstance(a, dict) and isinstance(b, dict):
        largest = _largest(a.values())
        return a.keys() == b.keys() and all(_same(a[k], b[k], largest) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        largest = _largest(a)
        return len(a) == len(b) and all(_same(x, y, largest) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE, abs_tol=CLOSE * beside)
    return type(a) is type(b) and a == b


def _largest(values: Iterable[Any]) -> float:
    return max((abs(v) for v in values if isinstance(v, float) and math.isfinite(v)), default=0.0)
