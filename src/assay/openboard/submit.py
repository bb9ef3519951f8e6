"""A submission is written: a finished record, what is needed to train its members again, and whose it is."""

from __future__ import annotations

import hashlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from assay.contenders.load import files_of, load, module_of, source_of
from assay.contenders.schedules import split_schedule
from assay.core import Contender
from assay.driver.verify import faults
from assay.errors import UsageError
from assay.openboard.submission import (
    NAME,
    RECORD,
    SOURCE,
    VERSION,
    Submission,
    open_submission,
    sciences,
    see_that_it_is_a_line,
)
from assay.record import manifest, output
from assay.record.documents import write_struct
from assay.record.files import fault
from assay.record.outside import see_that_it_is_outside
from assay.record.suite import is_suite, open_suite


def write(record: Path, to: Path, by: str, licence: str = "", note: str = "") -> Path:
    """Write a submission of a finished record into a folder of submissions, and return where it is.

    Called where the record was made: references of contenders and tasks are followed from the working folder.

    Raises:
        UsageError: the record isn't finished or doesn't verify; a contender that was made in Python, or whose file was edited
            since or lies outside the working folder; files without a licence; no name. BrokenRecord: a damaged file.
    """
    for name, text in {"--by": by, "--licence": licence, "--note": note}.items():
        see_that_it_is_a_line(text, name)
    if not by.strip():
        raise UsageError('--by: say whose it is, as in --by "Ada Lovelace"')
    see_that_it_is_outside(to)
    if not record.is_dir():
        raise UsageError(f"there is no run folder {record}")
    if found := next(faults(record), None):
        raise UsageError(f"{record} doesn't verify: {found}")
    sources = _sources(record)
    paths = {path: Path(path) for named in sources.values() for path in named}
    if paths and not licence.strip():
        raise UsageError(
            f"--licence: say under which licence others may have {', '.join(sorted(paths))}, as in --licence MIT"
        )
    root = manifest.root(record)
    folder = to / f"{_title(record)}-{root[:12]}"
    if folder.exists():
        raise UsageError(f"{folder} is there: this record was submitted before")
    document = Submission(
        version=VERSION,
        root=root,
        by=by.strip(),
        licence=licence.strip(),
        made=f"{datetime.now(UTC):%Y-%m-%d}",
        note=note.strip(),
        sources=sources,
        files={path: hashlib.sha256(place.read_bytes()).hexdigest() for path, place in paths.items()},
    )
    try:
        _copy(record, folder, paths)
        write_struct(folder / NAME, document)
    except OSError as error:  # shutil's own, too
        shutil.rmtree(folder, ignore_errors=True)
        raise fault(error, folder) from error
    open_submission(folder)
    return folder


def _copy(record: Path, folder: Path, paths: dict[str, Path]) -> None:
    shutil.copytree(record, folder / RECORD, ignore=shutil.ignore_patterns(output.NAME))
    for path, place in paths.items():
        target = folder / SOURCE / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, target)


def _title(record: Path) -> str:
    """What its folder begins with."""
    science = sciences(record)[0]
    where = open_suite(record).title or "suite" if is_suite(record) else science.task.name
    names = [c.name for c in science.contenders[1:]]
    return "-".join("".join(c for c in word if c.isalnum() or c in "-_") for word in (where, *names[:3]))


def _sources(record: Path) -> dict[str, list[str]]:
    """The user's files by contender, or "task NAME": paths seen from the working folder."""
    found: dict[str, list[str]] = {}
    for science in sciences(record):
        for info in (science.task, *science.contenders):
            if not info.reference:
                raise UsageError(
                    f"{info.name} was given as a Python object, which nobody else could make again; give it as path/file.py:name"
                )
        for info in science.contenders:
            target = load(split_schedule(info.reference)[0])
            thing = target.make if isinstance(target, Contender) else target
            if info.source.startswith("sha256:") and source_of(thing) != info.source:
                raise UsageError(f"the source of {info.name} ({info.reference}) was edited since the record was made")
            found[info.name] = _below(files_of(thing), info.reference)
        if ".py:" in science.task.reference:
            files = files_of(module_of(science.task.reference))
            found[f"task {science.task.name}"] = _below(files, science.task.reference)
    return {name: files for name, files in found.items() if files}


def _below(files: set[str], reference: str) -> list[str]:
    """Their paths from the working folder, from where the reference has to find them again."""
    paths = [os.path.relpath(file) for file in sorted(files)]
    if Path(reference).is_absolute() or any(path.startswith("..") for path in paths):
        raise UsageError(
            f"{reference} lies outside the working folder, where nobody else would find it: run it again from a folder above "
            "it, by a path that begins there"
        )
    return [Path(path).as_posix() for path in paths]
