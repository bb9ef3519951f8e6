"""Sound optimizers that no registered one equals."""

from __future__ import annotations

import torch
from torch.optim import Optimizer


def denominator(groups):
    """The norm of all gradients of these groups together, without a host read."""
    grads = [p.grad.norm() for group in groups for p in group["params"] if p.grad is not None]
    return torch.stack(grads).norm() if grads else torch.zeros(())


def loss_of(closure):
    """The closure's loss, its gradients made; None without one."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


class Sound(Optimizer):
    """θ ← θ − lr · s(m̂), with s(x) = x / (1 + |x|) and m̂ the bias-corrected average of gradients.

    The methods that its step consists of are what a faulty one gets wrong.
    """

    skips_none = True

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    def __getstate__(self):
        return dict(self.__dict__)

    def rate(self, group):
        return group["lr"]

    def scale(self):
        return 1.0

    def groups(self):
        return self.param_groups

    def gradient(self, p, group):
        return p.grad

    def zeros(self, p):
        return torch.zeros_like(p)

    def state_of(self, p):
        return self.state[p]

    def begin(self):
        pass

    def count(self, state):
        return state["step"]

    def steps_of(self, group):
        return max((self.state[p].get("step", 0) for p in group["params"]), default=0)

    def step(self, closure=None):
        return self.take(closure)

    def take(self, closure=None):
        loss = loss_of(closure)
        self.begin()
        with torch.no_grad():
            scale = self.scale()
            for group in self.groups():
                rate = self.rate(group)
                for p in group["params"]:
                    if p.grad is None and self.skips_none:
                        continue
                    g = self.gradient(p, group)
                    state = self.state_of(p)
                    if not state:
                        state.update(step=0, average=self.zeros(p))
                    if "average" not in state:
                        state["average"] = self.zeros(p)
                    state["step"] += 1
                    state["average"].mul_(0.9).add_(g, alpha=0.1)
                    m = state["average"] / (1 - 0.9 ** self.count(state))
                    p.sub_(rate * scale * m / (1 + m.abs()))
        return loss


class NormScaled(Sound):
    """The same, divided by 1 + the norm of all gradients."""

    def scale(self):
        return 1 / (1 + denominator(self.param_groups))


class Gathers(Sound):
    """Steps on the mean of 16 gradients."""

    every = 16

    def take(self, closure=None):
        loss = loss_of(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state.update(count=0, total=torch.zeros_like(p))
                    state["total"] += p.grad
                    state["count"] += 1
                    if state["count"] % self.every == 0:
                        m = state["total"] / self.every
                        p.sub_(self.rate(group) * m / (1 + m.abs()))
                        state["total"].zero_()
        return loss


class DecaysApart(Sound):
    """A decay that the learning rate has no part in, under a name of its own."""

    def __init__(self, params, lr=1e-3, shrink=1e-2):
        Optimizer.__init__(self, params, {"lr": lr, "shrink": shrink})

    def rate(self, group):
        for p in group["params"]:
            if p.grad is not None:
                p.mul_(1 - group["shrink"])
        return group["lr"]


class Lion(Optimizer):
    """Chen et al. 2023, arXiv:2302.06675."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):
        loss = loss_of(closure)
        for group in self.param_groups:
            a, b = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.sub_((m * a + p.grad * (1 - a)).sign(), alpha=group["lr"])
                m.mul_(b).add_(p.grad, alpha=1 - b)
        return loss


class AdaBelief(Optimizer):
    """Zhuang et al. 2020, arXiv:2010.07468: close to Adam, and not Adam."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    def _rule(self, m, g):
        return g - m

    @torch.no_grad()
    def step(self, closure=None):
        loss = loss_of(closure)
        for group in self.param_groups:
            a, b = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(step=0, m=torch.zeros_like(p), s=torch.zeros_like(p))
                state["step"] += 1
                state["m"].lerp_(p.grad, 1 - a)
                rest = self._rule(state["m"], p.grad)
                state["s"].mul_(b).addcmul_(rest, rest, value=1 - b).add_(group["eps"] ** 2)
                m, s = state["m"] / (1 - a ** state["step"]), state["s"] / (1 - b ** state["step"])
                p.sub_(group["lr"] * m / (s.sqrt() + group["eps"]))
        return loss


class AdamOfAverage(AdaBelief):
    """Adam's second moment taken of the averaged gradient: another near relative."""

    def _rule(self, m, g):
        return m.clone()


class SoundWrapper(Optimizer):
    """Lookahead (Zhang et al. 2019, arXiv:1907.08610) around an instance, its slow weights saved."""

    def __init__(self, optimizer, k=4, alpha=0.5):
        super().__init__([p for g in optimizer.param_groups for p in g["params"]], dict(optimizer.defaults))
        self.base, self.k, self.alpha, self.t = optimizer, k, alpha, 0
        self.param_groups, self.state = optimizer.param_groups, optimizer.state

    def __getstate__(self):
        return dict(self.__dict__)

    def add_param_group(self, group):
        if hasattr(self, "base"):
            self.base.add_param_group(group)
        else:
            super().add_param_group(group)

    def state_dict(self):
        saved = self.base.state_dict()
        slow = [self.slow_of(p) for g in self.param_groups for p in g["params"]]
        return {**saved, "slow": [s.clone() for s in slow], "t": self.t}

    def load_state_dict(self, state_dict):
        self.base.load_state_dict({k: v for k, v in state_dict.items() if k not in ("slow", "t")})
        self.param_groups, self.state = self.base.param_groups, self.base.state
        params = [p for g in self.param_groups for p in g["params"]]
        self.slow = {p: s.clone() for p, s in zip(params, state_dict["slow"], strict=True)}
        self.t = state_dict["t"]

    def slow_of(self, p):
        if "slow" not in self.__dict__:
            self.slow = {}
        if p not in self.slow:
            self.slow[p] = p.detach().clone()
        return self.slow[p]

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                self.slow_of(p)
        loss = self.base.step(closure)
        self.t += 1
        if self.t % self.k == 0:
            with torch.no_grad():
                for group in self.param_groups:
                    for p in group["params"]:
                        p.copy_(self.slow_of(p).lerp_(p, self.alpha))
        return loss


class SAM(Optimizer):
    """Foret et al. 2020, arXiv:2010.01412: its step needs a closure, which it calls twice."""

    def __init__(self, params, lr=1e-2, rho=0.05):
        super().__init__(params, {"lr": lr, "rho": rho})

    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        with torch.no_grad():
            moved = []
            norm = denominator(self.param_groups)
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        moved.append((p, p.detach().clone(), group["lr"]))
                        p.add_(p.grad * (group["rho"] / (norm + 1e-12)))
        with torch.enable_grad():
            closure()
        with torch.no_grad():
            for p, before, lr in moved:
                p.copy_(before - lr * p.grad)
        return loss


class Duck:
    """No torch.optim.Optimizer: a step, and groups to write a rate into."""

    def __init__(self, params, lr=1e-3):
        self.param_groups = [{"params": list(params), "lr": lr}]

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(group["lr"] * torch.tanh(p.grad))


def nesterov(model, lr):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True)


def amsgrad(model, lr):
    return torch.optim.Adam(model.parameters(), lr=lr, amsgrad=True)


def centered(model, lr):
    return torch.optim.RMSprop(model.parameters(), lr=lr, centered=True, momentum=0.9)
