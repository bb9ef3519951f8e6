"""Optimizers that keep count in Python: what they do by it must happen at the right step, whichever step was traced."""

from __future__ import annotations

import math

import pytest
import torch

from assay.engine.train import train_with
from assay.training import loop

from .small import KINDS, assert_same, contender, make_task, members, numerics


class EveryFifth(torch.optim.Optimizer):
    """Counts its own steps in a Python int; every fifth step is long, and shortens the ones after it."""

    def __init__(self, params, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.count = 0
        self.factor = 1.0

    @torch.no_grad()
    def step(self, closure=None) -> None:
        self.count += 1
        for group in self.param_groups:
            for p in group["params"]:
                if self.count % 5 == 0:
                    p.add_(p.grad, alpha=-5 * group["lr"] * self.factor)
                else:
                    p.sub_(p.grad * (group["lr"] / math.sqrt(self.count)))
        if self.count % 5 == 0:
            self.factor *= 0.9


class Lookahead(torch.optim.Optimizer):
    """Wraps SGD; every k-th step goes back half of the way, k being each member's own or not."""

    def __init__(self, params, lr: float, k: int = 4) -> None:
        params = list(params)
        super().__init__(params, {"lr": lr})
        self.base = torch.optim.SGD(params, lr=lr, momentum=0.9)
        self.k, self.taken = k, 0
        self.slow = [p.detach().clone() for p in params]

    @torch.no_grad()
    def step(self, closure=None) -> None:
        self.base.step()
        self.taken += 1
        if self.taken % self.k == 0:
            for slow, p in zip(self.slow, self.param_groups[0]["params"], strict=True):
                slow += 0.5 * (p - slow)
                p.copy_(slow)


class Augmented(torch.optim.Optimizer):
    """Rebinds its numbers by `*=` and keeps the old parameters: what was kept must be the old value."""

    def __init__(self, params, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.count = 0

    @torch.no_grad()
    def step(self, closure=None) -> None:
        self.count += 1
        for group in self.param_groups:
            rate = group["lr"]
            rate *= 1 / (1 + 0.1 * self.count)
            for p in group["params"]:
                state = self.state[p]
                moved = p - state["before"] if "before" in state else torch.zeros_like(p)
                state.setdefault("before", torch.zeros_like(p)).copy_(p)
                state["largest"] = max(state.get("largest", 0.0), p.grad.norm().item())
                p.add_(0.5 * moved - rate / (1 + state["largest"]) * p.grad)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [EveryFifth, Lookahead, Augmented])
@pytest.mark.parametrize("steps", [7, 10])
def test_is_right_at_step(steps: int, optimizer: type, kind: str) -> None:
    task = make_task(epochs=steps, n=16, batch=16)
    arm = contender(optimizer)
    found = train_with(KINDS[kind], task, arm, members(), numerics())
    assert_same(found, loop.train(task, arm, members(), numerics()), rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_is_right_at_step_1000(kind: str) -> None:
    task, arm = make_task(epochs=4, n=500, batch=2), contender(EveryFifth)
    found = train_with(KINDS[kind], task, arm, members(2), numerics())
    assert_same(found, loop.train(task, arm, members(2), numerics()), rtol=1e-8)


def test_counted_steps_run_compiled_not_eagerly() -> None:
    from assay.engine.compiled.population import Interpreted

    missed: list[int] = []

    class Watched(Interpreted):
        def step(self, *batch):
            traces = super().step(*batch)
            missed.append(self.missed)
            return traces

    train_with(Watched, make_task(epochs=5), contender(EveryFifth), members(), numerics())
    assert missed[-1] == 0
