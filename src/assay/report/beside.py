"""Several reports side by side: what each found in a table, and their figures in rows, one kind a row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from assay.errors import UsageError
from assay.judge.digits import printed
from assay.judge.sentence import amount
from assay.record import manifest
from assay.record.suite import is_suite
from assay.report import run, suite
from assay.report.drawn import PAGE, drawn_with
from assay.report.figures import Card
from assay.report.page import html, put, see_that_it_can_be, svg
from assay.report.style import drawing
from assay.report.units import MISSING, signed, span

MOST = 12  # reports: a page of more would be no page to look at


class Shown(NamedTuple):
    """One report: what it is called, the way to its own page, and its figures by name, with their SVG."""

    name: str
    address: str
    verdicts: list[dict[str, Any]]
    title: str
    root: str
    figures: dict[str, tuple[Card, Markup]]


def write(folders: Sequence[Path], page: Path) -> Path:
    """Write one page of several finished runs, or comparisons across tasks, and return where it is.

    Raises:
        UsageError: fewer than two of them or more than 12, the same twice, no run folder, no result in it yet; or the page would
            lie in a record, or can't be written. BrokenRecord: a damaged file.
    """
    resolved = [folder.resolve() for folder in folders]
    if twice := next((f for f in folders if resolved.count(f.resolve()) > 1), None):
        raise UsageError(f"{twice} is given twice; name each report once")
    if not 2 <= len(folders) <= MOST:
        raise UsageError(f"side by side go 2 to {MOST} reports, not {len(folders)}")
    see_that_it_can_be(page)
    names = _names(resolved)
    with drawing():
        shown = [
            _shown(folder, name, place, page) for place, (folder, name) in enumerate(zip(resolved, names, strict=True))
        ]
    kinds = list(dict.fromkeys(kind for one in shown for kind in one.figures))
    text = html("beside.html.j2", title=" beside ".join(names), shown=shown, kinds=kinds, drawn_with=drawn_with())
    return put(page, text)


def _shown(folder: Path, name: str, place: int, page: Path) -> Shown:
    across = is_suite(folder)
    cards, _, said = suite.report(folder) if across else run.report(folder)
    figures = {c.name: (c, svg(c.figure, f"r{place}-{c.name}", f"{name}: {c.title}. {c.reading}")) for c in cards}
    verdicts = [
        {**v, "where": f"{len(v['tasks'])} tasks" if across else v["task"], "said": _said(v, said, across)}
        for v in said["verdicts"]
    ]
    address = quote(os.path.relpath(folder / PAGE, page.resolve().parent))
    return Shown(name, address, verdicts, said["title"], manifest.root(folder), figures)


def _said(v: dict[str, Any], said: dict[str, Any], across: bool) -> str:
    """The difference with its interval, in the unit of its text."""
    if v["difference"] is None:
        return MISSING
    if across:
        return f"{signed(v['difference'])} margins ({span(v)})"
    task = said["reading"].plan.science.task
    if v["ci_low"] is None or v["ci_high"] is None:
        return said["reading"].units.difference(v["difference"])
    text = printed(v["difference"], v["ci_low"], v["ci_high"], task.margin, task.scale)
    return f"{amount(text.mean, task.unit)} ({text.low} to {text.high})"


def _names(folders: Sequence[Path]) -> list[str]:
    """As short as tells them apart: the last parts of their paths."""
    for parts in range(1, max(len(f.parts) for f in folders) + 1):
        names = ["/".join(f.parts[-parts:]) for f in folders]
        if len(set(names)) == len(names):
            return names
    return [str(f) for f in folders]
