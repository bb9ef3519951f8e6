"""The list of a run folder's files with their hashes, which catches and names whatever changed since it was written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from assay.core import canonical, digest
from assay.record.files import TEMPORARY, set_aside, write_bytes

NAME = "manifest.json"


class Manifest(msgspec.Struct, frozen=True):
    """SHA-256 of every file by its path in the folder, and of the list itself."""

    files: dict[str, str]
    digest: str


def seal(folder: Path) -> None:
    """Write the manifest of a finished folder."""
    files = _hashes(folder)
    write_bytes(folder / NAME, msgspec.json.format(canonical(Manifest(files, digest(files))), indent=2) + b"\n")


def unseal(folder: Path) -> None:
    """Take the manifest away while a command works on the folder: it is unfinished again until it is sealed."""
    (folder / NAME).unlink(missing_ok=True)


def doubtful(folder: Path, drawn: tuple[str, ...] = (".html", ".png")) -> list[str]:
    """What differs from the manifest, drawings aside; nothing where there is no manifest yet."""
    lines = changes(folder) if (folder / NAME).exists() else []
    return [line for line in lines if not line.partition(" ")[0].endswith(drawn)]


def set_changed_aside(folder: Path, lines: list[str]) -> list[str]:
    """Set aside the members and scores that `doubtful` names as changed, so that they are trained again; their names."""
    found = [line.partition(" ")[0] for line in lines if line.endswith(" was changed")]
    names = [name for name in found if name.removeprefix("controls/").startswith(("members/", "scores/", "steps/"))]
    for name in names:
        set_aside(folder / name)
    return names


def changes(folder: Path) -> list[str]:
    """What differs from the manifest, a line for each file: changed, missing, or not in the list."""
    try:
        manifest = msgspec.json.decode((folder / NAME).read_bytes(), type=Manifest)
    except FileNotFoundError:
        return [f"{NAME} is missing: the run was not finished, or the file was deleted"]
    except (msgspec.MsgspecError, ValueError):
        return [f"{NAME} is damaged"]
    if digest(manifest.files) != manifest.digest:
        return [f"{NAME} was changed"]
    found = _hashes(folder)
    return [
        *(f"{name} is missing" for name in sorted(manifest.files.keys() - found.keys())),
        *(
            f"{name} was changed"
            for name in sorted(manifest.files)
            if found.get(name, manifest.files[name]) != manifest.files[name]
        ),
        *(f"{name} is not in {NAME}" for name in sorted(found.keys() - manifest.files.keys())),
    ]


def brief(lines: list[str], named: int = 3) -> list[str]:
    """What `changes` found, files that are missing in one line where there are more of them than are `named`."""
    gone = [line for line in lines if line.endswith(" is missing")]
    if len(gone) <= named:
        return lines
    names = ", ".join(line.removesuffix(" is missing") for line in gone[:named])
    return [
        f"{names} and {len(gone) - named:,} more are missing",
        *(line for line in lines if line not in set(gone)),
    ]


def _hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME and path.suffix != ".damaged" and not path.name.startswith(TEMPORARY)
    }
