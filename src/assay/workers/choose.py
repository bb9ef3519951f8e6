"""The workers that were asked for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from assay import events
from assay.core import WorkerOptions
from assay.errors import UsageError
from assay.record import output
from assay.workers.interface import Workers, not_kept
from assay.workers.local import LocalWorkers, fork_server
from assay.workers.ray import RayWorkers


def check(options: WorkerOptions) -> int | str | None:
    """What was asked for, in one value: a number of processes, `ray`, or `ray:ADDRESS`. UsageError for anything else."""
    asked, ray_address, time_limit = options.workers, options.ray_address, options.time_limit
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


def begin(options: WorkerOptions) -> None:
    """Begin what local processes are forked from: it loads torch, which takes as long as finding out what is asked.

    Raises:
        UsageError: as in `check`.
    """
    if not isinstance(check(options), str):
        fork_server()


@contextlib.contextmanager
def open_workers(
    options: WorkerOptions, device: str = "cpu", on_event: events.OnEvent = events.ignore, log: Path | None = None
) -> Iterator[Workers]:
    """The workers asked for, by default a process a core; four for a GPU.

    They end with the block: when their work is done, or at once where the block ends by an exception. `log` takes what the
    code of others prints in them.

    Raises:
        UsageError: Ray isn't installed, no cluster answers, or its nodes can't do this work.
    """
    wanted, time_limit = check(options), options.time_limit
    on_printed = not_kept if log is None else partial(output.append, log)
    if isinstance(wanted, str):
        workers: Workers = RayWorkers(wanted.partition(":")[2], device, time_limit, on_event, on_printed)
    else:
        workers = LocalWorkers(wanted, device, time_limit, on_printed)
    try:
        yield workers
    except BaseException:
        workers.end(at_once=True)
        raise
    workers.end()
