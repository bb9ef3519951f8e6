"""A record for a paper: figures as PDF and SVG, their numbers as CSV, and LaTeX with its bibliography."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.record.files import fault, write_bytes
from assay.record.outside import see_that_it_is_outside
from assay.record.suite import is_suite
from assay.report import run, suite
from assay.report.figures.data import as_csv
from assay.report.paper import methods
from assay.report.paper.latex import filled
from assay.report.paper.vector import pdf, printing, svg
from assay.report.style import drawing

LATEX = "paper.tex"


def write(folder: Path, to: Path) -> Path:
    """Write what a paper needs of a finished run, or of a comparison across tasks, into a folder; where its LaTeX file is.

    `figures/` has each figure as PDF and SVG, 3.35 inches wide, `data/` the numbers behind each as CSV. `paper.tex` is to be
    `\\input`: the sentence, a table, a paragraph on the methods, and the figures; `assay.bib` has what it cites.

    Raises:
        UsageError: no run folder, no result in it yet; or `to` lies in a record, or can't be written.
        BrokenRecord: a damaged file.
    """
    see_that_it_is_outside(to)
    with drawing(), printing():
        cards, _, shown = suite.report(folder) if is_suite(folder) else run.report(folder)
        files = {
            f"figures/{c.name}.{kind}": draw(c.figure) for c in cards for kind, draw in (("pdf", pdf), ("svg", svg))
        }
    files |= {f"data/{card.name}.csv": as_csv(card.data).encode() for card in cards}
    said: Mapping[str, Any] = (
        methods.of_suite(shown["reading"]) if is_suite(folder) else methods.of_run(shown["reading"])
    )
    files[LATEX] = filled("paper.tex.j2", cards=cards, **said).encode()
    files["assay.bib"] = filled("assay.bib.j2", **said).encode()
    try:
        for place in ("figures", "data"):
            (to / place).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fault(error, to) from error
    for name, content in files.items():
        write_bytes(to / name, content)
    return to / LATEX
