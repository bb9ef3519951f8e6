"""Muon where it applies: the hidden layers' weight matrices; AdamW for everything else, as its authors do it.

Jordan et al. (2024, "Muon: an optimizer for hidden layers in neural networks"); torch's own implementation, with the
scaling of Liu et al. (2025, arXiv:2502.16982) that makes one learning rate mean the same for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

DECAY = 0.01  # AdamW's default


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The matrices that Muon is for: parameters of two dimensions, those of embeddings and of the last layer left out."""
    modules = [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]
    outside = [m for m in modules if isinstance(m, nn.Embedding)] + modules[-1:]
    left_out = {id(p) for m in outside for p in m.parameters(recurse=False)}
    return [p for p in model.parameters() if p.dim() == 2 and id(p) not in left_out]


def muon(model: nn.Module, lr: float = 1e-3, weight_decay: float = DECAY) -> Together:
    """Muon on `hidden_matrices`, AdamW on the rest, one rate and decay for both. ValueError where there is no such matrix."""
    matrices = hidden_matrices(model)
    if not matrices:
        raise ValueError("no hidden matrix")
    rest = [p for p in model.parameters() if all(p is not matrix for matrix in matrices)]
    first = torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    return Together(first, torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay))


class Together:
    """Two optimizers that step as one; `param_groups` are those of both, so that a schedule reaches both."""

    def __init__(self, first: torch.optim.Optimizer, second: torch.optim.Optimizer) -> None:
        self.first, self.second = first, second

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of both."""
        return [*self.first.param_groups, *self.second.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of both."""
        self.first.zero_grad(set_to_none)
        self.second.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each, on gradients that the closure, where there is one, makes anew."""
        loss = self.first.step(closure)
        self.second.step()
        return loss
