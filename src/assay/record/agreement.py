"""Do the members on record agree with themselves? What can be said of them twice is compared, a line for each fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from assay.core import PILOT, Plan, called, steps_per_epoch
from assay.record import checksum, chunks
from assay.record.folder import RunFolder

FACTS = ("train_samples", "test_samples", "validation_floor", "test_floor")
MEASURED = ("train_loss", "grad_norm", "update_norm")
ROUNDED = {"float64": 1e-6, "float32": 1e-3}  # means are taken in the number type of the training; else: half precision
HALF = 3e-2


def faults(folder: RunFolder, frame: pl.DataFrame, where: str = "") -> Iterator[str]:
    """What doesn't fit within a record. `frame`: as the folder has it; `where`: how lines begin."""
    yield from (f"{where}{fault}" for fault in _uneven(frame))
    yield from (f"{where}{fault}" for fault in _not_as_diverged(frame, folder.plan.science.task.epochs))
    yield from (f"{where}{fault}" for fault in _other_gradients(folder.plan, frame))
    yield from (f"{where}{fault}" for fault in _fallen_back_from_nothing(folder.plan, frame))
    yield from (f"{where}{fault}" for fault in _other_steps(folder))


def _uneven(frame: pl.DataFrame) -> Iterator[str]:
    """Sizes and floors are a data set's, hence the same for all members of a replicate; sizes, for all of a task."""
    counted = frame.group_by("replicate").agg(pl.col(name).n_unique() for name in FACTS).sort("replicate")
    for row in counted.to_dicts():
        if differing := [name.replace("_", " ") for name in FACTS if row[name] > 1]:
            of = "the pilots" if row["replicate"] == PILOT else f"replicate {row['replicate']}"
            yield f"{of}: its members differ in {', '.join(differing)}"
    if any(frame[name].n_unique() > 1 for name in FACTS[:2]):
        yield "replicates differ in the number of their samples"


def _not_as_diverged(frame: pl.DataFrame, epochs: int) -> Iterator[str]:
    """A member that diverged in an epoch left nothing from there on, and until then numbers; one that did not, numbers."""
    diverged = frame["diverged"].to_numpy()
    alive = np.arange(epochs) < np.where(diverged > 0, diverged - 1, epochs)[:, None]
    sound = np.ones(len(frame), dtype=bool)
    for name in MEASURED:
        sound &= (np.isfinite(curves(frame, name)) == alive).all(axis=1)
    sound &= (np.isnan(curves(frame, "validation")) | alive).all(axis=1)
    final = (frame["phase"] == "final").to_numpy()
    if final.any():
        tests = curves(frame.filter(pl.col("phase") == "final"), "test")
        sound[final] &= (np.isnan(tests) | alive[final]).all(axis=1)
    sound &= (diverged == 0) | ~np.isfinite(frame["test_score"].fill_null(np.nan).to_numpy())
    for row in frame.filter(~sound).iter_rows(named=True):
        yield f"{_called(row)}: not as it says it diverged"


def _called(row: dict[str, Any]) -> str:
    return f"{row['contender']}, {called(row['phase'], row['index'], row['replicate'])}"


def _other_gradients(plan: Plan, frame: pl.DataFrame) -> Iterator[str]:
    """A step takes a gradient until the end of the epoch that a member diverged in; with a closure, in the loop, perhaps more."""
    task = plan.science.task
    for row in frame.iter_rows(named=True):
        steps = steps_per_epoch(row["train_samples"], task.batch_size) * (row["diverged"] or task.epochs)
        if row["gradient_evaluations"] < steps:
            yield f"{_called(row)}: {row['gradient_evaluations']:,} gradients are fewer than its steps"
        elif row["gradient_evaluations"] > steps and not row["fallback"] and _by_an_engine(plan, row):
            yield f"{_called(row)}: {row['gradient_evaluations']:,} gradients are more than its steps, and it has no closure"


def _fallen_back_from_nothing(plan: Plan, frame: pl.DataFrame) -> Iterator[str]:
    """Only who is planned to train in an engine can fall back to the loop."""
    for row in frame.filter(pl.col("fallback") != "").iter_rows(named=True):
        if not _by_an_engine(plan, row):
            yield f"{_called(row)}: it can't have fallen back to the loop, which it was planned to train in"


def _by_an_engine(plan: Plan, row: dict[str, Any]) -> bool:
    slot: int = row["slot"]
    return slot < len(plan.numerics) and plan.numerics[slot].engine != "loop"


def _other_steps(folder: RunFolder) -> Iterator[str]:
    """The lengths of a member's steps have the mean that its curve gives, epoch by epoch, until it diverged."""
    task = folder.plan.science.task
    for path in sorted(folder.steps.glob("*.npy")):
        frame = chunks.read(folder.members / f"{path.stem}.parquet")
        numerics = folder.plan.numerics[int(frame["slot"][0])]
        steps = steps_per_epoch(int(frame["train_samples"][0]), task.batch_size)
        lengths = checksum.read_array(path).reshape(len(frame), task.epochs, steps).astype(np.float64)
        diverged = frame["diverged"].to_numpy()[:, None]
        epoch = np.arange(1, task.epochs + 1)
        alive, after = (diverged == 0) | (epoch < diverged), (diverged > 0) & (epoch > diverged)
        with np.errstate(over="ignore", invalid="ignore"):
            means = lengths.mean(axis=2)
        tolerance = ROUNDED.get(numerics.dtype, HALF)
        close = np.isclose(means, curves(frame, "update_norm"), rtol=tolerance, atol=0, equal_nan=True)
        below = bool((lengths < 0).any())
        if below or not (close | ~alive).all() or not (np.isnan(lengths).all(axis=2) | ~after).all():
            yield f"steps/{path.name}: not the steps of the members that it belongs to"


def curves(frame: pl.DataFrame, name: str) -> np.ndarray:
    """A curve of every row (n, E), for rows that have one."""
    return frame[name].explode().to_numpy().reshape(len(frame), -1)
