"""The speed-up across tasks: the geometric mean, with an interval from those of the tasks, on the scale of logarithms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assay.answer.cells import Judged
from assay.answer.suite import result_across
from assay.judge import across
from assay.judge.decide import critical, level_of
from assay.judge.sentence import counted, listed
from assay.judge.speedup_sentence import across_sentence
from assay.ladder.judged import FIELDS, Climbed, fields, reserved, timed
from assay.ladder.scale import with_slopes
from assay.record import RunFolder
from assay.record.suite import Suite


def answered(suite: Suite, runs: list[Judged], path: Path) -> dict[str, Any]:
    """The content of a suite's `result.json`, with speed-ups where each of its runs has a ladder, and slopes over sizes.

    Raises:
        NoVerdict: none can be given on any task. BrokenRecord: members are missing.
    """
    content = result_across(suite, runs)
    folders = [RunFolder.open(path / run.entry.folder) for run in runs if run.content is not None]
    if not all(folder.rungs() for folder in folders):
        return with_slopes(suite, runs, None, content)
    ladders = [Climbed.of(folder) for folder in folders]
    return with_slopes(suite, runs, ladders, _with_speedups(suite, runs, ladders, content))


def _with_speedups(
    suite: Suite, runs: Sequence[Judged], ladders: Sequence[Climbed], content: dict[str, Any]
) -> dict[str, Any]:
    """`ladders`: of the runs that have a verdict."""
    judged = [run for run in runs if run.content is not None]
    verdicts = [
        {**v, "tasks": _cells(judged, ladders, v), **_fields(suite, judged, ladders, v)} for v in content["verdicts"]
    ]
    return {**content, "verdicts": verdicts}


def _cells(runs: Sequence[Judged], ladders: Sequence[Climbed], verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """A verdict's cells, with what the candidate is worth on each task."""
    worths = {
        run.entry.name: climbed.worths[run.slot(verdict["candidate"]) - 1]
        for run, climbed in zip(runs, ladders, strict=True)
        if run.verdict(verdict["candidate"]) is not None
    }
    return [{**cell, **fields(worths[cell["task"]])} if cell["task"] in worths else cell for cell in verdict["tasks"]]


def _fields(
    suite: Suite, runs: Sequence[Judged], ladders: Sequence[Climbed], verdict: dict[str, Any]
) -> dict[str, Any]:
    """Only where the candidate has a speed-up on every task that it takes part in: a mean over the others would flatter it.

    But those where longer training isn't seen to help the baseline: there nobody is worth any steps, whoever the candidate is.
    """
    known: list[across.Ends] = []
    sources: list[str] = []
    counting: list[str] = []
    without: list[str] = []
    flat: list[str] = []
    for run, climbed in zip(runs, ladders, strict=True):
        names = [c.name for c in run.plan.science.contenders]
        if verdict["candidate"] not in names:
            continue
        if not climbed.helps:
            flat.append(run.entry.name)
            continue
        found = climbed.worth(names.index(verdict["candidate"]), len(suite.candidates))
        if found is None or found.settled is None:
            without.append(run.entry.name)
            continue
        known.append(found.settled)
        sources.append(run.source)
        counting.append(run.entry.name)
    said = (
        f"What it is worth in steps is open on {listed(without)}, so that there is no mean over all." if without else ""
    )
    if flat:
        said += f" Longer training isn't seen to help {verdict['baseline']} on {listed(flat)}, where steps say little."
    if without or not known:
        return {
            **dict.fromkeys(FIELDS),
            "speedup_tasks": [],
            "sentence": f"{verdict['sentence']} {said.strip()}".rstrip(),
        }
    several = len({run.entry.task for run in runs}) < len(runs)
    over = counted(len(known), "setting" if several else "task")
    middle, low, high = (math.exp(end) for end in across.mean_of_intervals(known, sources))
    level = level_of(suite.alpha, len(suite.candidates))
    told = across_sentence(verdict["candidate"], verdict["baseline"], (middle, low, high), level, over)
    told = reserved(verdict, told)
    sentence = f"{verdict['sentence']} {told}{said}"
    return {
        **dict(zip(FIELDS, (middle, low, high), strict=True)),
        "speedup_tasks": counting,
        "sentence": sentence,
    }


def in_timings(content: Mapping[str, Any], timings: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """What a suite's `timings.json` has of speed-ups, from those of its runs by name: as of one task, of geometric means."""
    fewest = min((task["replicates"] for task in content["tasks"]), default=0)
    found: dict[str, dict[str, float | None]] = {}
    for verdict in content["verdicts"]:
        own = [timings[task].get("speedup", {}).get(verdict["candidate"]) for task in verdict.get("speedup_tasks", [])]
        if own and None not in own:
            ratio = math.exp(np.mean([np.log(one["step_ratio"]) for one in own]))
            log_se = math.hypot(*(one["step_ratio_log_se"] for one in own)) / len(own)
            quantile = float(critical(fewest, 1 - verdict["details"]["level"]))
            found[verdict["candidate"]] = timed(verdict, quantile, ratio, log_se)
    return found
