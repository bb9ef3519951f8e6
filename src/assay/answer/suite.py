"""From the runs of a suite to its answer: the same for the same members, in whatever order they came."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay import seeds
from assay.answer.arrays import RecordArrays
from assay.answer.result import result
from assay.core import Plan, steps_per_epoch
from assay.errors import NoVerdict
from assay.judge import across, speed
from assay.judge.across_sentence import TaskFinding, holding, sentence
from assay.judge.decide import outcome
from assay.judge.divergence import floored
from assay.judge.edges import edges
from assay.judge.second_opinion import holm
from assay.judge.verdict import plain
from assay.record import RunFolder
from assay.record.suite import Entry, Suite

THRESHOLDS = np.arange(-60, 61) / 10  # margins, at which the performance profiles are given


@dataclass(frozen=True)
class Judged:
    """One run of a suite: its plan and members, and what its own `result.json` says; None where no verdict can be given."""

    entry: Entry
    plan: Plan
    frame: pl.DataFrame
    content: dict[str, Any] | None
    shared: str = ""  # the source of an earlier run that saw the very same data

    @cached_property
    def arrays(self) -> RecordArrays:
        """Its members as arrays."""
        return RecordArrays(self.plan, self.frame)

    @property
    def source(self) -> str:
        """The data source that the task belongs to."""
        return self.shared or self.plan.science.task.family or self.plan.science.task.name

    def slot(self, contender: str) -> int | None:
        """The contender's place in the run; None where it doesn't take part, or there is no verdict."""
        names = [c.name for c in self.plan.science.contenders]
        return names.index(contender) if self.content is not None and contender in names else None

    def verdict(self, candidate: str) -> dict[str, Any] | None:
        """The candidate's own verdict in this run."""
        verdicts = [] if self.content is None else self.content["verdicts"]
        return next((v for v in verdicts if v["candidate"] == candidate), None)

    def scores(self, slot: int) -> np.ndarray:
        """Turned test scores (K, r) of the final runs, diverged ones at the floor."""
        f = self.arrays
        return f.task.sign * floored(f.curves(slot, "test")[:, :, -1], f.floors("test_floor"))


def read(entry: Entry, path: Path) -> Judged:
    """One run of a suite, judged again from its members. BrokenRecord where some are missing."""
    folder = RunFolder.open(path / entry.folder)
    frame = folder.frame()
    try:
        content = json.loads(json.dumps(result(folder.plan, frame)))
    except NoVerdict:
        content = None
    return Judged(entry, folder.plan, frame, content)


def _with_shared_sources(runs: list[Judged]) -> list[Judged]:
    """Tasks that name no family and saw the same data, by the digests of their members, are one source: the first's."""
    found: list[Judged] = []
    for run in runs:
        seen = set() if run.plan.science.task.family else set(run.frame["digest"])
        same = next((r for r in found if not seen.isdisjoint(r.frame["digest"])), None)
        found.append(run if same is None else replace(run, shared=same.source))
    return found


def result_across(suite: Suite, runs: list[Judged]) -> dict[str, Any]:
    """The content of a suite's `result.json`: no times, no paths.

    Raises:
        NoVerdict: none can be given on any task.
    """
    if all(run.content is None for run in runs):
        raise NoVerdict("no verdict can be given on any task")
    runs = _with_shared_sources(runs)
    verdicts = [_verdict(suite, slot, name, runs) for slot, name in enumerate(suite.candidates, start=1)]
    p_values = [np.nan if v["p_value"] is None else v["p_value"] for v in verdicts]
    for v, p in zip(verdicts, holm(np.array(p_values)), strict=True):
        v["details"]["holm_p"] = plain(float(p))
    levels = [_level(run) for run in runs if len(run.plan.science.contenders) > 1]
    return {
        "verdicts": verdicts,
        "tasks": [_task(run) for run in runs],
        "levels": {"headlines": 1 - suite.alpha / len(suite.candidates), "tasks": max(levels)},
        "suite_hash": suite.hash,
    }


def _level(run: Judged) -> float:
    """The level of each candidate's interval on the run's task."""
    return 1 - run.plan.science.protocol.alpha / max(1, len(run.plan.science.contenders) - 1)


def _verdict(suite: Suite, slot: int, candidate: str, runs: list[Judged]) -> dict[str, Any]:
    own = [(run, run.verdict(candidate)) for run in runs]
    judged = [run for run, v in own if v is not None]
    tasks = [_cell(run, candidate, v) for run, v in own]
    if not judged:
        said = f"No verdict can be given on {candidate}: it takes part in no task."
        return {**_empty(suite, candidate), "sentence": said, "tasks": tasks, "details": {}}
    ours = [run.scores(run.slot(candidate)) for run in judged]  # type: ignore[arg-type]
    theirs = [run.scores(0) for run in judged]
    margins = [run.plan.science.task.margin for run in judged]
    differences = [across.in_margins((a - b).mean(axis=1), m) for a, b, m in zip(ours, theirs, margins, strict=True)]
    means, sources = [float(d.mean()) for d in differences], [run.source for run in judged]
    interval = across.headline(means, sources, suite.alpha, len(suite.candidates))
    decided = outcome(interval.low, interval.high, 1.0)
    found = across.flips(
        [
            (run.entry.task, run.entry.setting, v["ci_low"], v["ci_high"])
            for run, v in own
            if v is not None and v["ci_low"] is not None and run.entry.setting
        ]
    )
    own_outcomes = [
        TaskFinding(run.entry.name, None if v is None else v["outcome"], candidate not in run.entry.skipped)
        for run, v in own
    ]
    by_source = across.by_source(means, sources)
    level = max(_level(run) for run in judged)
    resampling = seeds.hashed("resampling across", suite.seed, slot=slot)
    profiles = [
        [(s.mean(axis=1) - b.mean()) / m for s, b, m in zip(side, theirs, margins, strict=True)]
        for side in (ours, theirs)
    ]
    return plain(
        {
            **_empty(suite, candidate),
            "outcome": decided,
            "difference": interval.mean,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "p_value": interval.p_value,
            "sentence": sentence(
                candidate,
                suite.baseline,
                decided,
                interval,
                len(by_source),
                own_outcomes,
                level,
                judged[0].plan.science.protocol.trials,
                found,
                len({run.entry.task for run in judged}),
            ),
            "holds_on": holding(decided, own_outcomes),
            "tasks": tasks,
            "details": {
                "level": interval.level,
                "sources": by_source,
                "flips": [f._asdict() for f in found],
                "descriptive": {
                    "interquartile_mean": across.interquartile_mean(np.concatenate(differences)),
                    "interquartile_mean_interval": across.stratified(
                        lambda drawn: across.interquartile_mean(np.concatenate(drawn)), differences, resampling
                    ),
                    "improvement": across.improvement(ours, theirs),
                    "improvement_interval": _improvement_interval(ours, theirs, resampling),
                    "thresholds": THRESHOLDS,
                    "profile": across.profile(profiles[0], THRESHOLDS),
                    "baseline_profile": across.profile(profiles[1], THRESHOLDS),
                },
            },
        }
    )


def _improvement_interval(ours: list[np.ndarray], theirs: list[np.ndarray], seed: int) -> tuple[float, float]:
    """Replicates are drawn with both of their arms, for these share their data."""
    pairs = [np.stack([a, b], axis=1) for a, b in zip(ours, theirs, strict=True)]  # (K, 2, r)
    return across.stratified(
        lambda drawn: across.improvement([p[:, 0] for p in drawn], [p[:, 1] for p in drawn]), pairs, seed
    )


def _empty(suite: Suite, candidate: str) -> dict[str, Any]:
    return {
        "candidate": candidate,
        "baseline": suite.baseline,
        "outcome": "inconclusive",
        **dict.fromkeys(("difference", "ci_low", "ci_high", "p_value")),
        "unit": "margins",
        "holds_on": [],
    }


def _cell(run: Judged, candidate: str, verdict: dict[str, Any] | None) -> dict[str, Any]:
    """One candidate on one task; None for what can't be given, and why."""
    task = run.plan.science.task
    cell: dict[str, Any] = {"task": run.entry.name, "source": run.source, "margin": task.margin}
    if verdict is None:
        why = run.entry.skipped.get(candidate, "no verdict can be given: every final run diverged")
        return {**cell, "outcome": None, "difference": None, "ci_low": None, "ci_high": None, "why": why}
    slot = run.slot(candidate)
    assert slot is not None
    in_margins = {
        k: None if verdict[k] is None else verdict[k] / task.margin for k in ("difference", "ci_low", "ci_high")
    }
    return {**cell, "outcome": verdict["outcome"], **in_margins, "why": "", "steps": _steps(run, slot)}


def _steps(run: Judged, slot: int) -> dict[str, Any] | None:
    """Steps to the target; a median is None where most runs never get there. None where there is no target."""
    f = run.arrays
    target = target_of(f)
    if target is None:
        return None
    per_epoch = steps_per_epoch(int(f.members(0, "final")["train_samples"][0]), f.task.batch_size)
    reached = [per_epoch * speed.epochs_to(f.task.sign * f.curves(s, "validation"), target) for s in (slot, 0)]
    return plain(
        {
            "target": f.task.sign * target,
            "candidate_median": float(np.median(reached[0])),
            "baseline_median": float(np.median(reached[1])),
            "candidate_reached": float(np.isfinite(reached[0]).mean()),
            "baseline_reached": float(np.isfinite(reached[1]).mean()),
        }
    )


def target_of(arrays: RecordArrays) -> float | None:
    """The turned target of a run: what the tuned baseline reaches with seeds that are not judged."""
    studies = [arrays.study(0, k) for k in range(arrays.protocol.replicates)]
    return across.target_of(arrays.task.sign * np.array([s.validation[s.chosen] for s in studies]))


def seconds_to_target(run: Judged) -> dict[str, float | None]:
    """Median seconds of training to the target for each contender, measured, hence no part of any result; None: missed."""
    f = run.arrays
    target = target_of(f)
    if target is None or run.content is None:
        return {}
    found: dict[str, float | None] = {}
    for slot, contender in enumerate(f.plan.science.contenders):
        epochs = speed.epochs_to(f.task.sign * f.curves(slot, "validation"), target)
        seconds = f.members(slot, "final")["seconds"].to_numpy().reshape(epochs.shape)
        found[contender.name] = plain(
            float(np.median(np.where(np.isfinite(epochs), epochs * seconds / f.task.epochs, np.inf)))
        )
    return found


def _task(run: Judged) -> dict[str, Any]:
    """What came of a run, in short; the rest is in its own `result.json`."""
    task, protocol = run.plan.science.task, run.plan.science.protocol
    contenders = {} if run.content is None else run.content["contenders"]
    kept = ("hyperparameters", "score_mean", "score_sd", "diverged", "final_runs", "diverged_trials", "trials")
    return {
        "name": run.entry.name,
        "source": run.source,
        "setting": run.entry.setting,
        "metric": task.metric,
        "unit": task.unit,
        "scale": task.scale,
        "margin": task.margin,
        "replicates": protocol.replicates,
        "level": _level(run),
        "contenders": {
            name: {**{k: c[k] for k in kept}, "edges": _edges(run, slot)}
            for slot, (name, c) in enumerate(contenders.items())
        },
        "skipped": run.entry.skipped,
        "plan_hash": run.plan.science.plan_hash,
    }


def _edges(run: Judged, slot: int) -> list[dict[str, Any]]:
    """Ends of its ranges that too many replicates chose."""
    studies = [run.arrays.study(slot, k) for k in range(run.arrays.protocol.replicates)]
    space = run.plan.science.contenders[slot].space
    return [edge._asdict() for edge in edges(np.array([s.positions[s.chosen] for s in studies]), space)]
