"""For a test suite: one call that checks an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from assay.check import Report, check, render
from assay.core import Contender


def check_optimizer(
    contender: str | Contender | Callable[..., Any],
    *,
    allow: Sequence[str] = (),
    speed: bool = False,
    limit: float = 15.0,
) -> Report:
    """Check an optimizer as `assay check` does, and fail the test where a check fails.

    Args:
        contender: its class, a factory, a contender, `pkg.mod:Name`, `path/file.py:Name` or a registered name.
        allow: names of checks that may fail.
        speed: also time its steps.
        limit: seconds for one check.
    Returns:
        The report.
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
