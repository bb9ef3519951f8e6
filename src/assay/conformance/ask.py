"""The question as it is asked, in Python and in a test suite, of a process that checks. Torch is never imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cloudpickle

from assay.conformance.catalogue import BY_NAME, CATALOGUE, Spec
from assay.conformance.job import Job, job_of
from assay.conformance.report import Report, render
from assay.conformance.serve import Refused, ended, serve
from assay.core import Brought, Contender
from assay.errors import UsageError

LIMIT = 15.0  # seconds for one check
BUDGET = 120.0  # seconds for the settings of one optimizer
STARTING = 60.0  # seconds for the process to load torch and the contender's module
EngineOf = Callable[[Contender], tuple[str, str]]
_STARTING = threading.Lock()  # a process begins without the main module, which is put aside for it
_PRELOAD = ["assay.engine.torch_private", "assay.conformance.checks", "assay.conformance.serve", "assay.contenders"]


def check(
    contender: Brought,
    *,
    speed: bool = True,
    limit: float = LIMIT,
    engine_of: EngineOf | None = None,
    only: str | Sequence[str] | None = None,
    matrix: bool = False,
    budget: float = BUDGET,
    wide: bool = False,
) -> Report:
    """Check whether an optimizer is well behaved, and whether it is new.

    Args:
        contender: a registered name, `pkg.mod:Name`, `path/file.py:Name`, a contender, an optimizer's class or a factory.
            A wrapper wraps `torch.optim.Adam`.
        speed: also time a step on 1 and 10 million parameters.
        limit: seconds for one check; what takes longer fails it.
        engine_of: says which engine trains a contender, and why: `(engine, reason)`. By default the parity probe.
        only: names of the checks wanted; `made` and `steps` are always asked. By default all but those that are `wide`.
        matrix: also ask under the settings that it declares (weight decay, maximize, nesterov, amsgrad, foreach, fused,
            capturable, betas, momentum, a tensor for its rate), each alone and then together; a failure names the smallest
            that shows it. A setting that it refuses, by an error that names it, is not asked.
        budget: seconds for these settings; those that are left then are not asked.
        wide: also ask what few but libraries care for: complex parameters. With `matrix` that is asked, too.
    Raises:
        UsageError: the contender can't be loaded or is none, or `only` names an unknown check.

    Example:
        >>> report = assay.check("sgd", speed=False, only=["zero_grad"])
        >>> report.ok, report["zero_grad"].sentence
        (True, 'parameters stay finite')
    """
    job = job_of(contender)
    only = [only] if isinstance(only, str) else only
    specs = [
        s
        for s in CATALOGUE
        if (speed or not s.alone) and (wide or matrix or not s.wide if only is None else s.gate or s.name in only)
    ]
    if unknown := set(only or ()) - BY_NAME.keys():
        raise UsageError(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    return _report(job, specs, limit, engine_of, budget if matrix else None)


def check_optimizer(
    contender: Brought,
    *,
    allow: Sequence[str] = (),
    expected_failures: Mapping[str, str] | None = None,
    speed: bool = False,
    limit: float = LIMIT,
) -> Report:
    """For a test suite: check an optimizer as `check` does, and fail the test where a check fails.

    `assay.testing.parametrize_with_checks` makes a test of each check.

    Args:
        contender, speed, limit: as in `check`.
        allow: names of checks that may fail.
        expected_failures: the reason by the name of each check that is known to fail; one that passes fails the test.
    Raises:
        AssertionError: checks fail that are not allowed to, the message shows them with their examples; or one passes that
            was expected to fail.
        UsageError: it can't be loaded, or an expected failure names no check.

    Example:
        >>> def test_my_optimizer():
        ...     check_optimizer(MyOptimizer, expected_failures={"bf16": "moments are kept in the weights' type, for memory"})
    """
    expected = see_that_they_are_checks(expected_failures or {})
    report = check(contender, speed=speed, limit=limit, wide=True)
    wrong = tuple(f for f in report.failed if f.name not in allow and f.name not in expected)
    if wrong:
        raise AssertionError("\n".join(render(Report(report.contender, wrong, report.where), passing=False)))
    if passed := [name for name in expected if report[name].status == "pass"]:
        raise AssertionError(f"{report.contender}: {', '.join(passed)} passes, though expected to fail: take it out")
    return report


def see_that_they_are_checks(expected: Mapping[str, str]) -> Mapping[str, str]:
    """The same. UsageError where a name is no check's."""
    if unknown := expected.keys() - BY_NAME.keys():
        raise UsageError(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    return expected


def _report(job: Job, specs: Sequence[Spec], limit: float, engine_of: EngineOf | None, budget: float | None) -> Report:
    """What each of the checks finds, asked in a process of their own. UsageError where the contender can't be loaded."""
    with asked_of(job.name, serve, job, specs, limit, cloudpickle.dumps(engine_of), budget) as heard:
        where = heard("importing it", STARTING)
        findings, rows = heard("checking it")
    return Report(job.name, findings, where, rows)


@contextlib.contextmanager
def asked_of(name: str, answer: Callable[..., None], *arguments: Any) -> Iterator[Callable[..., Any]]:
    """A process of its own in which `answer(connection, *arguments)` runs; yields what waits for the next thing that it sends.

    That is called with what it is doing, and with the seconds that this may take. A `Refused` that is sent is raised.

    Raises:
        UsageError: what is refused; it hangs; or the process ends.
    """
    from assay.workers.process import without_main

    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context: Any = multiprocessing.get_context(kind)
    context.set_forkserver_preload(_PRELOAD)
    ours, theirs = context.Pipe()
    process = context.Process(target=answer, args=(theirs, *arguments), daemon=True)
    doing = "starting"

    def heard(now: str, limit: float | None = None) -> Any:
        nonlocal doing
        doing = now
        if not ours.poll(limit):
            raise UsageError(f"{name}: {doing} hangs (over {limit:g} s)")
        found = ours.recv()
        if isinstance(found, Refused):
            raise UsageError(found.reason)
        return found

    try:
        with _STARTING, without_main():
            process.start()
        theirs.close()
        yield heard
    except EOFError:
        process.join(5)
        raise UsageError(f"{name}: {doing} {ended(process.exitcode)}") from None
    finally:  # it ends, and all that it started
        with contextlib.suppress(OSError, AttributeError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
