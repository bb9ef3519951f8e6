"""Is the closure called as torch promises, and its loss handed back?"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from assay.conformance.lab import Lab, difference, quadratic
from assay.conformance.report import Failed, Passed, fail_if, skip_if


def check_closure(lab: Lab) -> Passed:
    """step(closure) calls it with gradients on, steps as without one, and returns its loss."""
    lab.shows(
        """
def closure():
    assert torch.is_grad_enabled(), "the closure is called with gradients switched off"
    p.grad = None
    loss = (p * p).sum()
    loss.backward()
    return loss
for _ in range(3):
    expected = (p.detach() ** 2).sum()
    assert torch.equal(torch.as_tensor(opt.step(closure)).detach(), expected), "the closure's loss is not returned"
"""
    )
    skip_if(lab.mode == "no" and not takes_closure(lab.training().optimizer), "its step takes no closure")
    training = lab.training()
    calls_a_step = []
    for _ in range(4):
        calls = _Calls(training.closure(quadratic))
        _judge(calls, training.step_with(calls))
        calls_a_step.append(len(calls.losses))
    fewest, most = min(calls_a_step), max(calls_a_step)
    if lab.mode == "no" and most == 1 and lab.facts.get("deterministic"):
        without = lab.training()
        without.minimise(quadratic, steps=4)
        apart = difference(training.moved(), without.moved())
        if apart > 1e-4:
            lab.shows(_UNALIKE)
            raise Failed(
                f"step(closure) takes other steps than backward() and step(): they differ by {apart:.2g}, as if gradients "
                "were used before the closure made them"
            )
    times = "once" if most == 1 else f"{fewest} to {most} times" if fewest < most else f"{most} times"
    return Passed(f"the closure is called {times} a step, its loss returned", {"calls": calls_a_step})


_UNALIKE = """
p = torch.nn.Parameter(torch.ones(4, 3))
opt := [p]
def closure():
    p.grad = 2 * p.detach()  # of the loss ‖p‖²
    return (p.detach() ** 2).sum()
opt.step(closure); opt.step(closure)
by_closure = p.detach().clone()
with torch.no_grad():
    p.fill_(1.0)
opt := [p]
for _ in range(2):
    closure()
    opt.step()
assert torch.allclose(by_closure, p, rtol=1e-5), "step(closure) and backward(); step() differ"
"""


class _Calls:
    """A closure that remembers how it was called."""

    def __init__(self, closure: Callable[[], Tensor]) -> None:
        self.closure, self.grad_enabled = closure, True
        self.losses: list[float] = []

    def __call__(self) -> Tensor:
        self.grad_enabled &= torch.is_grad_enabled()
        loss = self.closure()
        self.losses.append(loss.item())
        return loss


def _judge(calls: _Calls, returned: Any) -> None:
    fail_if(not calls.losses, "step(closure) never calls the closure")
    off = "it calls the closure with gradients switched off: a loss.backward() in it fails (use torch.enable_grad())"
    fail_if(not calls.grad_enabled, off)
    fail_if(returned is None, "step(closure) returns None: the closure's loss is lost")
    try:
        value = float(returned)
    except (TypeError, ValueError, RuntimeError):
        raise Failed(f"step(closure) returns a {type(returned).__name__} instead of the closure's loss") from None
    if not any(abs(value - loss) <= 1e-6 * abs(loss) for loss in calls.losses):
        raise Failed(f"step(closure) returns {value:.4g}, where the closure's loss was {calls.losses[0]:.4g}")


def takes_closure(optimizer: Any) -> bool:
    """Does its step take a positional argument?"""
    try:
        parameters = inspect.signature(optimizer.step).parameters.values()
    except (TypeError, ValueError):
        return True
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    return any(p.kind not in named and p.name != "self" for p in parameters)  # torch's schedulers leave a `self` there
