"""The smallest task that is one: two overlapping clouds in four dimensions, a new pair of them for each seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from assay.core import Split, Splits, Task
from assay.tasks.metrics import accuracy


def clouds(seed: int) -> Splits:
    rng = np.random.default_rng(seed)

    def split(n: int) -> Split:
        y = rng.integers(0, 2, n)
        return Split((rng.normal(size=(n, 4)) + y[:, None]).astype(np.float32), y)

    return Splits(split(100), split(60), split(60))


def lucky(seed: int) -> Splits:
    """Clouds whose validation labels are coin flips: whatever wins there has won by luck."""
    splits = clouds(seed)
    assert splits.validation is not None
    coins = np.random.default_rng(seed + 1).integers(0, 2, len(splits.validation.targets))
    return replace(splits, validation=Split(splits.validation.inputs, coins))


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets)


def task(**changes) -> Task:
    whole = {
        "name": "clouds",
        "data": clouds,
        "model": network,
        "loss": loss,
        "metric": accuracy,
        "epochs": 2,
        "batch_size": 32,
        "margin": 0.02,
        "margin_reason": "a test's",
        **changes,
    }
    return Task(**whole)
