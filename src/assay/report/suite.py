"""The page of a comparison across tasks, a board among them: one table, three figures, all numbers from `result.json`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import ContenderInfo, Plan
from assay.errors import BrokenRecord
from assay.judge.digits import percent
from assay.judge.sentence import counted, listed
from assay.judge.speedup_sentence import factor
from assay.record import manifest
from assay.record.plan import read_plan
from assay.record.suite import Suite, open_suite, runs
from assay.report.command import across as command
from assay.report.facts import Facts
from assay.report.figures import Card, Series, compared, data
from assay.report.figures.ladder import Growing, scale
from assay.report.figures.lines import profiles
from assay.report.figures.rows import forest
from assay.report.reading import written
from assay.report.style import OTHERS, OUTCOMES, PALETTE, Look, look
from assay.report.units import MISSING, Units, duration, number, per_cent, settings, signed

WORDS = {"better": "+", "worse": "−", "equivalent": "=", "negligible": "≈", "inconclusive": "?"}
FEW = 3  # candidates for whom every task is drawn
COLOURS = len(PALETTE) - 1  # for candidates, the baseline having one


@dataclass(frozen=True)
class Reading:
    """Everything that the page shows."""

    suite: Suite
    content: dict[str, Any]
    timings: dict[str, Any]
    plans: list[Plan]
    root: str  # of the record (`record.manifest.root`)

    @property
    def contenders(self) -> list[ContenderInfo]:
        """Those of each task's plan, one after the other."""
        return [contender for plan in self.plans for contender in plan.science.contenders]

    @property
    def second(self) -> bool:
        """Whether it is judged by the second edition's rules."""
        return self.plans[0].science.protocol.second

    @cached_property
    def verdicts(self) -> list[dict[str, Any]]:
        """The candidates, the best first; those without an interval last."""
        return sorted(self.content["verdicts"], key=lambda v: math.inf if (d := v["difference"]) is None else -d)

    @cached_property
    def coloured(self) -> list[str]:
        """The candidates that have a colour of their own: all in the suite's order or, where colours don't suffice, the best.

        Among these are those that are no part of assay, for whose sake a page is made.
        """
        if len(self.suite.candidates) <= COLOURS:
            return list(self.suite.candidates)
        best = [v["candidate"] for v in self.verdicts]
        return sorted(sorted(best, key=lambda name: name not in self.brought)[:COLOURS], key=best.index)

    @cached_property
    def brought(self) -> set[str]:
        """The candidates that somebody brought along."""
        return {c.name for c in self.contenders if not c.reference or ":" in c.reference} & set(self.suite.candidates)

    def slot(self, candidate: str) -> int | None:
        """Which colour the candidate has, None for none of its own; the baseline's is 0."""
        return 1 + self.coloured.index(candidate) if candidate in self.coloured else None

    def look(self, candidate: str) -> Look:
        """How the candidate is drawn."""
        slot = self.slot(candidate)
        return OTHERS if slot is None else look(slot)


def read(path: Path) -> Reading:
    """The suite in a folder. UsageError: no result yet. BrokenRecord: a file that can't be read."""
    suite = open_suite(path)
    content, timings = written(path)
    if content.get("suite_hash") != suite.hash:
        raise BrokenRecord(f"{path / 'result.json'} belongs to another comparison; run the command that made it again")
    return Reading(suite, content, timings, [read_plan(folder) for folder in runs(path).values()], manifest.root(path))


def report(path: Path) -> tuple[list[Card], str, dict[str, Any]]:
    """The figures, the page's template, and what that shows. Raises as `read` does."""
    reading = read(path)
    suite, plain = reading.suite, f"{', '.join(reading.suite.candidates)} against {reading.suite.baseline}"
    climbed = any("speedup" in v for v in reading.verdicts)
    shown = {
        "title": f"Who beats tuned {suite.baseline}?" if suite.title == "board" else plain,
        "reading": reading,
        "leading": 1,
        "verdicts": reading.verdicts,
        "tuned": listed(list(dict.fromkeys(name for c in reading.contenders for name in c.space))),
        "words": WORDS,
        "costs": [costs(reading, v) for v in reading.verdicts],
        "climbed": climbed,
        "scored": scored,
        "units": units,
        "edges": any(c.get("edges") for task in reading.content["tasks"] for c in task["contenders"].values()),
        "aimed": aimed(reading),
        "facts": [facts(reading)],
        "pages": {name: f"{folder.name}/report.html" for name, folder in runs(path).items()},
        "command": command(suite, reading.plans, speedup=climbed),
    }
    tasks = [_tasks(reading)] if len(reading.verdicts) <= FEW else []
    return [_forest(reading), *_scales(reading), *tasks, _profiles(reading)], "suite.html.j2", shown


def _forest(reading: Reading) -> Card:
    """Who is better: many candidates are told apart by what was found, few by who they are."""
    many = len(reading.verdicts) > FEW
    rows = []
    for v in reading.verdicts:
        dots = [c["difference"] for c in v["tasks"] if c["difference"] is not None]
        drawn = OUTCOMES[v["outcome"]] if many else reading.look(v["candidate"])
        rows.append(compared(v["candidate"], drawn, dots, v))
    found = {v["outcome"] for v in reading.verdicts}
    looks = {name: drawn for name, drawn in OUTCOMES.items() if name in found} if many else None
    base, over = reading.suite.baseline, "these tasks" if reading.second else "the data sources"
    return Card(
        "across_plot",
        f"Against tuned {base}, all tasks together",
        f"Right of the line is better than {base}. Large marks are means over {over} with the interval that decides, "
        "small dots the tasks; in the grey band a difference is too small to matter.",
        forest(rows, "difference in margins", looks),
        data.marked(rows, "dot", "difference in margins"),
    )


def _scales(reading: Reading) -> list[Card]:
    """Advantages over the sizes that they were asked at: a figure of those in steps, and one of those in margins."""
    kinds = {"speedup": "scale", "difference": "scale_margins"}
    known = {of: [v for v in reading.verdicts if "scale" in v and v["scale"]["of"] == of] for of in kinds}
    return [_scale(reading, name, of == "speedup", known[of]) for of, name in kinds.items() if known[of]]


def _scale(reading: Reading, name: str, factors: bool, verdicts: Sequence[dict[str, Any]]) -> Card:
    axis = verdicts[0]["scale"]["axis"].replace("_", " ")
    rows: list[Growing] = []
    for v in verdicts:
        s = v["scale"]
        sizes, values = np.array(s["sizes"]), np.array(s["values"])
        y = np.log(values) if factors else values
        line = y.mean() + s["slope"] * (np.log(sizes) - np.log(sizes).mean())
        ends = list(zip(s["lows"], s["highs"], strict=True))
        look_ = reading.look(v["candidate"])
        rows.append(Growing(v["candidate"], look_, sizes, values, ends, np.exp(line) if factors else line))
    at = reading.suite.entries[0].setting
    tuned = f"Settings were tuned at {at} and carried over" if reading.suite.transfer else "Each size was tuned anew"
    what = "speed-up, in steps," if factors else "difference in margins"
    return Card(
        name,
        f"Does it last as {axis} grows?",
        "Marks are what it is worth at each size, with the interval of that size's own run; the line has the slope that the "
        f"sentence gives. {tuned}, for the same number of epochs.",
        scale(rows, f"{what} against tuned {reading.suite.baseline}", axis, factors),
        data.growing(rows, what),
    )


def _tasks(reading: Reading) -> Card:
    rows = []
    for place, task in enumerate(reading.content["tasks"]):
        for v in reading.verdicts:
            cell = v["tasks"][place]
            label = task["name"] if len(reading.verdicts) == 1 else f"{task['name']}: {v['candidate']}"
            rows.append(compared(label, reading.look(v["candidate"]), [], cell))
    level, error = per_cent(reading.content["levels"]["tasks"]), per_cent(reading.suite.cells_alpha)
    wide = f"all of them together are wrong in at most {error} of such comparisons"
    if reading.second:
        wide = f"of those that say something, {error} at most are wrong in the mean (a false coverage rate)"
    return Card(
        "tasks",
        "Task by task",
        f"Each task's own difference with its {level} interval: wide enough that {wide}.",
        forest(rows, "difference in margins"),
        data.marked(rows, "dot", "difference in margins"),
    )


def _profiles(reading: Reading) -> Card:
    described = [
        (v["candidate"], v["details"]["descriptive"]) for v in reading.verdicts if "descriptive" in v["details"]
    ]
    x = np.array(described[0][1]["thresholds"])
    lines = [Series(reading.suite.baseline, look(0), np.array(described[0][1]["baseline_profile"]))]
    lines += [Series(name, reading.look(name), np.array(d["profile"])) for name, d in described]
    inner = np.abs(x) <= max(2.0, min(6.0, _spread(lines, x)))
    others = ""
    if len(reading.coloured) < len(described):
        which = "that lie best over all tasks" + (", and those brought along" if reading.brought else "")
        others = f" In colour are the {len(reading.coloured)} {which}, the others are grey."
    return Card(
        "profiles",
        "Performance profiles",
        "The share of replicates that lie more than x margins above the baseline's mean on their task: a curve above "
        f"another everywhere is better everywhere. It describes, and decides nothing.{others}",
        profiles([p._replace(values=p.values[inner]) for p in lines], x[inner]),
        data.shares(lines, x, "margins above the baseline's mean"),
    )


def _spread(lines: Sequence[Series], x: np.ndarray) -> float:
    """Up to where the profiles still change."""
    moving = np.any([(p.values > 0.02) & (p.values < 0.98) for p in lines], axis=0)
    return float(np.abs(x[moving]).max()) if moving.any() else 2.0


def costs(reading: Reading, v: dict[str, Any]) -> dict[str, str]:
    """What a candidate costs beside the baseline, and other descriptions: cells of a table."""
    described = v["details"].get("descriptive", {})
    known = [c["steps"] for c in v["tasks"] if c.get("steps")]
    there = [
        percent(float(np.mean([s[f"{who}_reached"] for s in known]))) for who in ("candidate", "baseline") if known
    ]
    ends = v.get("speedup_low"), v.get("speedup_high")
    steps = [(s["candidate_median"], s["baseline_median"]) for s in known]
    return {
        "step": _middle(_times(reading, "step_seconds", v["candidate"])),
        "steps": _middle(steps),
        "reached": f"{there[0]} of runs get there, {there[1]} of its" if there else "",
        "seconds": _middle(_times(reading, "seconds_to_target", v["candidate"])),
        "worth": MISSING if v.get("speedup") is None else factor(v["speedup"]),
        "worth_interval": "" if None in ends else f"{ends[0]:.2f} to {ends[1]:.2f}",
        "worth_on": worth_on(v),
        "mean": signed(described.get("interquartile_mean")),
        "mean_interval": _pair(described.get("interquartile_mean_interval"), signed),
        "improvement": percent(described["improvement"]) if described else MISSING,
        "improvement_interval": _pair(described.get("improvement_interval"), percent),
    }


def worth_on(v: dict[str, Any]) -> str:
    """Over how many tasks the mean is, and whether the verdict that it goes with is held back; empty where there is none."""
    if not v.get("speedup_tasks"):
        return ""
    return counted(len(v["speedup_tasks"]), "task") + (", held back" if "held_back" in v["details"] else "")


def _times(reading: Reading, key: str, candidate: str) -> list[tuple[float | None, float | None]]:
    """Measured times of a candidate and of the baseline, for each task that both are timed on."""
    found = reading.timings.get(key, {}).values()
    return [(times[candidate], times.get(reading.suite.baseline)) for times in found if candidate in times]


def _middle(pairs: Sequence[tuple[float | None, float | None]]) -> str:
    """The median over tasks of ours / theirs, None being never; nothing where the baseline itself never got there."""
    ratios = [np.inf if ours is None else ours / theirs for ours, theirs in pairs if theirs]
    if not ratios:
        return MISSING
    middle = float(np.median(ratios))
    return f"{middle:.2f}×" if np.isfinite(middle) else "never"


def _pair(ends: Sequence[float] | None, text: Callable[[float], str]) -> str:
    return MISSING if ends is None else f"{text(ends[0])} to {text(ends[1])}"


def scored(task: dict[str, Any], contender: str) -> list[str]:
    """What a contender reaches on a task; where, the ends of ranges that too many replicates chose, what diverged."""
    found = task["contenders"].get(contender)
    if found is None:
        return [MISSING]
    lines = [units(task).score(found["score_mean"]), settings(found["hyperparameters"])]
    edges = [
        f"{edge['hyperparameter']} in the {'top' if edge['end'] == 'high' else 'bottom'} tenth in "
        f"{edge['hits']} of {edge['replicates']}"
        for edge in found.get("edges", ())
    ]
    if edges:
        lines.append(", ".join(edges))
    if lost := found["diverged"] + found["diverged_trials"]:
        lines.append(f"{counted(lost, 'training')} diverged, trials among them")
    return lines


def units(task: dict[str, Any]) -> Units:
    """How a task's scores read."""
    return Units(task["metric"], task["unit"], task["scale"])


def aimed(reading: Reading) -> str:
    """On how many tasks the baseline's own median run reaches the target, so that there is something to compare with."""
    cells = zip(*(v["tasks"] for v in reading.verdicts), strict=True)
    there = [any(c.get("steps") and c["steps"]["baseline_median"] is not None for c in task) for task in cells]
    return f"{sum(there)} of {len(there)}"


def facts(reading: Reading) -> Facts:
    """Plan and machine, the same for every task."""
    p, n = reading.plans[0].science.protocol, reading.plans[0].numerics[0]
    rows = [
        ("replicates of each task", number(p.replicates)),
        ("trials for each contender", number(p.trials)),
        ("final runs for each contender", number(p.final_seeds)),
        ("seed", str(reading.suite.seed)),
        ("processor", n.cpu),
        ("torch", n.torch),
        ("comparison", reading.suite.hash),
        ("root of the record", reading.root),
    ]
    if "wall_seconds" in reading.timings:
        rows.append(("wall time of the last command", duration(reading.timings["wall_seconds"])))
    return Facts("Plan and machine", rows)
