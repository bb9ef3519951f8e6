"""The loop with its model compiled, as a whole, by torch: for models that are too large to be trained side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from assay.core import Contender, Curves, Member, Numerics, Task
from assay.training import loop


def forward_of(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """A model's forward pass, compiled, and its backward pass with it; a graph for each size of batch."""
    return torch.compile(model, dynamic=False)


def train(
    task: Task,
    contender: Contender,
    members: Sequence[Member],
    numerics: Numerics,
    enough: Callable[[np.ndarray], bool] | None = None,
) -> Curves:
    """As `loop.train`; scores are computed by the model as it was written."""
    return loop.train(task, contender, members, numerics, enough, forward_of)
