"""Metrics, each with the score of its best constant predictor: the floor a diverged member is given.

Example:
    >>> logits, classes = torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0])
    >>> float(assay.metrics.accuracy.score(logits, classes))
    0.5
    >>> assay.metrics.accuracy.constant(train_targets=np.array([0, 0, 1]), targets=np.array([0, 1]))
    0.5
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from assay.core import Metric
from assay.tasks.network import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) == targets).double().mean()


def _majority(train_targets: np.ndarray, targets: np.ndarray) -> float:
    values, counts = np.unique(train_targets, return_counts=True)
    return float(np.mean(targets == values[counts.argmax()]))


def _bits(outputs: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(outputs.double(), targets) / math.log(2)


def _frequencies(train_targets: np.ndarray, targets: np.ndarray) -> float:
    counts = 1.0 + np.bincount(train_targets.ravel(), minlength=int(targets.max()) + 1)
    return float(-np.log2(counts / counts.sum())[targets].mean())


def _root_mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.double() - targets).square().mean().sqrt()


def _mean(train_targets: np.ndarray, targets: np.ndarray) -> float:
    return float(np.sqrt(np.mean((targets - train_targets.mean(axis=0, dtype=float)) ** 2)))


accuracy = Metric("accuracy", _accuracy, _majority, "max", unit="points", scale=100.0)
"""Fraction of samples whose largest output is their class; outputs (n, classes), targets (n,) whole numbers."""

bits = Metric("cross entropy", _bits, _frequencies, "min", unit="bits")
"""Mean bits a class costs, −log₂ p; outputs (…, classes) logits, targets (…) whole numbers. Constant: their frequencies."""

rmse = Metric("RMSE", _root_mean_square, _mean, "min", unit="")
"""Root mean square error, in the targets' unit; outputs and targets of one shape. Constant: the mean of the targets."""
