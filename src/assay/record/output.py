"""What users' code printed, in the run folder: kept for its author, no part of the record, and never sealed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NAME = "output.log"
MOST = 8_000_000  # bytes; what comes after is left out


def append(path: Path, during: str, printed: str) -> None:
    """Add what was printed, under a line that says when. A disk that takes no more costs the lines, not the run."""
    text = f"== while {during or 'it was called'}\n{printed.rstrip()}\n"
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size > MOST:
            return
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, text.encode("utf-8", errors="replace"))  # in one piece: others write, too
        finally:
            os.close(descriptor)
