"""Figures as files that a paper takes in: vectors, a column wide, with their fonts in them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMN = 3.35  # inches: between the columns of ICML (3.25) and of IEEE (3.5)


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Figures saved within it have their fonts as journals want them: TrueType in a PDF, outlines in an SVG."""
    import matplotlib

    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "path"}):
        yield


def svg(figure: Figure) -> bytes:
    """The figure, with the width of a column."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    width, height = figure.get_size_inches()
    text = buffer.getvalue()
    drawn, wanted = (
        f'width="{w * 72:g}pt" height="{h * 72:g}pt"' for w, h in ((width, height), (COLUMN, height * COLUMN / width))
    )
    return _once(text, drawn, wanted).encode()


def pdf(figure: Figure) -> bytes:
    """The figure, with the width of a column: what is drawn is scaled as a whole, its text with it."""
    from matplotlib.backends.backend_mixed import MixedModeRenderer
    from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf

    width, height = figure.get_size_inches()
    scale = COLUMN / width
    buffer = io.BytesIO()
    file = PdfFile(buffer, metadata=dict.fromkeys(("Creator", "Producer", "CreationDate")))
    before, figure.dpi = figure.dpi, 72  # as the backend itself does
    try:
        file.newPage(width * scale, height * scale)
        file.width, file.height = width, height  # beyond them nothing is drawn: of the figure, not of the page
        file.output(scale, 0, 0, scale, 0, 0, Op.concat_matrix)
        renderer: Any = MixedModeRenderer(figure, width, height, 300, RendererPdf(file, 300, height, width))
        figure.draw(renderer)
        renderer.finalize()
        file.finalize()
        file.close()
    finally:
        figure.dpi = before
    return buffer.getvalue()


def _once(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"matplotlib's SVG has no {old!r}")
    return text.replace(old, new)
