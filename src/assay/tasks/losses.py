"""The losses of the suite's tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of logits (…, classes) and classes (…)."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.flatten(0, -2), targets.flatten())


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of (outputs − targets)², both of one shape."""
    return (outputs - targets).square().mean()
