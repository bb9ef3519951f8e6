"""What every page shares: the templates, how they write numbers, and figures as SVG for them and as PNG files."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jinja2
from markupsafe import Markup

from assay.errors import UsageError
from assay.record.files import fault, write_bytes
from assay.record.outside import see_that_it_is_outside
from assay.report.command import quoted
from assay.report.style import INK, PALETTE, TOLD
from assay.report.units import Units, duration, number, per_cent, settings, signed, span, unbroken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 300  # of the PNG files, 1,200 pixels wide
UP = Markup(
    '<p class="up"><a href="../report.html">← all tasks of this comparison</a></p>'
)  # of a task's page in a suite


def html(template: str, **context: Any) -> str:
    """A template filled in. All is escaped, but the SVG of `figures`, which are pairs of a card and that."""
    return _templates().get_template(template).render(**context)


def see_that_it_can_be(page: Path) -> None:
    """UsageError where a page of several records would lie in one, or is a folder: before much is done for it."""
    see_that_it_is_outside(page)
    if page.is_dir():
        raise UsageError(f"{page} can't be written: it is a folder; name a file, as in --out {page / 'page.html'}")


def put(page: Path, text: str) -> Path:
    """Write a page, its folder too, and return where it is. UsageError, Interrupted: it can't be."""
    try:
        page.resolve().parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fault(error, page) from error
    write_bytes(page, text.encode())
    return page


def summary_html(content: Mapping[str, Any], recorded: str = "") -> str:
    """A `Result` in a notebook: the sentences and, of one task, a table of contenders. `content` is that of `result.json`.

    `recorded`: from when the answer is, where it was on record.
    """
    units = Units("score", content["unit"], content["scale"]) if "contenders" in content else None
    return html("summary.html.j2", content=content, recorded=recorded, units=units)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("assay.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    written = (duration, number, per_cent, quoted, settings, signed, span, unbroken)
    environment.filters.update((way.__name__, way) for way in written)
    environment.globals["colours"] = len(PALETTE)
    return environment


def svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an element of a page. `name` makes its ids unique there; `description` is read to the blind."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    box = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">", text.index("<svg")) + 1 :]
    body = _with_titles(re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL))
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


def _with_titles(body: str) -> str:
    """Each marker of a line that tells of its points with what is told, which browsers show beside the mouse."""
    head, *told = re.split(rf'<g id="{TOLD}([^"]*)"', body)
    for given, part in zip(told[::2], told[1::2], strict=True):
        own, more, others = part.partition('<g id="')
        texts = json.loads(unquote(given))
        if len(re.findall("<use ", own)) == len(texts):  # not where they are one picture
            each = iter(texts)
            own = re.sub(
                "<use ([^>]*)/>", lambda m, each=each: f"<use {m[1]}><title>{escape(next(each))}</title></use>", own
            )
        head += f"<g{own}{more}{others}"
    return head


def png(figure: Figure) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
