"""What every page shares: the templates, and how they write numbers and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from assay.report.command import quoted
from assay.report.style import PALETTE
from assay.report.units import Units, duration, number, per_cent, settings, signed, span, unbroken


def html(template: str, **context: Any) -> str:
    """A template filled in. All is escaped, but the SVG of `figures`, which are pairs of a card and that."""
    return _templates().get_template(template).render(**context)


def summary_html(content: Mapping[str, Any]) -> str:
    """A `Result` in a notebook: the sentences and a table of contenders. `content` is that of `result.json`."""
    return html("summary.html.j2", content=content, units=Units("score", content["unit"], content["scale"]))


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
