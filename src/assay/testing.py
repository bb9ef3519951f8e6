"""For the test suites of optimizer libraries: a test for each optimizer and check, in pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from assay.conformance.ask import LIMIT, check, check_optimizer, see_that_they_are_checks
from assay.conformance.catalogue import CHECKS
from assay.conformance.explained import EXPLAINED
from assay.conformance.job import job_of
from assay.conformance.report import Report
from assay.core import Brought

if TYPE_CHECKING:
    import pytest

__all__ = ["Check", "check_optimizer", "parametrize_with_checks"]
Expected = Mapping[str, str] | Callable[[Any], Mapping[str, str]]


@dataclass(frozen=True)
class Check:
    """One check, to be called with an optimizer.

    Raises:
        AssertionError: it fails; the message has the mend and an example.
        UsageError: the optimizer can't be loaded.
    """

    name: str
    limit: float = LIMIT

    def __call__(self, optimizer: Brought) -> None:
        """Skips the test where the check doesn't apply."""
        import pytest

        finding = _report(optimizer, self.limit)[self.name]
        if finding.status == "not applicable":
            pytest.skip(finding.sentence)
        if finding.status == "fail":
            raise AssertionError(f"{finding.sentence}\n\nmend: {EXPLAINED[self.name].mend}\n\n{finding.example or ''}")

    def __repr__(self) -> str:
        return self.name


def parametrize_with_checks(
    optimizers: Sequence[Brought], *, expected_failures: Expected | None = None, limit: float = LIMIT
) -> pytest.MarkDecorator:
    """A decorator that makes a test of each optimizer and check, named so, as in `test_it[Lion-resume]`.

    All checks of an optimizer are asked when the first one is, in processes of their own, and kept.

    Args:
        optimizers: classes, factories, names or references, as `assay.check` takes them.
        expected_failures: the reason by the name of each check that is known to fail, or a function of an optimizer that
            gives this. They are strict: one that passes is an error. `pytest -rx` lists them with their reasons.
        limit: seconds for one check; what takes longer fails it.
    Raises:
        UsageError: an expected failure names no check, or what is given is no optimizer.

    Example:
        >>> @parametrize_with_checks([torch.optim.Adam], expected_failures={"quiet": "it greets"})
        ... def test_optimizers(optimizer, check):
        ...     check(optimizer)
    """
    import pytest

    rows: list[Any] = []
    for optimizer in optimizers:
        given = expected_failures(optimizer) if callable(expected_failures) else expected_failures
        expected = see_that_they_are_checks(given or {})
        for name in CHECKS:
            mark = pytest.mark.xfail(strict=True, raises=AssertionError, reason=expected.get(name, ""))
            marks = [mark] if name in expected else []
            label = f"{job_of(optimizer).name}-{name}"
            rows.append(pytest.param(optimizer, Check(name, limit), id=label, marks=marks))
    return pytest.mark.parametrize(("optimizer", "check"), rows)


@cache
def _report(optimizer: Brought, limit: float) -> Report:
    return check(optimizer, speed=False, limit=limit, wide=True)
