"""What `assay check` prints and writes."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

from assay.conformance.catalogue import BY_NAME
from assay.conformance.explained import EXPLAINED, GRADES
from assay.conformance.outputs import (
    Baseline,
    as_badge,
    as_baseline,
    as_junit,
    as_sarif,
    failures,
    gone,
    new,
    read_baseline,
)
from assay.conformance.page import as_html
from assay.conformance.report import Found, Report, as_data, render, summary
from assay.errors import Interrupted, UsageError, nearest
from assay.events.text import say, tell

from . import printed


@dataclass(frozen=True)
class Files:
    """Where what was found goes, as far as it is asked for."""

    junit: Path | None = None
    sarif: Path | None = None
    badge: Path | None = None
    html: Path | None = None
    baseline: Path | None = None
    update_baseline: bool = False

    def see_that_they_can_be_written(self) -> None:
        """UsageError before anything is checked."""
        if self.update_baseline and self.baseline is None:
            raise UsageError("--update-baseline: which one? --baseline FILE")
        for path in filter(None, (self.junit, self.sarif, self.badge, self.html, self.baseline)):
            if path.is_dir() or not path.resolve().parent.is_dir():
                raise UsageError(
                    f"{path} can't be written: {'it is a folder' if path.is_dir() else 'its folder is not there'}"
                )


def explain(name: str) -> None:
    """Print what a check asks, why, and what mends it."""
    if name not in EXPLAINED:
        if name in BY_NAME:
            say(f"{name}: {BY_NAME[name].title}. It is measured, and can't fail.")
            return
        raise UsageError(f"--explain {name}: no check is called so; {nearest(name, EXPLAINED)}")
    told = EXPLAINED[name]
    say(f"{name}: {BY_NAME[name].title}\n\n{textwrap.fill(told.why, 100)}\n")
    say(f"Where it fails: {GRADES[told.grade]}.\n\nMend:\n{textwrap.indent(told.mend, '    ')}")


def conclude(found: Found, files: Files, *, json: bool, several: bool) -> int:
    """Print and write it; the exit code: 1 where a check fails that isn't known to."""
    known = read_baseline(files.baseline) if files.baseline else {}
    fresh = new(found, known)
    try:
        if files.junit:
            files.junit.write_bytes(as_junit(found, known))
        if files.sarif:
            files.sarif.write_bytes(as_sarif(found, known))
        if files.badge:
            files.badge.write_text(as_badge(found, known), encoding="utf-8")
        if files.html:
            files.html.write_text(as_html(found), encoding="utf-8")
        if files.update_baseline and files.baseline:
            files.baseline.write_bytes(as_baseline(found, known))
    except OSError as error:
        raise Interrupted(
            f"{error.filename}: {error.strerror}; nothing else is lost, run the same command again"
        ) from None
    if json:
        reports = {name: as_data(r) if isinstance(r, Report) else {"not_checked": r} for name, r in found.items()}
        printed.as_json(reports if several else next(iter(reports.values())))
    elif several:
        _of_several(found, fresh)
    else:
        say("\n".join(render(next(r for r in found.values() if isinstance(r, Report)))))
    if files.update_baseline:
        count = sum(map(len, failures(found).values()))
        tell(
            f"{files.baseline} knows {count} fault{'s' * (count != 1)}; write a reason in the place of what is said of each"
        )
        return 0
    if files.baseline and not json:
        _against(files.baseline, known, fresh, gone(found, known))
    return 1 if fresh else 0


def _of_several(found: Found, fresh: Baseline) -> None:
    """A line for each; then those with new faults, in full."""
    reports = {name: r for name, r in found.items() if isinstance(r, Report)}
    for name, report in reports.items():
        if name in fresh:
            say("\n".join(render(Report(name, report.findings, report.where), passing=False)))
    for name, report in reports.items():
        known = " (known)" if not report.ok and name not in fresh else ""
        say(f"{'FAIL' if name in fresh else 'pass'} {name}: {summary(report)}{known}")
    refused = {name: r for name, r in found.items() if isinstance(r, str)}
    for name, reason in refused.items():
        say(f"n/a  {name}: {reason}")
    clean = sum(r.ok for r in reports.values())
    say(f"\n{clean} of {len(reports)} pass everything" + (f", {len(refused)} could not be checked" if refused else ""))


def _against(path: Path, known: Baseline, fresh: Baseline, mended: Baseline) -> None:
    count = sum(map(len, fresh.values()))
    say(f"\n{count} fault{'s' * (count != 1)} that {path} doesn't know" if known or count else "")
    for name, checks in mended.items():
        tell(f"{name}: {', '.join(checks)} fails no more; --update-baseline takes it out of {path}")
