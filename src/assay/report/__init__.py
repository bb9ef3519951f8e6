"""The report: one HTML page that opens anywhere, and its figures as PNG files beside it. torch is never imported."""

from __future__ import annotations

from pathlib import Path

from assay.record.files import write_bytes
from assay.record.suite import is_suite
from assay.report import run, suite
from assay.report.page import html, png, summary_html, svg
from assay.report.style import drawing

__all__ = ["draw", "summary_html"]


def draw(folder: str | Path) -> Path:
    """Draw the report of a finished run into its folder and return where `report.html` is.

    Writes `report.html` and a PNG a figure, each whole or not at all.

    Raises:
        UsageError: no run folder, no result in it yet, or it can't be written. BrokenRecord: a damaged file.
        Interrupted: the disk is full.
    """
    path = Path(folder)
    with drawing():
        cards, template, shown = suite.report(path) if is_suite(path) else run.report(path)
        figures = [(card, svg(card.figure, card.name, f"{card.title}. {card.reading}")) for card in cards]
        pictures = [png(card.figure) for card in cards]
    for card, picture in zip(cards, pictures, strict=True):
        write_bytes(path / f"{card.name}.png", picture)
    page = path / "report.html"
    write_bytes(page, html(template, figures=figures, **shown).encode())
    return page
