"""Who does the work: processes of this machine, or a Ray cluster. Executors that run the functions of `workers`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from assay import events
from assay.errors import UsageError
from assay.workers import local as workers
from assay.workers.ray import RayWorkers
from assay.workers.watchdog import Patience

Crew = workers.LocalWorkers | RayWorkers


def check(asked: int | str | None, ray_address: str | None = None, time_limit: float | None = None) -> int | str | None:
    """What was asked for, in one value: a number of processes, `ray`, or `ray:ADDRESS`. UsageError for anything else."""
    if time_limit is not None and not (0 < time_limit < math.inf):
        raise UsageError(f"--time-limit {time_limit:g}: it must be above 0 seconds")
    if isinstance(asked, str) and (asked == "ray" or asked.startswith("ray:")):
        return f"ray:{ray_address}" if ray_address else asked
    if ray_address:
        raise UsageError(f"--ray-address {ray_address}: it needs --workers ray")
    try:
        count = None if asked is None else int(asked)
    except ValueError:
        raise UsageError(f"--workers {asked}: write a number of processes, or ray") from None
    if count is not None and count < 1:
        raise UsageError(f"--workers {count}: it must be 1 at least")
    return count


@contextlib.contextmanager
def crew(
    asked: int | str | None,
    device: str = "cpu",
    on_event: events.OnEvent = events.ignore,
    time_limit: float | None = None,
) -> Iterator[Crew]:
    """The workers asked for (see `check`), by default a process a core; four for a GPU.

    They end with the block: when their work is done, or at once where the block ends by an exception.

    Raises:
        UsageError: Ray isn't installed, no cluster answers, or its nodes can't do this work.
    """
    wanted = check(asked, time_limit=time_limit)
    if isinstance(wanted, str):
        executor: Crew = RayWorkers(wanted.partition(":")[2] or None, device)
        for warning in executor.warnings:
            on_event(events.Warned(warning))
    else:
        executor = workers.LocalWorkers(wanted or workers.usual(device))
    executor.patience = Patience(time_limit)
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    executor.shutdown()
