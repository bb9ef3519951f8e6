"""Noise on training targets, a stress axis of the suite. Validation and test targets stay clean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from assay import seeds
from assay.core import Split, Splits

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]  # of targets, by this much


def noisy_labels(data: Callable[[int], Splits], share: float) -> Callable[[int], Splits]:
    """Training labels are replaced, each with probability `share`, by one of their classes drawn uniformly (Zhang et al. 2017).

    ValueError unless 0 ≤ share ≤ 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"label_noise is a share of the labels, from 0 to 1, got {share:g}")
    return partial(_noisy, data, share, _relabelled)


def noisy_targets(data: Callable[[int], Splits], amount: float) -> Callable[[int], Splits]:
    """Training targets have normal noise added, `amount` of their standard deviation. ValueError below 0."""
    if not 0 <= amount < np.inf:
        raise ValueError(f"label_noise, in standard deviations of the targets, must be 0 or more, got {amount:g}")
    return partial(_noisy, data, amount, _jittered)


def _noisy(data: Callable[[int], Splits], amount: float, change: Change, seed: int) -> Splits:
    splits = data(seed)
    if not amount:
        return splits
    inputs, targets = splits.train
    rng = np.random.default_rng(seeds.hashed("label noise", seed))
    return replace(splits, train=Split(inputs, change(targets, amount, rng)))


def _relabelled(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.choice(np.unique(labels), size=labels.shape)
    return np.where(rng.random(labels.shape) < share, drawn, labels).astype(labels.dtype)


def _jittered(targets: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    return targets + np.float32(amount) * targets.std() * rng.standard_normal(targets.shape, dtype=np.float32)
