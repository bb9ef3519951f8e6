"""The report: one HTML page that opens anywhere, and its figures as PNG files beside it. torch is never imported."""

from __future__ import annotations

from pathlib import Path

from assay.record.files import write_bytes
from assay.record.suite import is_suite
from assay.report.page import summary_html

__all__ = ["draw", "summary_html"]


def draw(folder: str | Path) -> Path:
    """Draw the report of a finished run into its folder and return where `report.html` is.

    Writes `report.html` and a PNG a figure, each whole or not at all.

    Raises:
        UsageError: no run folder, no result in it yet, or it can't be written. BrokenRecord: a damaged file.
        Interrupted: the disk is full.
    """
    from assay.report import run, suite  # matplotlib takes most of a second: only when something is drawn
    from assay.report.render import render
    from assay.report.style import drawing

    path = Path(folder)
    with drawing():
        cards, page = suite.report(path) if is_suite(path) else run.report(path)
        drawn = [(card, render(card.figure, card.name, f"{card.title}. {card.reading}")) for card in cards]
    for card, pictures in drawn:
        write_bytes(path / f"{card.name}.png", pictures.png)
    html = page([(card, pictures.svg) for card, pictures in drawn])
    write_bytes(path / "report.html", html.encode())
    return path / "report.html"
