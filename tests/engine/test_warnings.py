"""Torch's vmap loops over the members where it has no batching rule, and warns of it: here that is refused instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from assay.engine.refusal import NotVectorizable
from assay.engine.train import train_with

from .small import KINDS, contender, make_task, members, numerics
from .test_models import Attending, Unrolled


class Binning(torch.optim.SGD):
    """Scales its step by a histogram of the gradient, for which torch has no batching rule."""

    def step(self, closure: Any = None) -> None:
        with torch.no_grad():
            for p in self.param_groups[0]["params"]:
                p.sub_(p.grad, alpha=1e-3).add_(torch.histc(p.grad, 3)[0] * 1e-9)


class Normalizing(nn.Linear):
    """A layer that needs an operation without a batching rule."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.renorm(x, 2, 0, 1.0))


def test_torch_itself_would_warn() -> None:
    with pytest.warns(UserWarning, match="performance drop"):
        torch.func.vmap(lambda x: torch.histc(x, 3))(torch.rand(3, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_an_operation_without_a_batching_rule_is_refused_with_its_name(kind: str) -> None:
    for model, optimizer, name in ((None, Binning, "histc"), (lambda: Normalizing(6, 3), torch.optim.SGD, "renorm")):
        with pytest.raises(NotVectorizable, match=f"no batching rule for aten::{name}") as refused:
            train_with(KINDS[kind], make_task(model), contender(optimizer), members(), numerics())
        assert type(refused.value).__name__ == "NotVectorizable"


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution": (lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(12, 3)), (2, 5)),
    "recurrence": (Unrolled, (5, 2)),
    "attention": (lambda: Attending(0.1), (5, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_the_hot_path_warns_of_nothing(name: str) -> None:
    model, shape = MODELS[name]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        train_with(KINDS["eager"], make_task(model, shape), contender(torch.optim.AdamW), members(), numerics())
    assert [str(w.message) for w in seen] == []
