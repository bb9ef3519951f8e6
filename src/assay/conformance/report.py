"""How a check answers, and how what it found is shown: plain lines, or plain data. Torch is never imported."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

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

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that are failures."""
        return tuple(f for f in self.findings if f.status == "fail")

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


_WORDS = {"pass": "pass", "fail": "FAIL", "not applicable": "n/a"}
_WIDTH = 16  # of the column of names


def render(report: Report) -> list[str]:
    """The report as lines of plain text: failures with their examples first come where they stand, measures last."""
    lines = [f"{report.contender}: {summary(report)}", ""]
    for kind, heading in (("check", ""), ("measure", "Measured")):
        found = [f for f in report.findings if f.kind == kind]
        if found and heading:
            lines += ["", heading]
        for finding in found:
            mark = _WORDS[finding.status] if kind == "check" or finding.status != "pass" else ""
            lines.append(f"{mark:<5}{finding.name:<{_WIDTH}} {finding.sentence}".rstrip())
            if finding.example:
                lines += ["", *textwrap.indent(finding.example.rstrip(), " " * 8).splitlines(), ""]
    return lines


def summary(report: Report) -> str:
    """Counts in one line: `2 of 31 checks fail: schedulers, groups`."""
    checks = [f for f in report.findings if f.kind == "check" and f.status != "not applicable"]
    if report.ok:
        return f"all {len(checks)} checks pass"
    failed = [f.name for f in report.failed]
    return f"{len(failed)} of {len(checks)} checks fail: {', '.join(failed)}"


def as_data(report: Report) -> dict[str, Any]:
    """The report as plain data, for JSON: contender, ok, and the findings with all their fields."""
    findings = [{k: v for k, v in asdict(finding).items() if k != "facts"} for finding in report.findings]
    return {"contender": report.contender, "ok": report.ok, "summary": summary(report), "findings": findings}
