"""The process that checks, as who asks sees it. Torch is never imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle

from assay.check.catalogue import Spec
from assay.check.job import Job
from assay.check.report import Finding
from assay.check.serve import ended, serve
from assay.core import Contender
from assay.errors import UsageError

STARTING = 60.0  # seconds for the process to load torch and the contender's module
EngineOf = Callable[[Contender], tuple[str, str]]
# torch imports its compiler with the first optimizer it makes
_PRELOAD = ["torch._dynamo", "assay.check.checks", "assay.check.serve", "assay.contenders"]


def findings(job: Job, specs: Sequence[Spec], limit: float, engine_of: EngineOf | None) -> tuple[Finding, ...]:
    """What each of the checks finds, asked in a process of their own. UsageError where the contender can't be loaded."""
    from assay.workers.local import without_main

    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(kind)
    context.set_forkserver_preload(_PRELOAD)
    ours, theirs = context.Pipe()
    arguments = (theirs, job, specs, limit, cloudpickle.dumps(engine_of))
    process = context.Process(target=serve, args=arguments, daemon=True)
    doing = "importing it"
    try:
        with without_main():
            process.start()
        theirs.close()
        if not ours.poll(STARTING):
            raise UsageError(f"{job.name}: {doing} hangs (over {STARTING:g} s)")
        if refused := ours.recv():
            raise UsageError(refused)
        doing = "checking it"
        return ours.recv()
    except EOFError:
        process.join(5)
        raise UsageError(f"{job.name}: {doing} {ended(process.exitcode)}") from None
    finally:
        _end(process)


def _end(process: Any) -> None:
    """End the process and all that it started."""
    with contextlib.suppress(OSError, AttributeError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()
