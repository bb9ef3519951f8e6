"""Regression: Friedman's first function (Friedman 1991, "Multivariate adaptive regression splines"), made by scikit-learn.

y = 10 sin(π x₁x₂) + 20 (x₃ − ½)² + 10 x₄ + 5 x₅ + ε, x uniform in [0, 1]¹⁰, of which five are of no use, ε standard normal.
So the best possible error is known, 1, and every 0.01 above it is a network's own.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from assay.core import Split, Splits, Task
from assay.record.cache import cached
from assay.tasks.given import cut
from assay.tasks.metrics import rmse
from assay.tasks.network import Network, at_least, mean_squared_error
from assay.tasks.noise import noisy_targets

FEATURES = 10
TRAIN_SAMPLES = 2000


def generate(seed: int, train: int, held_out: int) -> Splits:
    """A data set drawn from `seed`: inputs (n, 10) in [−½, ½] and targets (n,) less the training mean, float32."""

    def make() -> Splits:
        from sklearn.datasets import make_friedman1

        x, y = make_friedman1(train + 2 * held_out, FEATURES, noise=1.0, random_state=seed % 2**32)
        inputs, targets = (x - 0.5).astype(np.float32), (y - y[:train].mean()).astype(np.float32)
        return cut(Split(inputs, targets), (train, held_out, held_out))

    return cached(f"friedman1-v1-{train}-{held_out}-{seed % 2**32}", make)


def friedman1(train_samples: int = TRAIN_SAMPLES, width: int = 64, label_noise: float = 0.0) -> Task:
    """10 → `width` → `width` → 1, ReLU, mean squared error. `label_noise`: in standard deviations of y."""
    held_out = at_least("train_samples", train_samples, 2) // 2
    return Task(
        name="friedman1",
        data=noisy_targets(partial(generate, train=train_samples, held_out=held_out), label_noise),
        model=Network("regressor", (FEATURES, at_least("width", width))),
        loss=mean_squared_error,
        metric=rmse,
        epochs=20,
        batch_size=64,
        margin=0.05,
        margin_reason="5 % of the noise that no model can predict (its standard deviation is 1)",
        seed_sd=0.040,  # both spreads: assay run adam nadam --task friedman1, 6 replicates of 8 trials and 8 final seeds
        replicate_sd=0.073,
    )
