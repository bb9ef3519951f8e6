"""Which engine an optimizer can reach, told by the parity probe on a small task."""

from __future__ import annotations

import msgspec
import numpy as np
from torch import nn

from assay.core import Contender, Split, Splits, Task
from assay.engine.select.parity import probe
from assay.tasks.metrics import accuracy
from assay.training.numerics import loop_here


def engine_reached(contender: Contender) -> tuple[str, str]:
    """`vectorized` with the form that passes the probe, or `loop` with the reason that neither does."""
    task = _task()
    reasons = []
    for compiled in (True, False):
        numerics = msgspec.structs.replace(loop_here(), engine="vectorized", compiled=compiled)
        reason = probe(task, contender, numerics)
        if reason is None:
            form = "compiled" if compiled else f"eager, for compiled it is {reasons[0]}"
            return "vectorized", f"{form}; it gives the loop's numbers on a small network"
        reasons.append(reason)
    return "loop", reasons[-1]


def _network() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3))


def _points(seed: int) -> Splits:
    rng = np.random.default_rng(seed)

    def split(n: int) -> Split:
        return Split(rng.normal(size=(n, 6)).astype(np.float32), rng.integers(0, 3, n))

    return Splits(split(160), split(30), split(30))


def _task() -> Task:
    return Task(
        name="points",
        data=_points,
        model=_network,
        loss=nn.functional.cross_entropy,
        metric=accuracy,
        epochs=3,
        batch_size=16,
        margin=0.01,
        margin_reason="none is drawn",
    )
