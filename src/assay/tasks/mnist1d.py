"""MNIST-1D (Greydanus & Kobak 2024): ten 1-D templates, padded, sheared, shifted, noised; 40 numbers a sample.

The original study's task: an MLP 40 → 256 → 10, ReLU, cross entropy, batches of 128, 15 epochs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from assay.core import Split, Splits, Task
from assay.record.cache import cached
from assay.tasks.losses import cross_entropy
from assay.tasks.metrics import accuracy
from assay.tasks.network import Network
from assay.tasks.noise import NoisyLabels
from assay.tasks.options import at_least, recorded
from assay.tasks.signals import signals

PUBLISHED_SEED = 42  # mnist1d's own default, hence the data of the published page
TRAIN_SAMPLES = 8000
VERSION = 1  # of the generation below; part of the file's name


def generate(seed: int, train: int, validation: int, test: int) -> Splits:
    """A data set drawn from `seed`: inputs (n, 40) float32, targets (n,) int64; no row is shared with another seed's."""

    def make() -> Splits:
        x, y = signals(train + validation + test, seed % 2**32)  # NumPy's generator takes 32 bits
        x = x.astype(np.float32)
        held_out = train + validation
        return Splits(
            Split(x[:train], y[:train]),
            Split(x[train:held_out], y[train:held_out]) if validation else None,
            Split(x[held_out:], y[held_out:]),
        )

    return cached(f"mnist1d-v{VERSION}-{train}-{validation}-{test}-{seed % 2**32}", make)


def mnist1d(
    name: str,
    model: Network,
    epochs: int,
    batch_size: int = 128,
    train_samples: int = TRAIN_SAMPLES,
    label_noise: float = 0.0,
    **more: Any,
) -> Task:
    """A task on this data: `train_samples` to train on, a quarter of that to validate on and as much to test on.

    ValueError unless the number is a multiple of 40: the classes and the quarter must come out even.
    """
    if train_samples < 40 or train_samples % 40:
        raise ValueError(f"train_samples must be a multiple of 40, 40 at least, got {train_samples}")
    data = partial(generate, train=train_samples, validation=train_samples // 4, test=train_samples // 4)
    return Task(
        name=name,
        data=NoisyLabels(data, label_noise),
        model=model,
        loss=cross_entropy,
        metric=accuracy,
        epochs=epochs,
        batch_size=batch_size,
        margin=0.01,
        family="mnist1d",
        **more,
    )


@recorded
def mnist1d_mlp(train_samples: int = TRAIN_SAMPLES, width: int = 256, label_noise: float = 0.0) -> Task:
    """The original task. `train_samples`: 8,000 as the page's data call gives, or the 10,000 its text says."""
    return mnist1d(
        "mnist1d-mlp",
        Network("mlp", (at_least("width", width),)),
        epochs=15,
        train_samples=train_samples,
        label_noise=label_noise,
        margin_reason="one point, the difference the published page draws its conclusion from",
        published=partial(generate, PUBLISHED_SEED, train=train_samples, validation=0, test=train_samples // 4),
        seed_sd=0.0095,  # both spreads: assay run adam gns-adam, 12 replicates of 8 final seeds, seed 0
        replicate_sd=0.0039,
    )
