"""MNIST-1D read in order by a recurrent network: gradients through time, which differ widely in size.

Greydanus & Kobak (2024) report 91 % for a bidirectional GRU that reads one number at a time. Here a cell reads windows of
four, unrolled, so that a training is cheap and whole populations can be trained at once (torch's fused GRU has no
batching rule).
"""

from __future__ import annotations

from assay.core import Task
from assay.tasks.mnist1d import TRAIN_SAMPLES, mnist1d
from assay.tasks.network import Network
from assay.tasks.options import at_least, recorded


@recorded
def mnist1d_gru(train_samples: int = TRAIN_SAMPLES, width: int = 32, label_noise: float = 0.0) -> Task:
    """`width`: the hidden state's size."""
    return mnist1d(
        "mnist1d-gru",
        Network("Recurrent", (at_least("width", width),)),
        epochs=8,
        batch_size=64,
        train_samples=train_samples,
        label_noise=label_noise,
        margin_reason="one point, as for the MLP on the same data",
    )
