"""Scores over hyperparameters, with their noise: fine grids of real tasks and optimizers, for `regret.py`.

    python benchmarks/curves.py --to benchmarks/curves.json        (about a quarter of an hour on 2 cores)

Of each pair every place of a grid is trained with several seeds, each with a data set of its own, by the engines and in the
data sets that `assay run` takes. Kept are the scores after the last epoch, in file units; what diverged counts as the floor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from assay import events
from assay.answer.arrays import RecordArrays
from assay.core import ProtocolOptions, TaskOptions, WorkerOptions, plan_of
from assay.driver.estimate import settle
from assay.driver.plan import plan
from assay.driver.scheduler import Scheduler, chunked
from assay.driver.study import member, one_chunk
from assay.judge.divergence import floored
from assay.record import RunFolder
from assay.space import at
from assay.training.numerics import cpu_model, torch_build
from assay.workers.choose import open_workers
from assay.workers.interface import Workers


@dataclass(frozen=True)
class Grid:
    """A pair of a task and an optimizer, with the ranges that its grid lies over and the places along each."""

    task: str
    optimizer: str
    ranges: dict[str, str]
    places: tuple[int, ...]
    seeds: int


def _rates(task: str, optimizer: str, default: float) -> Grid:
    """Six decades around a default rate, twelve places a decade: where a pilot would begin."""
    return Grid(task, optimizer, {"lr": f"{default / 1000:g}..{default * 1000:g}:log"}, (73,), 8)


def _with_decay(task: str) -> Grid:
    return Grid(task, "adamw", {"lr": "1e-4..1e-1:log", "weight_decay": "1e-3..10:log"}, (13, 9), 5)


GRIDS = (
    _rates("mnist1d-mlp", "adam", 1e-3),
    _rates("mnist1d-mlp", "sgd-momentum", 1e-2),
    _rates("digits", "adam", 1e-3),
    _rates("digits", "sgd", 1e-1),
    _rates("friedman1", "adam", 1e-3),
    _rates("friedman1", "rmsprop", 1e-2),
    _rates("char-attention", "adam", 1e-3),
    _rates("logistic", "adagrad", 1e-2),
    _with_decay("mnist1d-mlp"),
    _with_decay("digits"),
)


def recorded(workers: Workers, grid: Grid, folder: Path) -> dict[str, Any]:
    """Every place of the grid, trained with every seed: scores (places, seeds)."""
    spaces = [f"{grid.optimizer}.{name}={range_}" for name, range_ in grid.ranges.items()]
    places = [list(p) for p in product(*(np.linspace(0, 1, n) for n in grid.places))]
    asked = ProtocolOptions(trials=1, replicates=grid.seeds, final_seeds=len(places), space=spaces)
    rivals = (grid.optimizer, f"twin={grid.optimizer}")
    (job,) = plan(*rivals, on=TaskOptions(task=grid.task), protocol=asked, out=folder).jobs
    numerics, _ = settle(workers, job, events.ignore)
    record = RunFolder.create(folder, plan_of(job.science, numerics))
    values = [at(job.contenders[0].space, np.array(place)) for place in places]
    members = [member(job.science, 0, "final", k, g, dict(v)) for k in range(grid.seeds) for g, v in enumerate(values)]
    scheduler = Scheduler(record, job.task, job.contenders, workers, events.ignore)
    scheduler.train(one_chunk(chunk) for chunk in chunked(members, numerics[0].chunk_size))
    arrays = RecordArrays(record.plan, record.frame())
    scores = {
        name: floored(arrays.curves(0, name)[:, :, -1], arrays.floors(f"{name}_floor")).T
        for name in ("validation", "test")
    }
    return {
        "task": grid.task,
        "optimizer": grid.optimizer,
        "ranges": grid.ranges,
        "places": grid.places,
        "sign": arrays.task.sign,
        "scale": job.task.metric.scale,
        "unit": job.task.metric.unit,
        "margin": job.task.margin,
        "fixed_data": not job.task.generated,
        **{name: [[float(f"{s:.5g}") for s in row] for row in found] for name, found in scores.items()},
    }


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path, required=True)
    asked = parser.parse_args(given)
    started, found = time.perf_counter(), list[dict[str, Any]]()
    with open_workers(WorkerOptions()) as workers, tempfile.TemporaryDirectory(prefix="curves-") as folder:
        for number, grid in enumerate(GRIDS):
            found.append(recorded(workers, grid, Path(folder) / str(number)))
            seconds = time.perf_counter() - started
            print(f"{grid.task}, {grid.optimizer}: {number + 1} of {len(GRIDS)}, {seconds:.0f} s", file=sys.stderr)
    seconds = round(time.perf_counter() - started)
    made = {"date": date.today().isoformat(), "cpu": cpu_model(), "torch": torch_build(), "seconds": seconds}
    asked.to.write_text(json.dumps({"made": made, "curves": found}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
