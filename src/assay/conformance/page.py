"""What was found as a page: for each optimizer a table of checks by settings, then each fault with its example.

Torch is never imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assay.conformance.catalogue import BY_NAME
from assay.conformance.explained import EXPLAINED, Explained
from assay.conformance.report import Finding, Found, Report, summary
from assay.core.versions import installed
from assay.report.page import html


@dataclass(frozen=True)
class Fault:
    """A check that fails, under which settings (by their numbers), and what is said of it where it fails first."""

    finding: Finding
    under: tuple[int, ...]
    told: Explained


@dataclass(frozen=True)
class Table:
    """An optimizer's: a label a setting, a row a check with a finding (or None: not asked) for each of them, and its faults."""

    report: Report
    settings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Finding | None, ...]], ...]
    faults: tuple[Fault, ...]

    @property
    def summary(self) -> str:
        """Counts, as in the command's first line."""
        return summary(self.report)


def as_html(found: Found) -> str:
    """The page, whole: light or dark as the reader's machine is, no script, nothing from elsewhere."""
    tables = [table(report) for report in found.values() if isinstance(report, Report)]
    refused = {name: reason for name, reason in found.items() if isinstance(reason, str)}
    return html("check.html.j2", tables=tables, refused=refused, titles=BY_NAME, version=installed("assay"))


def table(report: Report) -> Table:
    """The table of one report; of one without a matrix it has a single column."""
    columns = report.matrix or (("as it is", report.findings),)
    by_check: list[Mapping[str, Finding]] = [{f.name: f for f in findings} for _, findings in columns]
    names = [f.name for f in report.findings if f.kind == "check"]
    rows = tuple((name, tuple(column.get(name) for column in by_check)) for name in names)
    faults = []
    for name, cells in rows:
        failing = [(i, f) for i, f in enumerate(cells) if f and f.status == "fail"]
        if failing:
            faults.append(Fault(failing[0][1], tuple(i for i, _ in failing), EXPLAINED[name]))
    order = [finding.name for finding in report.failed]  # the worst first
    faults.sort(key=lambda fault: order.index(fault.finding.name))
    return Table(report, tuple(label for label, _ in columns), rows, tuple(faults))
