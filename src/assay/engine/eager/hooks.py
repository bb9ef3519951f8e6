"""Hooks: code that torch calls beside a step. Under vmap there is no `backward`, so those of gradients would never run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch.optim.optimizer as optimizers
from torch import nn
from torch.nn.modules import module as modules

from assay.engine.refusal import NotVectorizable

_OF_TENSORS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_OF_MODULES = ("_backward_hooks", "_backward_pre_hooks")  # those of a forward pass run
_OF_OPTIMIZERS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")
_FOR_ALL = (
    (modules, ("_global_backward_hooks", "_global_backward_pre_hooks")),
    (optimizers, ("_global_optimizer_pre_hooks", "_global_optimizer_post_hooks")),
)


def refuse_hooks(model: nn.Module, optimizer: Any) -> None:
    """NotVectorizable where a parameter, a module or the optimizer has hooks that would be left out, or are for one member."""
    for what in _hooked(model, optimizer):
        raise NotVectorizable(f"{what}, which each member has for itself")


def _hooked(model: nn.Module, optimizer: Any) -> Iterator[str]:
    for owner, names in _FOR_ALL:
        if any(getattr(owner, name, None) for name in names):
            yield "torch has hooks for everything"
    for name, tensor in model.named_parameters():
        if any(getattr(tensor, kind, None) for kind in _OF_TENSORS):
            yield f"the model's {name} has gradient hooks"
    for name, module in model.named_modules():
        if any(getattr(module, kind, None) for kind in _OF_MODULES):
            yield f"the model's {name or 'whole'} has backward hooks"
    if any(getattr(optimizer, kind, None) for kind in _OF_OPTIMIZERS):
        yield "it has step hooks"
