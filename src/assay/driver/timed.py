"""What `timings.json` has of one run: seconds of training, of an optimizer's step alone, and speed-ups in seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from assay import events
from assay.controls.judged import controls_record, has_controls
from assay.errors import AssayError
from assay.ladder.judged import has_speedup, in_timings
from assay.record import RunFolder
from assay.workers import jobs

from .scheduler import Scheduler, result_of
from .study import member


def timings(scheduler: Scheduler, content: Mapping[str, Any], on_event: events.OnEvent) -> dict[str, Any]:
    """Seconds of training, and of one step of each optimizer alone, at what was typically chosen."""
    settings = [content["contenders"][name]["hyperparameters"] for name in scheduler.names]
    probes = [member(scheduler.science, slot, "tune", 0, 0, values) for slot, values in enumerate(settings)]
    arguments = (scheduler.packed_task, scheduler.packed_contenders, probes, scheduler.numerics[0])
    try:
        rounds = result_of(scheduler.workers.submit(jobs.time_optimizers, *arguments))  # NaN with a closure
    except AssayError as error:  # all is trained, and judged: it costs the time of a step, and nothing else
        on_event(events.Warned(f"steps alone are not timed: {error}"))
        rounds = np.full((1, 1 + len(settings)), math.nan)
    alone = np.median(rounds[:, 1:], axis=0).tolist()
    timed = {name: s for name, s in zip(scheduler.names, alone, strict=True) if math.isfinite(s)}
    whole = rounds[:, 1:] + rounds[:, :1]  # steps with their gradient
    speedups = {
        v["candidate"]: in_timings(v, whole[:, slot] / whole[:, 0])
        for slot, v in enumerate(content["verdicts"], start=1)
        if has_speedup(v) and {v["candidate"], v["baseline"]} <= timed.keys()
    }
    found = {"optimizer_step_seconds": timed, **training_seconds(scheduler.folder)}
    return {**found, "speedup": speedups} if speedups else found


def training_seconds(folder: RunFolder) -> dict[str, float]:
    """What is summed over the members of a run, of its controls and of its ladder, by its name in the file."""
    records = {"training_seconds": [folder]}
    if has_controls(folder):
        records["controls_training_seconds"] = [controls_record(folder)]
    if rungs := folder.rungs():
        records["ladder_training_seconds"] = rungs
    return {name: float(sum(r.frame()["seconds"].sum() for r in found)) for name, found in records.items()}
