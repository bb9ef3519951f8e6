"""The report: one HTML page that opens anywhere, and its figures as PNG files beside it. torch is never imported."""

from __future__ import annotations

from pathlib import Path

from assay.record.files import write_bytes
from assay.report.drawn import PAGE, drawn
from assay.report.page import summary_html

__all__ = ["draw", "summary_html"]


def draw(folder: str | Path) -> Path:
    """Draw the report of a finished run into its folder and return where `report.html` is.

    Writes `report.html` and a PNG a figure, each whole or not at all.

    Raises:
        UsageError: no run folder, no result in it yet, or it can't be written. BrokenRecord: a damaged file.
        Interrupted: the disk is full.
    """
    path = Path(folder)
    found = drawn(path)
    for name, content in found.items():
        write_bytes(path / name, content)
    for name in {
        "speed.png",
        "speedup.png",
        "scale.png",
        "scale_margins.png",
    } - found.keys():  # which take each other's place
        (path / name).unlink(missing_ok=True)
    return path / PAGE
