"""Going on with a record: with the plan it has, or with more replicates than it was planned for.

A finished record that is asked for more keeps its members and its first answer, and the new one is marked. What was trained
is also taken over by a record of the same question with more contenders.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

import msgspec

from assay.core import Plan, Science
from assay.core.versions import installed
from assay.errors import AssayError, UsageError
from assay.record import manifest, output
from assay.record.documents import read_data
from assay.record.files import TEMPORARY, fault, write_bytes
from assay.record.folder import RunFolder
from assay.record.layout import LADDER
from assay.record.manifest import Change
from assay.record.plan import NAME, read_plan, write_plan

EARLIER = "earlier"
KEPT = (NAME, "result.json")
LEFT = (
    "members",
    "weights",
    "scores",
    "steps",
    "controls",
    LADDER,
    "studies.db",
    "result.json",
    "timings.json",
    manifest.NAME,
)


def resume(path: Path, science: Science, torch: str) -> RunFolder | None:
    """The record of this science in a folder, numerics and all; None where there is none yet, or its plan was lost.

    Raises:
        UsageError: the folder holds another plan, something else, or was made with another torch.
    """
    if not (path / NAME).exists():
        lost = any(path.glob("members/*.parquet"))  # its plan, and no more than that
        if path.exists() and (not path.is_dir() or any(not _is_of_a_run(p, lost) for p in path.iterdir())):
            raise UsageError(f"{path} is there and is no run folder; choose another with --out")
        return None
    plan = read_plan(path, min(2, len(science.contenders)))
    if plan.science.plan_hash != science.plan_hash:
        plan = longer_plan(path, science) or plan
    if plan.science.plan_hash != science.plan_hash:
        changed = "; ".join(plan.science.differences(science)) or "its science"
        raise UsageError(f"{path} holds another plan{made_by(path)} ({changed}); choose another folder with --out")
    made_with = plan.numerics[0].torch
    if made_with != torch:
        raise UsageError(
            f"{path} was made with torch {made_with}, this is {torch}: install that one, or choose another folder with --out"
        )
    folder = RunFolder(path, plan)
    folder.members.mkdir(exist_ok=True)
    return folder


def made_by(path: Path) -> str:
    """`, made by assay 0.1.0`, where a verdict was given and it wasn't this version."""
    try:
        version = read_data(path / "result.json")["versions"]["assay"]
    except (OSError, ValueError, KeyError):
        return ""
    return f", made by assay {version}" if version != installed("assay") else ""


def _is_of_a_run(path: Path, lost: bool) -> bool:
    """Whether it is what a command leaves in a folder: half-written, printed, or of a run that has lost its plan."""
    left = lost and (path.name in LEFT or path.name.endswith(manifest.DRAWN)) and not path.is_symlink()
    return left or path.name == output.NAME or path.name.startswith(TEMPORARY)


def longer_plan(path: Path, science: Science) -> Plan | None:
    """The plan of a finished record with the replicates that `science` asks for; None unless it asks for just more.

    A record whose replicates were decided by their spread, or by planned looks, has said itself how many there are.
    """
    if not all((path / name).exists() for name in (*KEPT, manifest.NAME)):
        return None
    plan = read_plan(path)
    before = plan.science.protocol
    longer = msgspec.structs.replace(before, replicates=science.protocol.replicates)
    grown = longer.replicates > before.replicates and msgspec.structs.replace(plan.science, protocol=longer) == science
    decided_itself = any(isinstance(x, (tuple, msgspec.Struct)) for x in (before.stages, before.looks))
    if not grown or decided_itself or before.name != "honest":
        return None
    counts = (*(plan.earlier or ()), before.replicates)
    return msgspec.structs.replace(plan, science=science, earlier=counts)


def begin(folder: RunFolder, beside: str = "") -> None:
    """Make the longer plan the record's; what the earlier one came to goes to `earlier/<replicates>`.

    A command that is killed in here finds the folder as it was, or longer; either way the same command goes on.

    Raises:
        UsageError: a longer plan with something `beside` that has the replicates it had, or a first verdict that was changed.
    """
    path = folder.path
    if folder.plan.earlier and beside:
        raise UsageError(
            f"{path} has {beside} for {folder.plan.earlier[-1]} replicates, and can't be made longer; "
            "choose another folder with --out"
        )
    on_record = read_plan(path)
    if on_record == folder.plan:
        return
    differing = {c.path for c in manifest.changes(path)}
    if changed := [name for name in (*KEPT, manifest.NAME) if name in differing]:
        raise UsageError(
            f"{path / changed[0]} was changed since the record was sealed, and is part of the first verdict: put it back, or "
            "choose another folder with --out"
        )
    kept = path / EARLIER / str(on_record.science.protocol.replicates)
    try:
        kept.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            write_bytes(kept / name, (path / name).read_bytes())
        manifest.unseal(path)
        write_plan(path, folder.plan)
        (path / "result.json").unlink(missing_ok=True)
    except OSError as error:
        raise fault(error, path) from error


def to_take_over(path: Path, science: Science, torch: str) -> RunFolder | None:
    """The record in a folder of a comparison of the first of these contenders, otherwise the same; None where there is none.

    Raises:
        UsageError: it is another comparison, or was made with another torch.
    """
    if not (path / NAME).exists():
        return None
    contenders = read_plan(path).science.contenders
    fewer = msgspec.structs.replace(science, contenders=science.contenders[: len(contenders)])
    return resume(path, fewer, torch)


def take_over(folder: RunFolder, earlier: RunFolder) -> None:
    """Copy what an earlier record has of the first contenders' trainings, and of a ladder; a file is there whole or not."""
    rungs = sorted(earlier.path.glob(f"{LADDER}/*/{NAME}"))
    # of the baseline alone, whoever the candidates are
    places = [path.relative_to(earlier.path).parent for path in rungs]
    files = [path for place in (Path(), *places) for path in sorted((earlier.path / place).glob("[ms]*s/*.parquet"))]
    for path in (*rungs, *files):
        copy = folder.path / path.relative_to(earlier.path)
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(copy, path.read_bytes())
        except OSError as error:
            raise fault(error, folder.path) from error


def check_earlier(folder: RunFolder, doubtful: Sequence[Change]) -> None:
    """The plan, and what earlier plans came to, are as they were; `doubtful` is what the manifest says.

    Raises:
        UsageError: the plan was changed, or one of its verdicts is not there, or there is one it doesn't know of.
    """
    path = folder.path
    # files that are not in the list are of a command that was killed in `begin`
    past = [c for c in doubtful if c.kind != "added" and (c.path == NAME or c.path.startswith(f"{EARLIER}/"))]
    if past:
        raise UsageError(
            f"{path}: {past[0]}; what was planned and found before can't be trained again: put it back, or choose another "
            "folder with --out"
        )
    on_record = read_plan(path)
    kept = {int(p.name) for p in (path / EARLIER).glob("*") if p.name.isdecimal()}
    known = set(on_record.earlier or ())
    if kept - {on_record.science.protocol.replicates} != known:  # killed in `begin`: its own count is there, too
        raise UsageError(
            f"{path}: plan.json and {EARLIER}/ don't tell of the same earlier verdicts; put back what was there, or choose "
            "another folder with --out"
        )


def plan_on_record(path: Path, science: Science) -> Plan | None:
    """The plan in a folder that this science goes on with: its own, or one that it would lengthen; None where there is none."""
    if not (path / NAME).exists():
        return None
    try:
        plan = read_plan(path)
        return plan if plan.science == science or longer_plan(path, science) else None
    except AssayError:  # not a record of ours to judge here
        return None


def folder_for(default: Path, science: Science) -> Path:
    """The default folder, or the one beside it that has this science already, or that it would lengthen."""
    if default.exists():
        return default
    stem = default.name.rpartition("-")[0]
    known: list[tuple[int, Path]] = []
    for file in sorted(default.parent.glob(f"{glob.escape(stem)}-????????/{NAME}")):
        if (plan := plan_on_record(file.parent, science)) is not None:
            known.append((plan.science.protocol.replicates, file.parent))
    return max(known, default=(0, default))[1]
