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
    from assay.report import honest, published  # matplotlib takes most of a second: only when something is drawn
    from assay.report.page import page
    from assay.report.reading import read
    from assay.report.render import render
    from assay.report.style import drawing

    path = Path(folder)
    if is_suite(path):
        return _draw_suite(path)
    reading = read(path)
    with drawing():
        kind = published if reading.plan.science.protocol.name == "published" else honest
        cards = kind.cards(reading)
        drawn = [(card, render(card.figure, card.name, f"{card.title}. {card.reading}")) for card in cards]
    for card, pictures in drawn:
        write_bytes(path / f"{card.name}.png", pictures.png)
    write_bytes(path / "report.html", page(reading, drawn).encode())
    return path / "report.html"


def _draw_suite(path: Path) -> Path:
    from assay.report import suite
    from assay.report.render import render
    from assay.report.style import drawing

    reading = suite.read(path)
    with drawing():
        drawn = [(c, render(c.figure, c.name, f"{c.title}. {c.reading}")) for c in suite.cards(reading)]
    for card, pictures in drawn:
        write_bytes(path / f"{card.name}.png", pictures.png)
    write_bytes(path / "report.html", suite.page(reading, drawn).encode())
    return path / "report.html"
