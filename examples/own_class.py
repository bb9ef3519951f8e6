"""An optimizer from scratch: sign descent on an average of gradients, with the step shrunk where signs flip.

    assay check examples/own_class.py:CautiousSign
    assay run adam examples/own_class.py:CautiousSign --space CautiousSign.beta=0..0.99

What is tuned are arguments of `__init__`: `lr` by itself, others by `--space`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class CautiousSign(torch.optim.Optimizer):
    """θ ← θ − lr · c · sign(m), where c halves each time an element's sign flips and recovers slowly otherwise."""

    def __init__(self, params: Any, lr: float = 1e-3, beta: float = 0.9) -> None:
        super().__init__(params, {"lr": lr, "beta": beta})  # all that a step reads, so that schedulers can change it

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """One step on the gradients there are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]  # kept here, so that state_dict() saves it
                if not state:
                    state["average"] = torch.zeros_like(p)
                    state["caution"] = torch.ones_like(p)
                before = state["average"].sign()
                state["average"].lerp_(p.grad, 1 - group["beta"])
                flipped = before * state["average"] < 0
                state["caution"].mul_(torch.where(flipped, 0.5, 1.05)).clamp_(max=1)
                p.sub_(state["caution"] * state["average"].sign(), alpha=group["lr"])
        return loss
