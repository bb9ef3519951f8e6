"""Which files a record has: plain ones, in the folders that a run or a suite makes, and nothing that leads elsewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

from assay.errors import BrokenRecord, UsageError

SUITE = "suite.json"
OWN = ("plan.json", "manifest.json", "members", "result.json")  # any of which makes a folder a run's, damaged perhaps
LADDER = "speedup"  # the rungs of a ladder, a folder each
FOLDERS = re.compile(
    rf"((controls|{LADDER}/[0-9]{{1,9}})/)?(members|scores|steps|weights)|controls|({LADDER}|earlier)(/[0-9]{{1,9}})?"
)


def files(folder: Path) -> list[str]:
    """Every file of a record by its path in the folder, parted by /, in order. What vanishes meanwhile is not there.

    Raises:
        BrokenRecord: a link, a pipe, a device, or a name or folder that no record has. UsageError: no folder.
    """
    found, folders, suite = list[str](), [""], os.path.lexists(folder / SUITE)
    while folders:
        where = folders.pop()
        for entry in _entries(folder, where):
            place = f"{where}{entry.name}"
            if not entry.name.isprintable():
                raise BrokenRecord(f"{folder} holds {place!a}, a name that no record has: take it away")
            if entry.is_symlink():
                raise _foreign(folder / place, "is a link")
            if entry.is_dir(follow_symlinks=False):
                if not _known(place, suite):
                    raise _foreign(folder / place, "is a folder")
                folders.append(f"{place}/")
            elif entry.is_file(follow_symlinks=False):
                found.append(place)
            elif os.path.lexists(entry.path):
                raise _foreign(folder / place, "is a pipe, a socket or a device")
    return sorted(found)


def see_that_it_is_a_runs(folder: Path) -> None:
    """UsageError where a folder has nothing of a run's, with the number of those in it that have."""
    if folder.is_dir() and not any(os.path.lexists(folder / name) for name in (SUITE, *OWN)):
        within = len([*folder.glob("*/plan.json")])
        others = f"; in it: {within} run folder{'s' * (within > 1)}" if within else ""
        raise UsageError(f"{folder} is no run folder (there is no plan.json{others})")


def _entries(folder: Path, where: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder / where) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError) as error:
        if where:
            return []
        raise UsageError(f"{folder} is no run folder ({error.strerror})") from error


def _known(place: str, suite: bool) -> bool:
    """Whether a run has such a folder; the first level of a suite are the runs."""
    if not suite:
        return FOLDERS.fullmatch(place) is not None
    _, parted, within = place.partition("/")
    return not parted or FOLDERS.fullmatch(within) is not None


def _foreign(path: Path, what: str) -> BrokenRecord:
    return BrokenRecord(f"{path} {what}, and a record has none there: take it away")
