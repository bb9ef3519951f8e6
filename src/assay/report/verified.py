"""Is the page what is drawn from the record? It is drawn again and compared, where this assay and its libraries drew it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from assay.record.files import read_bytes
from assay.report.drawn import PAGE, drawn, drawn_with
from assay.report.page import UP

LARGEST = 256 * 2**20  # bytes
WITH = re.compile(rb'<meta name="generator" content="([^"]*)">')


def faults(path: Path) -> Iterator[str]:
    """Drawings that are not what is drawn from the record; nothing where there are none, or others drew them (`by_others`).

    Raises as `report.draw` does.
    """
    figures = {p.name for p in path.iterdir() if p.suffix == ".png"}
    if not (path / PAGE).exists():
        if figures:
            yield f"{PAGE} is missing, and says by what its figures were drawn: assay report {path} draws all of it again"
        return
    if by_others(path):
        return
    expected, there = drawn(path), figures | {PAGE}
    for name in sorted(expected.keys() | there):
        if name not in expected:
            yield f"{name} is no drawing of this record"
        elif name not in there or not _holds(path / name, expected[name], name == PAGE):
            yield f"{name} is not what is drawn from the record"


def _holds(path: Path, expected: bytes, page: bool) -> bool:
    """Whether a file is that. A page may lead to that of the comparison it was made in or not: a run may be moved out of one."""
    if abs(path.stat().st_size - len(expected)) > page * len(UP.encode()):
        return False
    found = read_bytes(path)
    return _alone(found) == _alone(expected) if page else found == expected


def _alone(page: bytes) -> bytes:
    return page.replace(UP.encode(), b"", 1)


def by_others(path: Path) -> str | None:
    """By what a page was drawn that can't be drawn the same here, in its own words; None where it can."""
    if not (path / PAGE).exists():
        return None
    found = WITH.search(read_bytes(path / PAGE, LARGEST)[:4096])
    with_ = found[1].decode(errors="replace") if found else "an earlier assay"
    return None if with_ == drawn_with() else with_
