"""The report of a single run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from assay.report import controls, tables
from assay.report.cards import cards
from assay.report.command import command, quoted
from assay.report.facts import facts
from assay.report.figures import Card
from assay.report.numbers import numbers
from assay.report.page import html, in_two
from assay.report.reading import Reading, read


def report(path: Path) -> tuple[list[Card], Callable[[Sequence[tuple[Card, str]]], str]]:
    """The figures, and what makes the page of them and their SVG. Raises as `reading.read` does."""
    reading = read(path)
    return cards(reading), partial(_page, reading)


def _page(reading: Reading, figures: Sequence[tuple[Card, str]]) -> str:
    science, verdicts = reading.plan.science, reading.content["verdicts"]
    wider = next((v["details"].get("wider") for v in verdicts), None)
    return html(
        "page.html.j2",
        figures,
        title=" and ".join(v["candidate"] for v in verdicts)
        + f" against {science.contenders[0].name} on {science.task.name}",
        task=science.task.name,
        protocol=science.protocol.name,
        verdicts=[in_two(v) for v in verdicts],
        contenders=tables.contenders(reading),
        controls=controls.rows(reading),
        cost=tables.cost(reading),
        numbers=numbers(reading),
        facts=facts(reading),
        command=_words(reading),
        wider=_words(reading, wider) if wider else None,
    )


def _words(reading: Reading, wider: Mapping[str, Mapping[str, str]] | None = None) -> list[str] | None:
    words = command(reading.plan, wider, controls=bool(reading.content.get("controls")))
    return None if words is None else quoted(words)
