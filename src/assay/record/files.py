"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path

from assay.errors import Interrupted, UsageError

TEMPORARY = ".tmp-"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "database or disk is full",
    "disk I/O error",
)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    What a killed process leaves is called `.tmp-….tmp`: nothing reads it, and `sweep` removes it.

    Raises:
        Interrupted: the disk is full. UsageError: the folder can't be written. Nothing half-written is left.
    """
    temporary = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=".tmp")
        os.close(descriptor)
        temporary = Path(name)
        write(temporary)
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a name must not reach the disk before its content does
        os.replace(temporary, path)
    except OSError as error:
        raise fault(error, path) from error
    except Exception as error:  # libraries wrap what the operating system said in exceptions of their own
        if any(words in str(error) for words in FULL):
            raise fault(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path) from error
        raise
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def set_aside(path: Path) -> None:
    """Rename a damaged file to `*.damaged`, or `*.2.damaged` …: nothing reads it, and nothing is lost."""
    place, count = path.with_suffix(".damaged"), 1
    while place.exists():
        count += 1
        place = path.with_suffix(f".{count}.damaged")
    path.replace(place)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written. Only whoever holds the folder's lock may call this."""
    for left in folder.rglob(f"{TEMPORARY}*"):  # SQLite leaves a journal beside its own
        left.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """`content` at `path`, whole or not at all."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def open_plain(path: Path) -> BufferedReader:
    """A file to read, if it is one: a link isn't followed, and nothing is waited for. OSError, or ValueError where it isn't."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("it is no file")
    return os.fdopen(descriptor, "rb")


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """What a file holds; raises as `open_plain` does, also where it is larger than `most` bytes."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise ValueError(f"its {size:,} bytes are more than any such file has")
        return file.read()


def fault(error: OSError, path: Path) -> Interrupted | UsageError:
    """What an operating system's refusal means to the user."""
    if error.errno in NO_ROOM:
        return Interrupted(f"the disk is full ({path.parent}); make room and run the same command again, it goes on")
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return UsageError(f"{path} can't be a folder: there is a file in its place; choose another")
    return UsageError(f"{path} can't be written ({error.strerror}); make its folder writable, or choose another")
