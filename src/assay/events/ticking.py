"""A thread that does something every so often, for events may be minutes apart."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ticking:
    """Calls `tick` every `seconds` until it is stopped; what is called may not fail."""

    def __init__(self, seconds: float, tick: Callable[[], None]) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(seconds, tick), name="assay progress", daemon=True)
        self._thread.start()

    def _run(self, seconds: float, tick: Callable[[], None]) -> None:
        while not self._over.wait(seconds):
            tick()

    def stop(self) -> None:
        """No tick after this."""
        self._over.set()
        self._thread.join()
