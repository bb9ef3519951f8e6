"""The page: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from assay.report import controls, tables
from assay.report.command import command, quoted
from assay.report.facts import facts
from assay.report.figures import Card
from assay.report.numbers import numbers
from assay.report.reading import Reading
from assay.report.render import Drawn
from assay.report.style import PALETTE
from assay.report.units import Units, settings


def page(reading: Reading, drawn: Sequence[tuple[Card, Drawn]]) -> str:
    """The report as one HTML document."""
    science = reading.plan.science
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            title=" and ".join(v["candidate"] for v in reading.content["verdicts"])
            + f" against {science.contenders[0].name} on {science.task.name}",
            task=science.task.name,
            protocol=science.protocol.name,
            verdicts=[in_two(v) for v in reading.content["verdicts"]],
            contenders=tables.contenders(reading),
            figures=[{"card": card, "svg": jinja2.utils.markupsafe.Markup(d.svg)} for card, d in drawn],
            controls=controls.rows(reading),
            cost=tables.cost(reading),
            numbers=numbers(reading),
            facts=facts(reading),
            command=_words(reading),
            wider=_wider(reading),
            colours=len(PALETTE),
        )
    )


def summary_html(content: Mapping[str, Any]) -> str:
    """A `Result` in a notebook: the sentences and a table of contenders. `content` is that of `result.json`."""
    units = Units("score", content["unit"], content["scale"])
    rows = [
        {
            "name": name,
            "tuned": settings(c["hyperparameters"]),
            "score": units.score(c["score_mean"], c["score_sd"]),
            "diverged": c["diverged"] + c["diverged_trials"],
        }
        for name, c in content["contenders"].items()
    ]
    verdicts = [in_two(v) for v in content["verdicts"]]
    return environment().get_template("summary.html.j2").render(verdicts=verdicts, contenders=rows)


def in_two(verdict: Mapping[str, Any]) -> dict[str, str]:
    """The sentence in two: what was found, large, and what has to be said with it."""
    first, dot, rest = verdict["sentence"].replace(" %", "\u00a0%").partition(". ")
    return {"outcome": verdict["outcome"], "lead": first + dot.strip(), "rest": rest}


def _wider(reading: Reading) -> list[str] | None:
    """The command with wider ranges, where the tuning ended at the edge of one."""
    wider = next((v["details"].get("wider") for v in reading.content["verdicts"]), None)
    return _words(reading, wider) if wider else None


def _words(reading: Reading, wider: Mapping[str, Mapping[str, str]] | None = None) -> list[str] | None:
    words = command(reading.plan, wider, controls=bool(reading.content.get("controls")))
    return None if words is None else quoted(words)


@cache
def environment() -> jinja2.Environment:
    """The templates."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("assay.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
