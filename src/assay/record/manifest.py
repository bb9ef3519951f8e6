"""The list of a run folder's files with their hashes, which catches and names whatever changed since it was written.

Whoever forges a file can write the list anew. So there is one hash over all that the answer rests on, the root, to be
published with the answer: what it proves is in docs/record.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from assay.core import digest
from assay.errors import BrokenRecord
from assay.record import layout, output
from assay.record.documents import DAMAGED, read_struct, write_struct
from assay.record.files import TEMPORARY, open_plain, set_aside

NAME = "manifest.json"
UNSEALED = (NAME, output.NAME)  # what users' code printed is no part of the record
DRAWN = (".html", ".png")  # drawn from the rest whenever it is asked for
LARGEST = 4 * 2**30  # bytes: no file of a record has more, and one that does need not be hashed to be another
RETRAINED = ("members/", "scores/", "steps/")
WORDS = {"changed": "was changed", "missing": "is missing", "added": f"is not in {NAME}", "damaged": "is damaged"}


class Manifest(msgspec.Struct, frozen=True):
    """SHA-256 of every file by its path in the folder, and of the list itself; `root`: see there. Earlier ones have none."""

    files: dict[str, str]
    digest: str
    root: str = ""


@dataclass(frozen=True)
class Change:
    """How one file differs from the manifest, or what is wrong with the manifest itself."""

    path: str  # within the folder, parted by /
    kind: Literal["changed", "missing", "added", "damaged"]

    def __str__(self) -> str:
        if self == Change(NAME, "missing"):
            return f"{NAME} is missing: the run was not finished, or the file was deleted"
        return f"{self.path} {WORDS[self.kind]}"


def seal(folder: Path) -> None:
    """Write the manifest of a finished folder."""
    files = _hashes(folder)
    write_struct(folder / NAME, Manifest(files, digest(files), _root(files)))


def root(folder: Path) -> str:
    """One hash of all that the answer rests on: everything but what is drawn from it. Computed from the files as they are.

    The root of a Merkle tree (as in RFC 6962, over SHA-256): a leaf a file, its path and its hash, in the order of paths.
    """
    return _root(_hashes(folder, most=LARGEST))


def _root(files: Mapping[str, str]) -> str:
    kept = sorted(path for path in files if not path.endswith(DRAWN))
    level = [_hash(b"\0", f"{path}\0{files[path]}".encode()) for path in kept]
    while len(level) > 1:
        odd = level[len(level) & ~1 :]  # one that is left over goes up as it is
        level = [_hash(b"\1", left, right) for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0].hex() if level else ""


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def unseal(folder: Path) -> None:
    """Take the manifest away while a command works on the folder: it is unfinished again until it is sealed."""
    (folder / NAME).unlink(missing_ok=True)


def sealed(folder: Path) -> bool:
    """Whether the folder has a manifest."""
    return (folder / NAME).exists()


def doubtful(folder: Path) -> list[Change]:
    """What differs from the manifest, drawings aside; nothing where there is no manifest yet."""
    return [c for c in changes(folder) if not c.path.endswith(DRAWN)] if sealed(folder) else []


def see_that_it_is_as_sealed(folder: Path) -> None:
    """BrokenRecord where something differs from the manifest."""
    if found := doubtful(folder):
        raise BrokenRecord(f"{folder} is not as it was sealed ({'; '.join(brief(found))}); see assay verify {folder}")


def set_changed_aside(folder: Path, found: Sequence[Change]) -> list[str]:
    """Set aside the members and scores that were changed, so that they are trained again; their names."""
    names = [c.path for c in found if c.kind == "changed" and c.path.removeprefix("controls/").startswith(RETRAINED)]
    for name in names:
        set_aside(folder / name)
    return names


def changes(folder: Path) -> list[Change]:
    """How a folder differs from its manifest; where that can't be trusted, the manifest alone.

    UsageError: there is nothing of a run's in it.
    """
    layout.see_that_it_is_a_runs(folder)
    try:
        manifest = read_struct(folder / NAME, Manifest)
    except FileNotFoundError:
        return [Change(NAME, "missing")]
    except DAMAGED:
        return [Change(NAME, "damaged")]
    if digest(manifest.files) != manifest.digest or manifest.root not in ("", _root(manifest.files)):
        return [Change(NAME, "changed")]
    listed = manifest.files
    found = _hashes(folder, listed, LARGEST)
    return [
        *(Change(path, "missing") for path in sorted(listed.keys() - found.keys())),
        *(Change(path, "changed") for path in sorted(listed.keys() & found.keys()) if found[path] != listed[path]),
        *(Change(path, "added") for path in sorted(found.keys() - listed.keys())),
    ]


def brief(found: Sequence[Change], named: int = 3) -> list[str]:
    """A line for each change; one for all missing files where there are more of them than are `named`."""
    gone = [c.path for c in found if c.kind == "missing"]
    if len(gone) <= named:
        return [str(c) for c in found]
    rest = [str(c) for c in found if c.kind != "missing"]
    return [f"{', '.join(gone[:named])} and {len(gone) - named:,} more are missing", *rest]


def _hashes(folder: Path, of: Container[str] | None = None, most: float = math.inf) -> dict[str, str]:
    """SHA-256 of each file; "" of one that isn't among those that it is wanted `of`, or has more than so many bytes."""
    found: dict[str, str] = {}
    for place in layout.files(folder):
        path = folder / place
        if path.name not in UNSEALED and path.suffix != ".damaged" and not path.name.startswith(TEMPORARY):
            # gone meanwhile: `assay status` looks on while a run works
            with contextlib.suppress(FileNotFoundError), open_plain(path) as file:
                read = (of is None or place in of) and os.fstat(file.fileno()).st_size <= most
                found[place] = hashlib.file_digest(file, "sha256").hexdigest() if read else ""
    return found
