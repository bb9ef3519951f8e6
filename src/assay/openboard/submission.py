"""What a submission is: a folder with a record, the sources of what was compared, and a document that says whose they are.

submission.json     who, under which licence, when, and the root of the record
record/             a sealed run folder, or that of a comparison across tasks, as `assay run` left it
source/             the files of contenders and tasks that no package brings, where their references look for them
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath

import msgspec

from assay.contenders.load import hash_of
from assay.core import Science
from assay.errors import UsageError
from assay.record import manifest
from assay.record.documents import DAMAGED, read_data, read_struct
from assay.record.files import read_bytes
from assay.record.plan import read_plan
from assay.record.suite import runs

VERSION = 1
NAME, RECORD, SOURCE = "submission.json", "record", "source"
LONGEST = 200  # characters of what is said of it
LARGEST = 2**20  # bytes of one source file
MOST = 100  # source files


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose a record is.

    `root` is that of the record (docs/record.md), `sources` the files below `source/` by contender, or task, `files` their
    SHA-256 by path.
    """

    version: int
    root: str
    by: str
    licence: str
    made: str  # UTC, as in 2026-11-30
    note: str
    sources: dict[str, list[str]]
    files: dict[str, str]


def is_submission(folder: Path) -> bool:
    """Whether there is a document of one."""
    return (folder / NAME).is_file()


def open_submission(folder: Path) -> Submission:
    """The document of a submission, which says what its record and its sources are; these are looked at, too.

    Raises:
        UsageError: of another version, damaged, or not that of this record and these sources.
    """
    try:
        version = read_data(folder / NAME).get("version")
        if version != VERSION:
            newer = isinstance(version, int) and version > VERSION
            raise UsageError(
                f"it is a submission of version {version!r}, this assay reads {VERSION}{': update assay' * newer}"
            )
        found = read_struct(folder / NAME, Submission)
    except (OSError, *DAMAGED) as error:
        raise UsageError(f"{NAME} can't be read as that of a submission ({error})") from error
    for name in ("by", "licence", "note"):
        see_that_it_is_a_line(getattr(found, name), name)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", found.made):
        raise UsageError(f"{NAME} says that it was made at {found.made[:40]!a}, which is no date")
    if found.root != manifest.root(folder / RECORD):
        raise UsageError(f"its record is not the one that it was submitted with: {NAME} says root {found.root[:16]}…")
    _see_that_sources_are_whole(folder, found)
    return found


def see_that_it_is_a_line(text: str, name: str) -> None:
    """UsageError for what isn't to be printed as one line."""
    if len(text) > LONGEST or not text.isprintable():
        raise UsageError(f"{name} {text[:40]!a}… must be one line of {LONGEST} characters at most")


def sciences(record: Path) -> list[Science]:
    """The questions that a record answers: one, or one a task."""
    return [read_plan(folder).science for folder in runs(record).values()]


def _see_that_sources_are_whole(folder: Path, found: Submission) -> None:
    """That the files are what the document says, and those of a contender what its plan was hashed from."""
    if len(found.files) > MOST:
        raise UsageError(f"it has {len(found.files)} source files, of which {MOST} at most are looked at")
    contents: dict[str, bytes] = {}
    for path, digest in found.files.items():
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise UsageError(f"its source {path[:80]!a} lies outside it")
        try:
            contents[path] = read_bytes(folder / SOURCE / path, LARGEST)
        except (OSError, ValueError) as error:
            raise UsageError(f"its source {path[:80]!a} can't be read ({error})") from error
        if hashlib.sha256(contents[path]).hexdigest() != digest:
            raise UsageError(f"its source {path[:80]!a} was changed")
    for info in {c.name: c for science in sciences(folder / RECORD) for c in science.contenders}.values():
        if not info.source.startswith("sha256:"):
            continue
        named = found.sources.get(info.name, [])
        whole = bool(named) and all(path in contents for path in named)
        if not whole or info.source != hash_of(contents[path] for path in named):
            raise UsageError(f"the source of {info.name} isn't in it: its plan was made of other files")
