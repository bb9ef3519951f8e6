"""A task of one's own: two spirals, and a small network that has to wind around them.

    assay run adam nadam --task examples/own_task.py:spirals
    assay run adam nadam --task examples/own_task.py:spirals --width 64 --batch-size 16

`spirals` is a function, so that its arguments are options of the command line; a plain `spirals = assay.Task(…)` will do,
too. Data of which there is only one set is given as it is, `data=(inputs, targets)`: each replicate partitions it anew.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

import assay


def two_spirals(seed: int) -> assay.Splits:
    """A data set of its own for each seed: points (n, 2) float32, and which spiral each lies on (n,) int64."""
    rng = np.random.default_rng(seed)

    def split(n: int) -> assay.Split:
        angle, which = 3 * np.pi * np.sqrt(rng.random(n)), rng.integers(0, 2, n)
        place = angle * np.exp(1j * (angle + np.pi * which)) + rng.normal(0, 0.4, (n, 2)) @ (1, 1j)
        return assay.Split(np.stack([place.real, place.imag], 1).astype(np.float32) / 10, which)

    return assay.Splits(train=split(1000), validation=split(500), test=split(500))


def spirals(width: int = 32) -> assay.Task:
    """2 → width → width → 2."""
    return assay.Task(
        name="spirals",
        data=two_spirals,
        model=lambda: nn.Sequential(
            nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        ),
        loss=torch.nn.functional.cross_entropy,
        metric=assay.metrics.accuracy,
        epochs=20,
        batch_size=32,
        margin=0.02,
        margin_reason="two points: fewer can't be seen in a picture of the boundary",
    )
