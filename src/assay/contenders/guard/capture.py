"""What code of others prints in this process, kept from its standard output; and it has nothing to read."""

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
    """Standard output goes nowhere in here, also what C code writes to it; yields a list that holds the text, afterwards.

    Standard input is at its end: nobody who is asked there would see the question.
    """
    printed: list[str] = []
    text = _Text()
    with tempfile.TemporaryFile() as file, open(os.devnull) as nothing:
        saved = {1: _redirected(1, file.fileno()), 0: _redirected(0, nothing.fileno())}
        streams = sys.stdin, sys.__stdout__
        sys.stdin, sys.__stdout__ = nothing, text  # type: ignore[misc]
        try:
            with contextlib.redirect_stdout(text):
                yield printed
        finally:
            sys.stdin, sys.__stdout__ = streams  # type: ignore[misc]
            for own, kept in saved.items():
                if kept is not None:
                    os.dup2(kept, own)
                    os.close(kept)
            file.seek(0)
            printed.append(text.getvalue()[-MOST:] + file.read(MOST).decode(errors="replace"))


class _Text(io.StringIO):
    """Is never closed."""

    def close(self) -> None:
        """As a stream's own."""


def _redirected(own: int, to: int) -> int | None:
    """What a standard stream's descriptor stood for, kept; None where it is closed."""
    with contextlib.suppress(Exception):  # a stream of a notebook's, or one that is closed
        sys.stdout.flush()
    try:
        saved = os.dup(own)
    except OSError:
        return None
    os.dup2(to, own)
    return saved


def last_lines(printed: str) -> str:
    """The last lines of what was printed, to stand under an error; "" where nothing was."""
    lines = [line.rstrip()[:LONG] for line in printed.splitlines() if line.strip()][-LAST:]
    return "\nit printed last:\n" + "\n".join(f"    {line}" for line in lines) if lines else ""
