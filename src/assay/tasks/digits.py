"""scikit-learn's handwritten digits, 8 × 8 pixels (Alpaydin & Kaynak 1998, UCI): real data, and batch normalisation.

The data is fixed: each replicate partitions the 1,797 images anew, and a verdict holds on this data set. Batch
normalisation makes the loss blind to the size of the weights before it, so that a rate means something else than usual.
"""

from __future__ import annotations

import numpy as np

from assay.core import Split, Splits, Task
from assay.record.cache import cached
from assay.tasks.given import partition
from assay.tasks.metrics import accuracy
from assay.tasks.network import Network, at_least, cross_entropy
from assay.tasks.noise import noisy_labels

SIZES = (1280, 256, 261)  # 1,280 is whole batches of any power of two: a batch of one has no variance to normalise by


def partitioned(seed: int) -> Splits:
    """The partition of a seed: inputs (n, 64) float32 in [0, 1], targets (n,) int64."""

    def make() -> Splits:
        from sklearn.datasets import load_digits

        images, labels = map(np.asarray, load_digits(return_X_y=True))
        return partition(Split((images / 16).astype(np.float32), labels.astype(np.int64)), SIZES, seed)

    return cached(f"digits-v1-{seed}", make)


def digits(width: int = 64, label_noise: float = 0.0) -> Task:
    """64 → `width`, batch normalisation, ReLU, → 10."""
    return Task(
        name="digits",
        data=noisy_labels(partitioned, label_noise),
        model=Network("normalized_mlp", (at_least("width", width),)),
        loss=cross_entropy,
        metric=accuracy,
        epochs=6,
        batch_size=32,
        margin=0.02,
        margin_reason="two points: 5 of the 261 test images",
        generated=False,
        seed_sd=0.0098,  # both spreads: assay run adam nadam --task digits, 6 replicates of 8 trials and 8 final seeds
        replicate_sd=0.0085,
    )
