"""What code of others prints in this process, kept from its standard output."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator

LAST, LONG = 5, 300  # lines that an error shows, characters of each
MOST = 1_000_000  # bytes kept


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Standard output goes nowhere in here, also what C code writes to it; yields a list that holds the text, afterwards."""
    printed: list[str] = []
    text = io.StringIO()
    with tempfile.TemporaryFile() as file:
        saved = _redirected(file.fileno())
        try:
            with contextlib.redirect_stdout(text):
                yield printed
        finally:
            if saved is not None:
                os.dup2(saved, 1)
                os.close(saved)
            file.seek(0)
            printed.append(text.getvalue()[-MOST:] + file.read(MOST).decode(errors="replace"))


def _redirected(to: int) -> int | None:
    """Standard output's own descriptor, kept; None where there is none."""
    with contextlib.suppress(Exception):  # a stream of a notebook's, or one that is closed
        sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:
        return None
    os.dup2(to, 1)
    return saved


def last_lines(printed: str) -> str:
    """The last lines of what was printed, to stand under an error; "" where nothing was."""
    lines = [line.rstrip()[:LONG] for line in printed.splitlines() if line.strip()][-LAST:]
    return "\nit printed last:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
