"""Metrics, each with the score of its best constant predictor: the floor a diverged member is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from assay.core import Metric

if TYPE_CHECKING:
    from torch import Tensor


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).double().mean()


def _majority(train_targets: np.ndarray, targets: np.ndarray) -> float:
    values, counts = np.unique(train_targets, return_counts=True)
    return float(np.mean(targets == values[counts.argmax()]))


accuracy = Metric("accuracy", _accuracy, _majority, "max", unit="points", scale=100.0)
"""Fraction of samples whose largest output is their class; outputs (n, classes), targets (n,) whole numbers."""
