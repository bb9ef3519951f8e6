"""What the driver asks of whoever does the work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from assay.workers.watchdog import Watchdog

Result = TypeVar("Result")


class Workers(Protocol):
    """Processes of this machine, Ray tasks on a cluster, or a stand-in in this process.

    Attributes:
        size: how many calls run at once.
        watchdog: how long they may give no sign.
    """

    size: int
    watchdog: Watchdog

    def submit(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """Call a function that workers can import (see `jobs`) in one of them. Arguments are data: bytes, plain structures.

        The future raises what the function raises, or BrokenExecutor where the worker was lost.
        """
        ...

    def submit_here(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """The same on this machine, beside the work of the others: for what needs the run folder."""
        ...

    def end(self, at_once: bool = False) -> None:
        """End when all calls have ended, or whatever is being done."""
        ...
