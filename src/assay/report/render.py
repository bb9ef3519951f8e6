"""A figure, once as SVG for the page and once as PNG for the folder."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

from markupsafe import Markup

from assay.report.style import INK, PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160


def svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an element of a page. `name` makes its ids unique there; `description` is read to the blind."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    box = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r" ?font-family: [^;\"]*;?", "", body)  # the page's own font
    body = re.sub(r'font: ([\d.]+px) [^;"]*', r"font-size: \1", body)
    body = re.sub(rf"(fill|stroke): {INK}", r"\1: currentColor", body)
    for i, colour in enumerate(PALETTE):
        body = re.sub(rf"(fill|stroke): {colour}", rf"\1: var(--series-{i})", body)
    body = re.sub(r"\n\s*", "\n", body)
    return Markup(f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{escape(description)}">{body}')


def png(figure: Figure) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
