"""The question as it is asked, in Python and in a test suite. Torch is never imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from assay.check.bench import EngineOf, findings
from assay.check.catalogue import BY_NAME, CATALOGUE
from assay.check.job import job_of
from assay.check.report import Report, render
from assay.core import Contender
from assay.errors import UsageError

LIMIT = 15.0  # seconds for one check
Target = str | Contender | Callable[..., Any]


def check(
    contender: Target,
    *,
    speed: bool = True,
    limit: float = LIMIT,
    engine_of: EngineOf | None = None,
    only: Sequence[str] | None = None,
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
        UsageError: the contender can't be loaded, or `only` names an unknown check.
        TypeError: `contender` is nothing that can be checked.

    Example:
        >>> report = assay.check("sgd", speed=False, only=["zero_grad"])
        >>> report.ok, report["zero_grad"].sentence
        (True, 'parameters stay finite')
    """
    job = job_of(contender)
    specs = [s for s in CATALOGUE if (speed or not s.alone) and (only is None or s.gate or s.name in only)]
    if unknown := set(only or ()) - BY_NAME.keys():
        raise UsageError(f"no check is called {', '.join(sorted(unknown))}; there are {', '.join(BY_NAME)}")
    return Report(job.name, findings(job, specs, limit, engine_of))


def check_optimizer(
    contender: Target, *, allow: Sequence[str] = (), speed: bool = False, limit: float = LIMIT
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
