"""A network by its name, so that a task can be spoken of without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """Called, it makes a new network of `models.py`: that of this name, with these arguments."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __call__(self) -> nn.Module:
        """A network with new weights, drawn from torch's global generator."""
        return getattr(import_module("assay.tasks.models"), self.name)(*self.arguments)
