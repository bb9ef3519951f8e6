"""For the loop: its model compiled, as a whole, by torch, where it is too large to be trained side by side."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def forward_of(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """A model's forward pass, compiled, and its backward pass with it; a graph for each size of batch."""
    return torch.compile(model, dynamic=False)
