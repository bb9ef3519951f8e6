"""Networks by name and losses, so that a task can be spoken of without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """Called, it makes a new network of `models.py`: that of this name, with these arguments."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __call__(self) -> nn.Module:
        """A network with new weights, drawn from torch's global generator."""
        return getattr(import_module("assay.tasks.models"), self.name)(*self.arguments)


def at_least(name: str, value: int, least: int = 1) -> int:
    """The value. ValueError below `least`."""
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")
    return value


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of logits (…, classes) and classes (…)."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(outputs.flatten(0, -2), targets.flatten())


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of (outputs − targets)², both of one shape."""
    return (outputs - targets).square().mean()
