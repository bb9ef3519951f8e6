"""The controls in the report: a figure of their differences, and what each of them says."""

from __future__ import annotations

from typing import Any

from assay.judge.sentence import listed
from assay.report.figures import Card, compared, data
from assay.report.figures.rows import strips
from assay.report.reading import Reading
from assay.report.style import look

NAMES = {"again": "A/A", "rule": "replay: the rule", "schedule": "replay: the schedule", "replay": "schedule replay"}


def card(reading: Reading) -> Card | None:
    """A strip for each comparison; None where there are no controls."""
    scale, task = reading.units.scale, reading.plan.science.task
    made = [entry for entry in reading.content.get("controls", []) if not entry["skipped"]]
    # a sabotage that loses lies far off, and would squash all
    lost = [entry for entry in made if entry["control"] == "sabotage" and entry["passed"]]
    shown = [entry for entry in made if entry not in lost]
    if not shown:
        return None
    axis = reading.units.of(f"difference in {task.metric}")
    slots = {arm.name: arm.slot for arm in reading.arms}
    rows = [compared(_label(e), look(slots.get(e["first"], 0)), e["differences"], e, scale) for e in shown]
    beyond = ", and the sabotage left of it"
    if lost:
        far = reading.units.difference(lost[0]["difference"])
        beyond = f"; the sabotage, at {far}, is too far left to be shown"
    failed = [name_of(entry) for entry in made if entry["passed"] is False]
    return Card(
        "controls",
        "Controls",
        f"A dot a replicate, a bar the interval. {f'Not as it should be: {listed(failed)}. ' if failed else ''}"
        f"A/A should lie about the line{beyond}. Where the replay of a candidate does as well as the "
        "candidate, its schedule is what makes the difference.",
        strips(rows, axis, zero=True, margin=scale * task.margin),
        data.marked(rows, "replicate", axis),
    )


def _label(entry: dict[str, Any]) -> str:
    """What stands above a strip, short enough for it."""
    first, second = entry["first"], entry["second"]
    if entry["control"] == "replay":
        first, second = (first, "replay") if entry["part"] == "rule" else (f"replay of {entry['about']}", second)
    return f"{name_of(entry)}: {first} − {second}".replace("replay: the ", "the ")


def name_of(entry: dict[str, Any]) -> str:
    """What a control is called on the page."""
    called: str = entry.get("part", entry["control"])
    return NAMES.get(called, called)
