"""The tables of the report: contenders, and what they cost."""

from __future__ import annotations

from typing import Any

import polars as pl

from assay.core import steps_per_epoch
from assay.report.reading import Arm, Reading
from assay.report.units import MISSING, duration, number, settings


def contenders(reading: Reading) -> list[dict[str, Any]]:
    """A row a contender: what was tuned to what, what it scored, what diverged, and where it comes from."""
    return [
        {
            "slot": arm.slot,
            "name": arm.name,
            "role": "baseline" if arm.slot == 0 else "candidate",
            "tuned": settings(arm.came["hyperparameters"]),
            "chosen": _chosen(arm),
            "score": reading.units.score(arm.came["score_mean"], arm.came["score_sd"]),
            "trials": number(arm.came["trials"]),
            "diverged_trials": arm.came["diverged_trials"],
            "final_runs": number(arm.came["final_runs"]),
            "diverged": arm.came["diverged"],
            "reference": arm.info.reference or "made in Python",
            "source": short(arm.info.source),
            "note": arm.info.note,
        }
        for arm in reading.arms
    ]


def short(source: str) -> str:
    """A hash by its first digits (all of them stand under Hashes); anything else as it is."""
    return source[:19] + "…" if source.startswith("sha256:") else source


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


def cost(reading: Reading) -> list[dict[str, Any]]:
    """A row a contender: trainings, steps, gradients, seconds, what one training step takes, the optimizer's part alone."""
    return [_cost(reading, arm, reading.arms[0]) for arm in reading.arms]


def _cost(reading: Reading, arm: Arm, baseline: Arm) -> dict[str, Any]:
    spent = reading.content["ledger"][arm.name]
    alone = reading.timings.get("optimizer_step_seconds", {})
    total = {key: sum(phase[key] for phase in spent.values()) for key in spent["tune"]}
    return {
        "slot": arm.slot,
        "name": arm.name,
        "trainings": number(total["trainings"]),
        "phases": f"{number(spent['tune']['trainings'])} tuning, {number(spent['final']['trainings'])} final",
        "steps": number(total["allotted_steps"]),
        "gradients": number(total["gradient_evaluations"]),
        "seconds": duration(float(_members(arm)["seconds"].sum())),
        **_beside("step", _step(arm), _step(baseline)),
        **_beside("optimizer", alone.get(arm.name), alone.get(baseline.name)),
    }


def _beside(name: str, seconds: float | None, baseline: float | None) -> dict[str, str]:
    """A time, and its ratio to the baseline's."""
    ratio = MISSING if seconds is None or not baseline else f"{seconds / baseline:.2f}×"
    return {name: MISSING if seconds is None else duration(seconds), f"{name}_relative": ratio}


def _step(arm: Arm) -> float | None:
    """Seconds of one training step: the median over the trainings that ran to their end."""
    rows = _members(arm).filter(pl.col("diverged") == 0)
    middle = rows["seconds"].median()
    if not isinstance(middle, int | float):
        return None
    task = arm.findings.task
    return middle / (steps_per_epoch(int(rows["train_samples"][0]), task.batch_size) * task.epochs)


def _members(arm: Arm) -> pl.DataFrame:
    return pl.concat([arm.findings.members(arm.slot, phase) for phase in ("tune", "final")])
