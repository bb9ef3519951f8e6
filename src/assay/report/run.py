"""The report of a single run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assay.record.suite import is_suite
from assay.report import controls, ladder
from assay.report.cards import cards
from assay.report.command import command
from assay.report.facts import facts, numbers
from assay.report.figures import Card
from assay.report.page import UP
from assay.report.reading import Arm, read
from assay.report.units import number


def report(path: Path) -> tuple[list[Card], str, dict[str, Any]]:
    """The figures, the page's template, and what that shows. Raises as `reading.read` does."""
    reading = read(path)
    content, plan, names = reading.content, reading.plan, [arm.name for arm in reading.arms]
    made, asked = content.get("controls", []), plan.science.task
    wider = next((v["details"].get("wider") for v in content["verdicts"]), None)
    shown = {
        "title": f"{' and '.join(names[1:])} against {names[0]} on {asked.name}",
        "reading": reading,
        "leading": 0,
        "verdicts": content["verdicts"],
        "chosen": _chosen,
        "seconds": ladder.in_seconds(reading),
        "laddered": ladder.spent(reading),
        "controls": [(controls.name_of(entry), entry) for entry in made],
        "numbers": numbers(reading),
        "facts": facts(reading),
        "command": command(plan, controls=bool(made), speedup="ladder" in content),
        "together": any(n.chunk_size > 1 and n.engine != "loop" for n in plan.numerics),
        "within": is_suite(path.resolve().parent),
        "up": UP,
        "wider": command(plan, wider, controls=bool(made), speedup="ladder" in content) if wider else None,
    }
    return cards(reading), "page.html.j2", shown


def _chosen(arm: Arm) -> str:
    """How far the replicates' choices lie apart; nothing to say of one."""
    chosen = arm.came["chosen"]
    if len(chosen) < 2:
        return ""
    ranges = []
    for name, dimension in arm.info.space.items():
        values = [c[name] for c in chosen]
        if hasattr(dimension, "low"):
            ranges.append(f"{number(min(values))} to {number(max(values))}")
        else:
            ranges.append(f"{values.count(arm.came['hyperparameters'][name])} of {len(values)}")
    return f"middle of {len(chosen)} replicates: {', '.join(ranges)}"
