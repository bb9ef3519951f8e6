"""What every page shares: the templates, the figures, and how a sentence is parted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from assay.report.figures import Card
from assay.report.style import PALETTE
from assay.report.units import Units, settings


def html(template: str, figures: Sequence[tuple[Card, str]], **context: Any) -> str:
    """A template filled in: `figures` with their SVG, the rest as it is named there; all but the SVG is escaped."""
    drawn = [(card, Markup(svg)) for card, svg in figures]
    return _templates().get_template(template).render(figures=drawn, colours=len(PALETTE), **context)


def summary_html(content: Mapping[str, Any]) -> str:
    """A `Result` in a notebook: the sentences and a table of contenders. `content` is that of `result.json`."""
    return html(
        "summary.html.j2",
        (),
        verdicts=[in_two(v) for v in content["verdicts"]],
        contenders=content["contenders"],
        units=Units("score", content["unit"], content["scale"]),
        settings=settings,
    )


def in_two(verdict: Mapping[str, Any]) -> dict[str, str]:
    """The sentence in two: what was found, large, and what has to be said with it."""
    first, dot, rest = verdict["sentence"].replace(" %", "\u00a0%").partition(". ")
    return {"outcome": verdict["outcome"], "lead": first + dot.strip(), "rest": rest}


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("assay.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
