"""Only one command at work in a folder at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

from assay.errors import UsageError
from assay.record.files import fault


def is_busy(path: Path) -> bool:
    """True while a command is at work in a folder that is there; asking disturbs none that is about to begin."""
    try:
        if path.is_dir():
            with locked(path, shared=True):
                pass
        return False
    except UsageError:
        return True


@contextlib.contextmanager
def locked(path: Path, shared: bool = False) -> Generator[None]:
    """Only one command trains in a folder at a time; the lock goes with the process, however it ends.

    `shared`: only see whether another command holds it. The folder is made where it isn't there.

    Raises:
        UsageError: another command is at work here, or the folder can't be made.
    """
    try:
        import fcntl
    except ImportError:  # no such lock on this platform
        yield
        return
    made = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise fault(error, path) from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"another command is at work in {path}; wait for it, or choose another --out") from error
    try:
        yield
    finally:
        os.close(descriptor)
        if made:  # where nothing came of it, nothing is left
            with contextlib.suppress(OSError):
                path.rmdir()
