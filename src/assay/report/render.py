"""A figure, once as SVG for the page and once as PNG for the folder."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from assay.report.style import INK, PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160


class Drawn(NamedTuple):
    """The two renderings: `svg` is an element to put into a page, `png` the bytes of a file."""

    svg: str
    png: bytes


def render(figure: Figure, name: str, description: str) -> Drawn:
    """Both renderings. `name` makes the ids of the SVG unique within a page; `description` is read to the blind."""
    return Drawn(_svg(figure, name, description), _png(figure))


def _svg(figure: Figure, name: str, description: str) -> str:
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
    return f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{escape(description)}">{body}'


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
