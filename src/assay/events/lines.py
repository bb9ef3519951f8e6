"""Plain lines for a log file: one at each stage, and one every half minute."""

from __future__ import annotations

import contextlib
import threading
from typing import TextIO

from assay import events

from .state import State, lasted
from .ticking import Ticking

EVERY = 30.0  # seconds


class Lines:
    """A listener that writes lines, and goes on where they can't be written: they are no part of any answer."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.state, self.lock = stream, State(), threading.Lock()

    def __enter__(self) -> Lines:
        self.ticking = Ticking(EVERY, self._tick)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.ticking.stop()
        if kind is None:
            self._say(f"done, at {lasted(self.state.elapsed)}")

    def __call__(self, event: events.Event) -> None:
        """Write what it is worth."""
        with self.lock:
            lines = self.state.hear(event)
        for line in lines:
            self._say(line)

    def _tick(self) -> None:
        with self.lock:
            line = self.state.line()
        self._say(line)

    def _say(self, line: str) -> None:
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        shown = "".join(c if c.isprintable() else " " for c in line)
        with contextlib.suppress(OSError, ValueError):  # a full disk, a reader that is gone, a closed stream
            self.stream.write("assay: " + shown.encode(encoding, "replace").decode(encoding) + "\n")
            self.stream.flush()
