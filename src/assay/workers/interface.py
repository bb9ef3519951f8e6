"""What the driver asks of whoever does the work, and how long it waits: a training that hangs must not hold a night's work."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from assay.errors import Interrupted

Result = TypeVar("Result")
Item = TypeVar("Item")
OnPrinted = Callable[[str, str], None]  # is told what the code of others did, and what it printed meanwhile
LEAST = 1800.0  # seconds without any result, before workers are given up
TIMES = 50.0  # or so many times what the longest piece of work took or was estimated to take


def not_kept(during: str, printed: str) -> None:
    """Where there is no run folder, what is printed is not kept."""


class Watchdog:
    """Gives workers up after some seconds without any result: those asked for, or `TIMES` the longest known piece of work,
    `LEAST` at least.

    They are counted by the monotonic clock: neither a clock that is set nor a machine that slept brings the end nearer.
    """

    def __init__(self, asked: float | None = None) -> None:
        self.asked, self.longest = asked, 0.0

    def saw(self, seconds: float) -> None:
        """A piece of work took, or is expected to take, so long."""
        if seconds > self.longest:  # NaN is not
            self.longest = seconds

    @property
    def seconds(self) -> float:
        """As of now."""
        return self.asked or max(LEAST, TIMES * self.longest)

    def next_of(self, finished: queue.SimpleQueue[Item], what: str) -> Item:
        """The next finished piece of work. Interrupted where none comes in time; `what` is awaited."""
        try:
            return finished.get(timeout=min(self.seconds, 1e8))
        except queue.Empty:
            raise Interrupted(
                f"no result for {self.seconds:.0f} s while waiting for {what}: its worker hangs, or is that slow "
                "(then give a longer --time-limit); run the same command again, it goes on"
            ) from None


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

        Bytes are packed code, and nothing else is: a process that has been given some is never given other.

        The future raises what the function raises, UsageError where its code ends the worker (a crash, an exit), or
        BrokenExecutor where the worker was lost.
        """
        ...

    def submit_here(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """The same on this machine, beside the work of the others: for what needs the run folder."""
        ...

    def end(self, at_once: bool = False) -> None:
        """End when all calls have ended, or whatever is being done."""
        ...
