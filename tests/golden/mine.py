"""A user's file: tasks and optimizers of the golden plans. Its bytes are part of their records: don't edit it."""

import numpy as np
import torch
from torch import nn

from assay import Split, Splits, Task
from assay.tasks.metrics import accuracy


def _draw(seed):
    rng = np.random.default_rng(seed)

    def split(n):
        y = rng.integers(0, 2, n)
        return Split((rng.normal(size=(n, 4)) + y[:, None]).astype(np.float32), y)

    return Splits(split(100), split(60), split(60))


def _network():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def _with_dropout():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def _loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def _task(**changes):
    whole = {
        "name": "clouds",
        "data": _draw,
        "model": _network,
        "loss": _loss,
        "metric": accuracy,
        "epochs": 2,
        "batch_size": 32,
        "margin": 0.02,
        "margin_reason": "a test's",
    }
    return Task(**{**whole, **changes})


def clouds():
    return _task()


def fixed():
    """Fixed data, and masks that each member draws for itself."""
    whole = tuple(_draw(7).train)
    return _task(name="fixed", data=whole, model=_with_dropout, generated=False)


class Plain(torch.optim.Optimizer):
    """Momentum with a rate that falls, counted by the class itself."""

    def __init__(self, params, lr=0.1, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.t = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.t += 1
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if "m" not in state:
                    state["m"] = torch.zeros_like(p)
                state["m"].mul_(group["momentum"]).add_(p.grad)
                p.add_(state["m"], alpha=-group["lr"] / (1 + 0.1 * self.t))


class Wrap:
    """Clips what its optimizer sees."""

    def __init__(self, optimizer, limit=1.0):
        self.optimizer, self.limit = optimizer, limit
        self.param_groups = optimizer.param_groups

    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure=None):
        params = [p for g in self.param_groups for p in g["params"]]
        torch.nn.utils.clip_grad_norm_(params, self.limit)
        return self.optimizer.step()


class Sam(torch.optim.Optimizer):
    """Sharpness-aware: two gradients a step, so a closure."""

    def __init__(self, params, lr=0.1, rho=0.05):
        super().__init__(params, {"lr": lr, "rho": rho})

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            norm = torch.stack([p.grad.norm() for p in params]).norm() + 1e-12
            moved = [p.grad * (group["rho"] / norm) for p in params]
            for p, e in zip(params, moved):
                p.add_(e)
            with torch.enable_grad():
                closure()
            for p, e in zip(params, moved):
                p.sub_(e)
                p.sub_(group["lr"] * p.grad)
        return loss


class Jumpy(torch.optim.SGD):
    """Branches on a value that differs between members, so that only the loop can train it."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                factor = 1.0 if p.grad.abs().sum().item() > 0.5 else 2.0
                p.sub_(group["lr"] * factor * p.grad)
