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


class Averaged(Optimizer):
    """θ ← (1 − lr λ) θ − lr m̂ / (v̂ + ε), v̂ the average of |g|: a rule with the settings that most have.

    The methods that its step consists of are what a faulty one gets wrong.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.0, maximize=False):
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, settings)

    def __getstate__(self):
        return dict(self.__dict__)

    def begin(self):
        pass

    def setting(self, group, name):
        return group[name]

    def zeros(self, p):
        return torch.zeros_like(p)

    def gradient(self, p, group):
        return -p.grad if self.setting(group, "maximize") else p.grad

    def decay(self, p, group):
        p.mul_(1 - self.setting(group, "lr") * self.setting(group, "weight_decay"))

    def direction(self, m, v, eps):
        return m / (v + eps)

    def write(self, p, group, direction):
        p.sub_(direction, alpha=self.setting(group, "lr"))

    def fresh(self, p):
        return {"step": 0, "m": self.zeros(p), "v": self.zeros(p)}

    @torch.no_grad()
    def step(self, closure=None):
        loss = loss_of(closure)
        self.begin()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.one(p, group)
        return loss

    def one(self, p, group):
        state = self.state[p]
        if not state:
            state.update(self.fresh(p))
        state["step"] += 1
        t, g = state["step"], self.gradient(p, group)
        a, b = self.setting(group, "betas")
        state["m"].mul_(a).add_(g, alpha=1 - a)
        state["v"].mul_(b).add_(g.abs(), alpha=1 - b)
        self.decay(p, group)
        direction = self.direction(state["m"] / (1 - a**t), state["v"] / (1 - b**t), self.setting(group, "eps"))
        self.write(p, group, direction)


class WideState(Averaged):
    """Moments in float32 at least, also for bfloat16 parameters, and put back so when a checkpoint is loaded."""

    def zeros(self, p):
        return torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32))

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        saved = [state_dict["state"].get(i, {}) for group in state_dict["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for p, state in zip(params, saved, strict=True):
            for name, value in state.items():
                self.state[p][name] = value.clone() if torch.is_tensor(value) else value


class OwnStream(Averaged):
    """Noise of a generator of its own, whose state is saved; seeded from the parameters' number alone."""

    def fresh(self, p):
        generator = torch.Generator().manual_seed(p.numel())
        return {**super().fresh(p), "stream": generator.get_state()}

    def gradient(self, p, group):
        state = self.state[p]
        generator = torch.Generator()
        generator.set_state(state["stream"].to(torch.uint8))
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
        state["stream"] = generator.get_state()
        return super().gradient(p, group) * (1 + 1e-2 * noise)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)  # which makes floats of the stream
        for p in (p for group in self.param_groups for p in group["params"]):
            if p in self.state:
                self.state[p]["stream"] = self.state[p]["stream"].to(torch.uint8)


class RealOnly(Averaged):
    """It says that it takes no complex parameters."""

    def fresh(self, p):
        if p.is_complex():
            raise RuntimeError("RealOnly does not support complex parameters")
        return super().fresh(p)


class ByParts(Averaged):
    """Complex parameters as their real and imaginary parts."""

    def one(self, p, group):
        if not p.is_complex():
            return super().one(p, group)
        view = torch.view_as_real(p)
        view.grad = torch.view_as_real(p.grad)
        state, self.state[view] = self.state[p], self.state[p]
        try:
            super().one(view, group)
        finally:
            self.state[p] = self.state.pop(view) or state


class Foreach(Averaged):
    """A second implementation, for all tensors at once."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.0, maximize=False, foreach=None):
        super().__init__(params, lr, betas, eps, weight_decay, maximize)
        for group in self.param_groups:
            group.setdefault("foreach", foreach)
        self.defaults["foreach"] = foreach

    def one(self, p, group):
        if not group["foreach"]:
            super().one(p, group)

    def chosen(self, group):
        return [p for p in group["params"] if p.grad is not None]

    def signed(self, params, group):
        return torch._foreach_neg([p.grad for p in params]) if group["maximize"] else [p.grad for p in params]

    def shrink(self, params, group):
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])

    def counted(self, states, i):
        return states[i]["step"]

    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            if group["foreach"] and (params := self.chosen(group)):
                self.all(params, group)
        return loss

    def all(self, params, group):
        for p in params:
            if not self.state[p]:
                self.state[p].update(self.fresh(p))
            self.state[p]["step"] += 1
        states, grads = [self.state[p] for p in params], self.signed(params, group)
        (a, b), ms, vs = group["betas"], [s["m"] for s in states], [s["v"] for s in states]
        torch._foreach_mul_(ms, a)
        torch._foreach_add_(ms, grads, alpha=1 - a)
        torch._foreach_mul_(vs, b)
        torch._foreach_add_(vs, torch._foreach_abs(grads), alpha=1 - b)
        self.shrink(params, group)
        counts = [self.counted(states, i) for i in range(len(states))]
        low = torch._foreach_add(torch._foreach_div(vs, [1 - b**t for t in counts]), group["eps"])
        ways = torch._foreach_div(torch._foreach_div(ms, [1 - a**t for t in counts]), low)
        torch._foreach_add_(params, ways, alpha=-group["lr"])


class Switching(Averaged):
    """Weights to be judged by are an average of those that are trained; train() and eval() go between them, as often as one
    likes, and which are there is saved."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        for group in self.param_groups:
            group.setdefault("training", True)
        self.defaults["training"] = True

    def fresh(self, p):
        return {**super().fresh(p), "average": p.detach().clone()}

    def write(self, p, group, direction):
        if not group["training"]:
            raise RuntimeError("call train() before step()")
        super().write(p, group, direction)
        self.state[p]["average"].lerp_(p, 0.1)

    @torch.no_grad()
    def to(self, training):
        for group in self.param_groups:
            if group["training"] != training:
                for p in group["params"]:
                    if self.state[p]:
                        self.swap(p)
                group["training"] = training

    def swap(self, p):
        kept = p.detach().clone()
        p.copy_(self.state[p]["average"])
        self.state[p]["average"] = kept

    def train(self):
        self.to(True)

    def eval(self):
        self.to(False)


class Periodic(Averaged):
    """Every 20 steps the weights go half the way back to where they were 20 steps before; that is saved."""

    every = 20

    def fresh(self, p):
        return {**super().fresh(p), "slow": p.detach().clone()}

    def write(self, p, group, direction):
        super().write(p, group, direction)
        state = self.state[p]
        if state["step"] % self.every == 0:
            p.copy_(state["slow"].lerp_(p, 0.5))


class Limited(WideState):
    """Keeps the last 50 norms of each gradient."""

    def fresh(self, p):
        return {**super().fresh(p), "norms": torch.zeros(50, dtype=torch.float64)}

    def gradient(self, p, group):
        norms = self.state[p]["norms"]
        norms.copy_(torch.cat([norms[1:], p.grad.norm().to(norms.dtype).reshape(1)]))
        return super().gradient(p, group) / (1 + norms.max().to(p.grad.real.dtype))


class ThroughData(Averaged):
    """Writes through .data, in place."""

    def write(self, p, group, direction):
        p.data.add_(direction, alpha=-group["lr"])


class WarmsUp(Averaged):
    """Weight decay is there from the tenth step on."""

    def decay(self, p, group):
        if self.state[p]["step"] >= 10:
            super().decay(p, group)


class Differentiable(Averaged):
    """Its step can be differentiated where that is asked for."""

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.0, maximize=False, differentiable=False
    ):
        super().__init__(params, lr, betas, eps, weight_decay, maximize)
        for group in self.param_groups:
            group.setdefault("differentiable", differentiable)
        self.defaults["differentiable"] = differentiable

    def average(self, old, new, weight):
        return old * weight + new * (1 - weight)

    def step(self, closure=None):
        loss = loss_of(closure)
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self.one(p, group)
        return loss

    def one(self, p, group):
        state = self.state[p]
        if not state:
            state.update(self.fresh(p))
        state["step"] += 1
        t, g, (a, b) = state["step"], self.gradient(p, group), group["betas"]
        state["m"], state["v"] = self.average(state["m"], g, a), self.average(state["v"], g.abs(), b)
        p.mul_(1 - group["lr"] * group["weight_decay"])
        direction = self.direction(state["m"] / (1 - a**t), state["v"] / (1 - b**t), group["eps"])
        p.sub_(direction * group["lr"])


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


class SoftLion(Lion):
    """Lion whose sign is soft: close to it, and not it."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = loss_of(closure)
        for group in self.param_groups:
            a, b = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                way = m * a + p.grad * (1 - a)
                p.sub_(way / (1e-3 + way.abs()), alpha=group["lr"])
                m.mul_(b).add_(p.grad, alpha=1 - b)
        return loss


class AdaBelief(Optimizer):
    """Zhuang et al. 2020, arXiv:2010.07468: close to Adam, and not Adam. It refuses complex parameters."""

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
                if p.is_complex():
                    raise NotImplementedError("no complex parameters")
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
                    p.sub_(group["lr"] * p.grad / (1 + p.grad.abs()))


def nesterov(model, lr):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True)


def amsgrad(model, lr):
    return torch.optim.Adam(model.parameters(), lr=lr, amsgrad=True)


def centered(model, lr):
    return torch.optim.RMSprop(model.parameters(), lr=lr, centered=True, momentum=0.9)
