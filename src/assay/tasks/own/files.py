"""A user's file: its bytes, and what tells it from another."""

from __future__ import annotations

from pathlib import Path

from assay.errors import UsageError


def read(path: Path) -> bytes:
    """The bytes of a file that isn't empty. UsageError in one line else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    if not content:
        raise UsageError(f"{path} is empty")
    return content


def version(path: Path) -> tuple[str, int, int]:
    """What tells a file from another one, and from itself when it was changed: where it is, when it was written, its size."""
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute()), 0, 0
    return str(path.resolve()), found.st_mtime_ns, found.st_size
