"""The page of a comparison across tasks, a board among them: one table, three figures, all numbers from `result.json`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import Plan
from assay.errors import BrokenRecord
from assay.judge.digits import minus, percent
from assay.judge.sentence import counted
from assay.record.plan import read_plan
from assay.record.suite import Suite, open_suite, runs
from assay.report.command import across as command
from assay.report.command import quoted
from assay.report.facts import Facts
from assay.report.figures import Card, Series, compared
from assay.report.figures.lines import profiles
from assay.report.figures.rows import forest
from assay.report.page import html, in_two
from assay.report.reading import written
from assay.report.style import Look, look
from assay.report.units import MISSING, Units, duration, number, settings

WORDS = {"better": "+", "worse": "−", "equivalent": "=", "negligible": "≈", "inconclusive": "?"}
FEW = 3  # candidates for whom every task is drawn


@dataclass(frozen=True)
class Reading:
    """Everything that the page shows."""

    suite: Suite
    content: dict[str, Any]
    timings: dict[str, Any]
    plans: dict[str, Plan]

    @cached_property
    def verdicts(self) -> list[dict[str, Any]]:
        """The candidates, the best first; those without an interval last."""
        known = [v for v in self.content["verdicts"] if v["difference"] is not None]
        unknown = [v for v in self.content["verdicts"] if v["difference"] is None]
        return sorted(known, key=lambda v: -v["difference"]) + unknown

    def slot(self, candidate: str) -> int:
        """The candidate's place in the suite, which decides how it is drawn; the baseline is 0."""
        return 1 + self.suite.candidates.index(candidate)

    def look(self, candidate: str) -> Look:
        """How the candidate is drawn."""
        return look(self.slot(candidate))


def read(path: Path) -> Reading:
    """The suite in a folder. UsageError: no result yet. BrokenRecord: a file that can't be read."""
    suite = open_suite(path)
    content, timings = written(path)
    if content.get("suite_hash") != suite.hash:
        raise BrokenRecord(f"{path / 'result.json'} belongs to another comparison; run the command that made it again")
    plans = {name: read_plan(folder) for name, folder in runs(path).items()}
    return Reading(suite, content, timings, plans)


def report(path: Path) -> tuple[list[Card], Callable[[Sequence[tuple[Card, str]]], str]]:
    """The figures, and what makes the page of them and their SVG. Raises as `read` does."""
    reading = read(path)
    return [_forest(reading), *_tasks(reading), _profiles(reading)], partial(_page, reading)


def _forest(reading: Reading) -> Card:
    rows = []
    for v in reading.verdicts:
        dots = [c["difference"] for c in v["tasks"] if c["difference"] is not None]
        rows.append(compared(v["candidate"], reading.look(v["candidate"]), dots, v))
    base = reading.suite.baseline
    return Card(
        "across_plot",
        f"Against tuned {base}, all tasks together",
        f"Right of the line is better than {base}. Large marks are means over the data sources with the interval that "
        "decides, small dots the tasks; in the grey band a difference is too small to matter. The axis is linear up to 2.",
        forest(rows, "difference in margins"),
    )


def _tasks(reading: Reading) -> list[Card]:
    if len(reading.verdicts) > FEW:
        return []
    rows = []
    for place, task in enumerate(reading.content["tasks"]):
        for v in reading.verdicts:
            cell = v["tasks"][place]
            label = task["name"] if len(reading.verdicts) == 1 else f"{task['name']}: {v['candidate']}"
            rows.append(compared(label, reading.look(v["candidate"]), [], cell))
    level = 100 * reading.content["levels"]["tasks"]
    return [
        Card(
            "tasks",
            "Task by task",
            f"Each task's own difference with its {level:.4g} % interval: wide enough that all of them together are wrong "
            f"in at most {100 * reading.suite.cells_alpha:g} % of such comparisons.",
            forest(rows, "difference in margins"),
        )
    ]


def _profiles(reading: Reading) -> Card:
    described = [(v["candidate"], v["details"]["descriptive"]) for v in reading.verdicts if v["details"]]
    x = np.array(described[0][1]["thresholds"])
    lines = [Series(reading.suite.baseline, look(0), np.array(described[0][1]["baseline_profile"]))]
    lines += [Series(name, reading.look(name), np.array(d["profile"])) for name, d in described]
    inner = np.abs(x) <= max(2.0, min(6.0, _spread(lines, x)))
    return Card(
        "profiles",
        "Performance profiles",
        "The share of replicates that lie more than x margins above the baseline's mean on their task: a curve above "
        "another everywhere is better everywhere. It describes, and decides nothing.",
        profiles([p._replace(values=p.values[inner]) for p in lines], x[inner]),
    )


def _spread(lines: Sequence[Series], x: np.ndarray) -> float:
    """Up to where the profiles still change."""
    moving = np.any([(p.values > 0.02) & (p.values < 0.98) for p in lines], axis=0)
    return float(np.abs(x[moving]).max()) if moving.any() else 2.0


def view(reading: Reading) -> dict[str, Any]:
    """What the page says, as text: rows, cells, levels and facts."""
    suite = reading.suite
    shares = (suite.alpha, suite.cells_alpha, suite.alpha + suite.cells_alpha)
    words = command(suite, list(reading.plans.values()))
    scores = [_scores(reading, name) for name in (suite.baseline, *suite.candidates)]
    return {
        "baseline": suite.baseline,
        "tasks": [_task_head(t) for t in reading.content["tasks"]],
        "verdicts": [in_two(v) for v in reading.verdicts],
        "rows": [_row(reading, v) for v in reading.verdicts],
        "scores": scores,
        "levels": {k: f"{100 * v:.4g} %" for k, v in reading.content["levels"].items()},
        "alphas": [f"{100 * a:g} %" for a in shares],
        "confidence": [f"{100 - 100 * a:g} %" for a in shares],
        "command": None if words is None else quoted(words),
        "facts": _facts(reading),
        "aimed": _aimed(reading),
        "edges": any(cell["edges"] for row in scores for cell in row["cells"]),
    }


def _page(reading: Reading, figures: Sequence[tuple[Card, str]]) -> str:
    suite, shown = reading.suite, view(reading)
    board = suite.title == "board"
    plain = f"{', '.join(suite.candidates)} against {suite.baseline}"
    title = f"Who beats tuned {suite.baseline}?" if board else plain
    facts = [Facts("Plan and machine", shown.pop("facts"))]
    return html("suite.html.j2", figures, title=title, board=board, facts=facts, **shown)


def _row(reading: Reading, v: dict[str, Any]) -> dict[str, Any]:
    outcomes = [c["outcome"] for c in v["tasks"]]
    described = v["details"].get("descriptive", {})
    return {
        "name": v["candidate"],
        "slot": reading.slot(v["candidate"]),
        "outcome": v["outcome"],
        "difference": _signed(v["difference"]),
        "interval": _span(v),
        "better": outcomes.count("better"),
        "worse": outcomes.count("worse"),
        "cells": [_cell(c) for c in v["tasks"]],
        "iqm": _signed(described.get("interquartile_mean")),
        "iqm_interval": _pair(described.get("interquartile_mean_interval"), _signed),
        "improvement": percent(described["improvement"]) if described else MISSING,
        "improvement_interval": _pair(described.get("improvement_interval"), percent),
        **_steps(v),
        **_times(reading, v["candidate"]),
    }


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    if cell["outcome"] is None:
        return {"outcome": "none", "word": "", "text": MISSING, "title": cell["why"], "interval": ""}
    title = f"{cell['outcome']}: {_signed(cell['difference'])} margins ({_span(cell)})"
    text, word = _signed(cell["difference"]), WORDS[cell["outcome"]]
    return {"outcome": cell["outcome"], "word": word, "text": text, "title": title, "interval": _span(cell)}


def _steps(v: dict[str, Any]) -> dict[str, str]:
    """The median over tasks of the ratio of median steps to the target, and how many runs get there at all."""
    known = [c["steps"] for c in v["tasks"] if c.get("steps")]
    ratios = [_ratio(s["candidate_median"], s["baseline_median"]) for s in known if s["baseline_median"] is not None]
    there = [
        percent(float(np.mean([s[f"{who}_reached"] for s in known]))) for who in ("candidate", "baseline") if known
    ]
    return {"steps": _middle(ratios), "reached": f"{there[0]} of runs get there, {there[1]} of its" if there else ""}


def _middle(ratios: Sequence[float]) -> str:
    """The median of ratios; nothing where the baseline itself never got there."""
    middle = float(np.median(ratios)) if ratios else None
    return MISSING if middle is None else f"{middle:.2f}×" if np.isfinite(middle) else "never"


def _ratio(ours: float | None, theirs: float) -> float:
    return np.inf if ours is None else ours / theirs


def _times(reading: Reading, candidate: str) -> dict[str, str]:
    """What a step and the way to the target take, beside the baseline: medians over tasks of measured ratios."""
    found = {}
    for key in ("step_seconds", "seconds_to_target"):
        ratios = [
            _ratio(times[candidate], times[reading.suite.baseline])
            for times in reading.timings.get(key, {}).values()
            if candidate in times and times.get(reading.suite.baseline)
        ]
        found[key] = _middle(ratios)
    return found


def _scores(reading: Reading, contender: str) -> dict[str, Any]:
    """A row of the table of scores: what a contender reaches on each task, and where."""
    cells = []
    for task in reading.content["tasks"]:
        units, c = Units(task["metric"], task["unit"], task["scale"]), task["contenders"].get(contender)
        lost = 0 if c is None else c["diverged"] + c["diverged_trials"]
        cells.append(
            {
                "score": MISSING if c is None else units.score(c["score_mean"]),
                "tuned": "" if c is None else settings(c["hyperparameters"]),
                "edges": "" if c is None else ", ".join(map(_edge, c.get("edges", ()))),
                "diverged": f"{counted(lost, 'training')} diverged, trials among them" if lost else "",
            }
        )
    return {"name": contender, "cells": cells}


def _edge(edge: dict[str, Any]) -> str:
    """An end of a range that too many replicates chose, in a table's few words."""
    end = "top" if edge["end"] == "high" else "bottom"
    return f"{edge['hyperparameter']} in the {end} tenth in {edge['hits']} of {edge['replicates']}"


def _aimed(reading: Reading) -> str:
    """On how many tasks the baseline's own median run reaches the target, so that there is something to compare with."""
    tasks = [
        [v["tasks"][place].get("steps") for v in reading.verdicts] for place in range(len(reading.content["tasks"]))
    ]
    there = sum(any(s and s["baseline_median"] is not None for s in steps) for steps in tasks)
    return f"{there} of {len(tasks)}"


def _task_head(task: dict[str, Any]) -> dict[str, str]:
    units = Units(task["metric"], task["unit"], task["scale"])
    return {
        "name": task["name"],
        "source": task["source"],
        "margin": units.difference(task["margin"]),
        "metric": units.axis,
    }


def _facts(reading: Reading) -> list[tuple[str, str]]:
    plan = next(iter(reading.plans.values()))
    p, n = plan.science.protocol, plan.numerics[0]
    rows = [
        ("replicates of each task", number(p.replicates)),
        ("trials for each contender", number(p.trials)),
        ("final runs for each contender", number(p.final_seeds)),
        ("seed", str(reading.suite.seed)),
        ("processor", n.cpu),
        ("torch", n.torch),
        ("comparison", reading.suite.hash),
    ]
    if "wall_seconds" in reading.timings:
        rows.append(("wall time of the last command", duration(reading.timings["wall_seconds"])))
    return rows


def _signed(value: float | None) -> str:
    return MISSING if value is None else minus(f"{value:+.1f}") if abs(value) < 99.95 else minus(f"{value:+.0f}")


def _span(v: dict[str, Any]) -> str:
    return "no interval" if v["ci_low"] is None else f"{_signed(v['ci_low'])} to {_signed(v['ci_high'])}"


def _pair(ends: Sequence[float] | None, text: Callable[[float], str]) -> str:
    return MISSING if ends is None else f"{text(ends[0])} to {text(ends[1])}"
