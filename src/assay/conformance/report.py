"""How a check answers, and how what it found is shown: plain lines, or plain data. Torch is never imported."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from assay.conformance.explained import EXPLAINED, GRADES

Status = Literal["pass", "fail", "not applicable"]
Kind = Literal["check", "measure"]


@dataclass(frozen=True)
class Passed:
    """A check's answer where all is well: one sentence, what was measured, and `facts` that later checks need."""

    sentence: str
    value: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Failed(Exception):
    """A check raises it for a fault, told in one sentence; the lab's last example shows it."""


class Skip(Exception):
    """A check raises it where it doesn't apply, with the reason."""


def fail_if(fault: object, sentence: str) -> None:
    """Raise `Failed` where there is the fault."""
    if fault:
        raise Failed(sentence)


def skip_if(beside_it: object, reason: str) -> None:
    """Raise `Skip` where the check doesn't apply."""
    if beside_it:
        raise Skip(reason)


@dataclass(frozen=True)
class Finding:
    """One check's answer: its status, one sentence, for a failure a runnable example, and what was measured.

    A finding of kind `measure` tells a property rather than a fault; it fails only where it can't be measured.
    """

    name: str
    title: str
    kind: Kind
    status: Status
    sentence: str
    example: str | None = None
    value: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)  # what later checks need to know; not shown


@dataclass(frozen=True)
class Report:
    """All findings on a contender, in the order of the catalogue."""

    contender: str
    findings: tuple[Finding, ...]
    where: str = ""  # the file and line that it is written in, as in mine.py:12
    matrix: tuple[tuple[str, tuple[Finding, ...]], ...] = ()  # under each setting, as weight_decay=0.1

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that are failures, the worst first."""
        failed = (f for f in self.findings if f.status == "fail")
        return tuple(
            sorted(failed, key=lambda f: [*GRADES].index(EXPLAINED[f.name].grade) if f.name in EXPLAINED else 9)
        )

    @property
    def ok(self) -> bool:
        """Is nothing wrong?"""
        return not self.failed

    @property
    def exit_code(self) -> int:
        """0, or 1 where a check failed."""
        return 0 if self.ok else 1

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return "\n".join(render(self))

    def __getitem__(self, name: str) -> Finding:
        """The finding of that name; KeyError where there is none."""
        found = {finding.name: finding for finding in self.findings}
        if name not in found:
            raise KeyError(f"no check is called {name!r}; there are {', '.join(found)}")
        return found[name]


Found = dict[str, Report | str]
"""Of several, by the name that was asked for; a text is the reason why there is no report."""

_WIDTH = 16  # of the column of names
_LINE = 110  # characters


def render(report: Report, passing: bool = True) -> list[str]:
    """The report as lines of plain text: what it is, what fails, the worst first, with its mend and an example; then the rest.

    `passing`: whether what passes and what was measured is shown, too.
    """
    found = {f.name: f for f in report.findings}
    what = (
        f"; {found['identity'].sentence}"
        if "identity" in found and found["identity"].status != "not applicable"
        else ""
    )
    lines = [f"{report.contender}: {summary(report)}{what}", ""]
    for finding in report.failed:
        lines.append(f"FAIL {finding.name:<{_WIDTH}} {finding.sentence}".rstrip())
        if finding.name in EXPLAINED:
            first, *more = EXPLAINED[finding.name].mend.splitlines()
            lines += [f"     {'mend':<{_WIDTH}} {first}", *(f"     {'':<{_WIDTH}} {line}" for line in more)]
        if finding.example:
            lines += ["", *textwrap.indent(finding.example.rstrip(), " " * 8).splitlines(), ""]
    if not passing:
        return lines
    checks = [f for f in report.findings if f.kind == "check"]
    if passed := [f.name for f in checks if f.status == "pass"]:
        lines += _filled("pass", ", ".join(passed))
    by_reason: dict[str, list[str]] = {}
    for finding in checks:
        if finding.status == "not applicable":
            by_reason.setdefault(finding.sentence, []).append(finding.name)
    for reason, names in by_reason.items():
        lines += _filled("n/a", f"{', '.join(names)}: {reason}")
    if measured := [f for f in report.findings if f.kind == "measure" and f.status != "fail"]:
        lines += ["", "Measured", *(f"     {f.name:<{_WIDTH}} {f.sentence}".rstrip() for f in measured)]
    return lines


def _filled(mark: str, text: str) -> list[str]:
    return textwrap.wrap(text, _LINE, initial_indent=f"{mark:<5}", subsequent_indent="     ")


def summary(report: Report) -> str:
    """Counts in one line: `2 of 31 checks fail: schedulers, groups`."""
    checks = [f for f in report.findings if f.kind == "check" and f.status != "not applicable"]
    if report.ok:
        return f"all {len(checks)} checks pass"
    failed = [f.name for f in report.failed]
    return f"{len(failed)} of {len(checks)} checks fail: {', '.join(failed)}"


def as_data(report: Report) -> dict[str, Any]:
    """The report as plain data, for JSON: contender, where it is written, ok, and the findings with all their fields."""
    findings = [{k: v for k, v in asdict(finding).items() if k != "facts"} for finding in report.findings]
    return {
        "contender": report.contender,
        "where": report.where,
        "ok": report.ok,
        "summary": summary(report),
        "findings": findings,
    }
