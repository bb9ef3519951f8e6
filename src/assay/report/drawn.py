"""What a report consists of, drawn in memory: the same bytes for the same record, wherever the same code draws it."""

from __future__ import annotations

import functools
import hashlib
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from assay.core.versions import installed
from assay.record.suite import is_suite
from assay.report import run, suite
from assay.report.page import html, png, svg
from assay.report.style import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"
LIBRARIES = ("matplotlib", "numpy", "jinja2")


def drawn(path: Path) -> dict[str, bytes]:
    """The files of a report by name: the figures, and the page last. Raises as `draw` does."""
    with drawing():
        cards, template, shown = suite.report(path) if is_suite(path) else run.report(path)
        figures = [(card, svg(card.figure, card.name, f"{card.title}. {card.reading}")) for card in cards]
        files = {f"{card.name}.png": png(card.figure) for card in cards}
    page = html(template, figures=figures, drawn_with=drawn_with(), **shown)
    return {**files, PAGE: page.encode()}


def figures(path: Path) -> dict[str, Figure]:
    """The figures of a report by name. Raises as `draw` does."""
    with drawing():
        cards, _, _ = suite.report(path) if is_suite(path) else run.report(path)
    return {card.name: card.figure for card in cards}


@functools.cache
def drawn_with() -> str:
    """What draws here: other code, libraries or processors may draw other bytes."""
    sha = hashlib.sha256()
    for file in sorted(p for p in Path(__file__).parent.rglob("*") if p.suffix in (".py", ".j2", ".css")):
        sha.update(file.read_bytes())
    libraries = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    return f"assay {installed('assay')} ({sha.hexdigest()[:8]}), {libraries}, {platform.machine()}"
