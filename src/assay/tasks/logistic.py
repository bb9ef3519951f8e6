"""Logistic regression on made-up data: the cheapest real task, for demonstrations and for calibrating the instrument.

A fixed teacher labels Gaussian inputs with noise, so that the model is the true one and the best possible accuracy is
known. The inputs' scales differ, as real features' do: plain gradient descent is slow along the small ones.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from assay.core import Split, Splits, Task
from assay.tasks.metrics import accuracy
from assay.tasks.network import Network, cross_entropy
from assay.tasks.noise import noisy_labels

FEATURES, CLASSES = 20, 4
TRAIN, HELD_OUT = 512, 1024  # samples; as many to validate as to test
SCALES = 3.0, 0.3  # standard deviations of the first and the last input
SIGNAL = 2.0  # standard deviation of a class's logit


def generate(seed: int) -> Splits:
    """A data set drawn from `seed`: inputs (n, 20) float32, targets (n,) int64; no row is shared with another seed's."""
    rng = np.random.default_rng(seed)
    scales = np.geomspace(*SCALES, FEATURES, dtype=np.float32)

    def part(n: int) -> Split:
        z = rng.standard_normal((n, FEATURES), dtype=np.float32)
        waits = rng.standard_exponential((n, CLASSES), dtype=np.float32) * np.exp(-z @ teacher())
        return Split(z * scales, waits.argmin(1))  # the first to arrive is a draw from softmax(z @ teacher)

    return Splits(part(TRAIN), part(HELD_OUT), part(HELD_OUT))


@cache
def teacher() -> np.ndarray:
    """The weights (20, 4) that make logits of standardised inputs: the same for every data set."""
    drawn = np.random.default_rng(0).standard_normal((FEATURES, CLASSES), dtype=np.float32)
    return SIGNAL * drawn / np.linalg.norm(drawn, axis=0)


def logistic_regression(label_noise: float = 0.0) -> Task:
    """Multinomial logistic regression, cross entropy, batches of 16, 5 epochs."""
    return Task(
        name="logistic",
        data=noisy_labels(generate, label_noise),
        model=Network("linear", (FEATURES, CLASSES)),
        loss=cross_entropy,
        metric=accuracy,
        epochs=5,
        batch_size=16,
        margin=0.01,
        margin_reason="one point, a third of what learning from 512 samples costs against the best possible rule",
        seed_sd=0.0064,  # both spreads: assay run adam sgd --task logistic, 12 replicates of 8 final seeds, seed 0
        replicate_sd=0.0131,
    )
