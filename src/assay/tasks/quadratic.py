"""A noisy, ill-conditioned quadratic with a known optimum: the model problem of optimization theory.

½ (θ − c)ᵀ H (θ − c), where each sample c = μ + ε is the optimum μ and noise ε of the same size (the noisy quadratic model:
Schaul et al. 2013; Zhang et al. 2019, "Which algorithmic choices matter at which batch sizes?"). H is rotated, so that no
axis of θ is one of its own, and its eigenvalues fall from 1 to 10⁻³, evenly on a log scale.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from assay.core import Metric, Split, Splits, Task
from assay.tasks.network import Network, at_least

if TYPE_CHECKING:
    from torch import Tensor

CONDITION = 1e3
TRAIN_SAMPLES = 4096


@cache
def root(size: int) -> np.ndarray:
    """R (size, size) float32 with H = R Rᵀ: a rotation, the same in every data set, times the eigenvalues' roots."""
    rotation, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))
    eigenvalues = CONDITION ** -(np.arange(size) / max(1, size - 1))
    return (rotation * np.sqrt(eigenvalues)).astype(np.float32)


def generate(seed: int, size: int, noise: float) -> Splits:
    """A problem drawn from `seed`. Inputs (n, 1) are 1; targets (n, size): samples to train on, μ itself in the other splits."""
    rng = np.random.default_rng(seed)
    optimum = rng.standard_normal(size, dtype=np.float32)
    samples = optimum + np.float32(noise) * rng.standard_normal((TRAIN_SAMPLES, size), dtype=np.float32)
    known = Split(np.ones((1, 1), dtype=np.float32), optimum[None])
    return Splits(Split(np.ones((TRAIN_SAMPLES, 1), dtype=np.float32), samples), known, known)


def excess(outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean of ½ ‖(outputs − targets) R‖² over samples (n, size), 0-dimensional."""
    from torch import from_numpy

    turned = (outputs - targets) @ from_numpy(root(targets.shape[-1])).to(outputs)
    return 0.5 * turned.square().sum(-1).mean()


def _decades(outputs: Tensor, targets: Tensor) -> Tensor:
    return excess(outputs.double(), targets.double()).log10()


def _start(train_targets: np.ndarray, targets: np.ndarray) -> float:
    """What θ = 0, the start, scores: a constant predictor is all there is here, so the best one is no floor."""
    return float(np.log10(0.5 * np.square(targets.astype(float) @ root(targets.shape[-1])).sum(-1).mean()))


decades = Metric("log₁₀ of the excess loss", _decades, _start, "min", unit="decades")
"""log₁₀ of the loss above the optimum's, where the targets are the optimum."""


def quadratic(width: int = 100, label_noise: float = 1.0) -> Task:
    """`width`: the number of dimensions. `label_noise`: the standard deviation of ε, where μ has 1."""
    size = at_least("width", width)
    if not 0 <= label_noise < np.inf:
        raise ValueError(f"label_noise must be 0 or more, got {label_noise:g}")
    return Task(
        name="quadratic",
        data=partial(generate, size=size, noise=label_noise),
        model=Network("Point", (size,)),
        loss=excess,
        metric=decades,
        epochs=4,
        batch_size=16,
        margin=0.1,
        margin_reason="a tenth of a decade: a fifth of the loss above the optimum",
        seed_sd=0.103,  # both spreads: assay run adam nadam --task quadratic, 6 replicates of 8 trials and 8 final seeds
        replicate_sd=0.092,
    )
