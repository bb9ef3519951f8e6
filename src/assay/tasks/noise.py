"""Noise on training targets, a stress axis of the suite. Validation and test targets stay clean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from assay import seeds
from assay.core import Split, Splits


@dataclass(frozen=True)
class NoisyLabels:
    """Data whose training labels are replaced, each with probability `share`, by a class drawn uniformly (Zhang et al. 2017).

    Classes are those of the training split. ValueError unless 0 ≤ share ≤ 1.
    """

    data: Callable[[int], Splits]
    share: float

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"label_noise is a share of the labels, from 0 to 1, got {self.share:g}")

    def __call__(self, seed: int) -> Splits:
        """The data of a seed, noise included."""
        splits = self.data(seed)
        if not self.share:
            return splits
        inputs, labels = splits.train
        rng = np.random.default_rng(seeds.hashed("label noise", seed))
        drawn = rng.choice(np.unique(labels), size=labels.shape)
        noisy = np.where(rng.random(labels.shape) < self.share, drawn, labels).astype(labels.dtype)
        return replace(splits, train=Split(inputs, noisy))


@dataclass(frozen=True)
class NoisyTargets:
    """Data whose training targets have normal noise added, `amount` of their standard deviation. ValueError below 0."""

    data: Callable[[int], Splits]
    amount: float

    def __post_init__(self) -> None:
        if not 0 <= self.amount < np.inf:
            raise ValueError(
                f"label_noise, in standard deviations of the targets, must be 0 or more, got {self.amount:g}"
            )

    def __call__(self, seed: int) -> Splits:
        """The data of a seed, noise included."""
        splits = self.data(seed)
        if not self.amount:
            return splits
        inputs, targets = splits.train
        noise = np.random.default_rng(seeds.hashed("label noise", seed)).standard_normal(
            targets.shape, dtype=np.float32
        )
        return replace(splits, train=Split(inputs, targets + np.float32(self.amount) * targets.std() * noise))
