"""A small task that trains in milliseconds, and both engines on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from assay.core import Contender, Member, Numerics, Split, Splits, Task
from assay.engine.compiled.population import Interpreted
from assay.engine.eager.population import Population
from assay.space import Float
from assay.tasks.metrics import accuracy

LR = {"lr": Float(1e-4, 1e-1, log=True)}
KINDS = {"eager": Population, "interpreted": Interpreted}


def make_data(shape: tuple[int, ...] = (6,), n: int = 90, classes: int = 3) -> Callable[[int], Splits]:
    def data(seed: int) -> Splits:
        draw = np.random.default_rng(seed)

        def split(size: int) -> Split:
            return Split(draw.normal(size=(size, *shape)).astype(np.float32), draw.integers(0, classes, size))

        return Splits(split(n), split(30), split(30))

    return data


def make_task(
    model: Callable[[], nn.Module] | None = None,
    shape: tuple[int, ...] = (6,),
    epochs: int = 3,
    n: int = 90,
    batch: int = 20,
) -> Task:
    return Task(
        name="small",
        data=make_data(shape, n),
        model=model or (lambda: nn.Sequential(nn.Linear(shape[0], 5), nn.Tanh(), nn.Linear(5, 3))),
        loss=cross_entropy,
        metric=accuracy,
        epochs=epochs,
        batch_size=batch,
        margin=0.01,
        margin_reason="test",
    )


def contender(make: Callable[..., Any], space: Any = LR, **options: Any) -> Contender:
    return Contender(
        "candidate", lambda model, run, **hyperparameters: make(model.parameters(), **hyperparameters), space, **options
    )


def members(n: int = 3, phase: str = "tune", **hyperparameters: Any) -> list[Member]:
    """Different data, weights, batches and learning rates."""
    return [
        Member(0, phase, 0, i, {"lr": 0.003 * (i + 1), **hyperparameters}, i % 2, 10 + i, 20 + i, 30 + i)  # type: ignore[arg-type]
        for i in range(n)
    ]


def numerics(dtype: str = "float64", **changes: Any) -> Numerics:
    fields = {"engine": "vectorized", "compiled": False, "chunk_size": 3, "dtype": dtype, "device": "cpu", "threads": 1}
    return Numerics(**{**fields, "torch": "", "cpu": "", **changes})


def assert_same(found: Any, expected: Any, rtol: float = 1e-9) -> None:
    for name in (
        "validation",
        "test",
        "train_loss",
        "grad_norm",
        "update_norm",
        "diverged",
        "gradient_evaluations",
        "weights",
    ):
        a, b = getattr(found, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        if a is not None:
            tolerance = max(1e-6, rtol) if name == "weights" else rtol
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * 1e-3, err_msg=name)
    assert found.data == expected.data


def muon(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Matrices by torch's Muon alone."""
    return torch.optim.Muon([p for p in model.parameters() if p.ndim == 2], lr=lr)
