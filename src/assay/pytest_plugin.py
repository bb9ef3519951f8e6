"""For pytest: `--assay-check PACKAGE` adds a test for each optimizer and check of a package, without a line of code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options."""
    group = parser.getgroup("assay", "checks of optimizers")
    told = "check all optimizers that this package, module or file exports, or the one at pkg.mod:Name; can be repeated"
    group.addoption("--assay-check", action="append", default=[], metavar="PACKAGE", help=told)
    group.addoption(
        "--assay-baseline",
        type=Path,
        metavar="FILE",
        help="faults that are known, as assay check --baseline writes them",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the tests."""
    if not (packages := config.getoption("--assay-check")):
        return
    from assay.conformance.catalogue import CHECKS
    from assay.conformance.outputs import read_baseline
    from assay.conformance.package import exported, is_package
    from assay.errors import UsageError

    try:
        known = read_baseline(baseline) if (baseline := config.getoption("--assay-baseline")) else {}
        named = {one: [f"{one}:{name}" for name in exported(one)] if is_package(one) else [] for one in packages}
    except UsageError as error:
        raise pytest.UsageError(f"--assay-check: {error}") from None
    for one, names in named.items():
        for name in names or [one]:
            for check in CHECKS:
                given = {"optimizer": name, "check": check, "may_refuse": bool(names)}
                item = CheckItem.from_parent(session, name=f"{name}[{check}]", **given)
                if check in known.get(name, {}):
                    item.add_marker(pytest.mark.xfail(strict=True, reason=known[name][check]))
                items.append(item)


class CheckItem(pytest.Item):
    """One check of one optimizer. `may_refuse`: of a package's, what can't be made is skipped, with the reason."""

    def __init__(self, *, optimizer: str, check: str, may_refuse: bool, **given: Any) -> None:
        super().__init__(**given)
        self.optimizer, self.check, self.may_refuse = optimizer, check, may_refuse

    def runtest(self) -> None:
        """As `assay.testing.Check`."""
        from assay.errors import UsageError
        from assay.testing import Check

        try:
            Check(self.check)(self.optimizer)
        except UsageError as error:
            if not self.may_refuse:
                raise
            pytest.skip(str(error).splitlines()[0])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """The finding, without a traceback."""
        return f"{self.optimizer}: {excinfo.value}"

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is said to be."""
        return self.path, None, self.name
