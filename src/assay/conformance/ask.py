"""The question as it is asked, in Python and in a test suite, of a process that checks. Torch is never imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle

from assay.conformance.catalogue import BY_NAME, CATALOGUE, Spec
from assay.conformance.job import Job, job_of
from assay.conformance.report import Finding, Report, render
from assay.conformance.serve import ended, serve
from assay.core import Brought, Contender
from assay.errors import UsageError

LIMIT = 15.0  # seconds for one check
STARTING = 60.0  # seconds for the process to load torch and the contender's module
EngineOf = Callable[[Contender], tuple[str, str]]
_PRELOAD = ["assay.engine.torch_private", "assay.conformance.checks", "assay.conformance.serve", "assay.contenders"]


def check(
    contender: Brought,
    *,
    speed: bool = True,
    limit: float = LIMIT,
    engine_of: EngineOf | None = None,
    only: str | Sequence[str] | None = None,
) -> Report:
    """Check whether an optimizer is well behaved, and whether it is new.

    Args:
        contender: a registered name, `pkg.mod:Name`, `path/file.py:Name`, a contender, an optimizer's class or a factory.
            A wrapper wraps `torch.optim.Adam`.
        speed: also time a step on 1 and 10 million parameters.
        limit: seconds for one check; what takes longer fails it.
        engine_of: says which engine trains a contender, and why: `(engine, reason)`. By default the parity probe.
        only: names of the checks wanted; `made` and `steps` are always asked.
    Raises:
        UsageError: the contender can't be loaded or is none, or `only` names an unknown check.

    Example:
        >>> report = assay.check("sgd", speed=False, only=["zero_grad"])
        >>> report.ok, report["zero_grad"].sentence
        (True, 'parameters stay finite')
    """
    job = job_of(contender)
    only = [only] if isinstance(only, str) else only
    specs = [s for s in CATALOGUE if (speed or not s.alone) and (only is None or s.gate or s.name in only)]
    if unknown := set(only or ()) - BY_NAME.keys():
        raise UsageError(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    return Report(job.name, _findings(job, specs, limit, engine_of))


def check_optimizer(
    contender: Brought, *, allow: Sequence[str] = (), speed: bool = False, limit: float = LIMIT
) -> Report:
    """For a test suite: check an optimizer as `check` does, and fail the test where a check fails.

    Args:
        contender, speed, limit: as in `check`.
        allow: names of checks that may fail.
    Raises:
        AssertionError: checks fail that are not allowed to; the message shows them with their examples.
        UsageError: it can't be loaded.

    Example:
        >>> def test_my_optimizer():
        ...     check_optimizer(MyOptimizer, allow=["bf16"])
    """
    report = check(contender, speed=speed, limit=limit)
    wrong = tuple(f for f in report.failed if f.name not in allow)
    if wrong:
        raise AssertionError("\n".join(render(Report(report.contender, wrong))))
    return report


def _findings(job: Job, specs: Sequence[Spec], limit: float, engine_of: EngineOf | None) -> tuple[Finding, ...]:
    """What each of the checks finds, asked in a process of their own. UsageError where the contender can't be loaded."""
    from assay.workers.process import without_main

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
    finally:  # it ends, and all that it started
        with contextlib.suppress(OSError, AttributeError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
