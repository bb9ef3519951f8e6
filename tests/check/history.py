"""Rules that real threads found faulty and whose code is on no registry, written anew from what the threads describe.

A faulty one derives from the mended one, and differs in what the thread is about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.optim import Optimizer

from .sound import Averaged, Foreach, Sound, SoundWrapper, Switching, loss_of


class Told(NamedTuple):
    """What a thread told: where, what was wrong, the check that must see it, and both rules."""

    thread: str
    wrong: str
    check: str
    before: type[Any]
    after: type[Any]


TOLD: dict[str, Told] = {}


def told(thread: str, check: str, wrong: str) -> Callable[[type[Any]], type[Any]]:
    """Register a faulty rule; the mended one is what it derives from."""

    def register(before: type[Any]) -> type[Any]:
        assert before.__name__ not in TOLD
        TOLD[before.__name__] = Told(thread, wrong, check, before, before.__bases__[0])
        return before

    return register


# ------------------------------------------------------------------------------------- gradients


class Muon(Averaged):
    """Momentum, each matrix of it brought towards an orthogonal one; decay apart from it."""

    def direction(self, m, v, eps):
        if m.ndim != 2:
            return m / (v + eps)
        x = m / (m.norm() + eps)
        for _ in range(5):
            x = 1.5 * x - 0.5 * x @ x.mT @ x
        return x


@told("KellerJordan/Muon#54, zichongli5/NorMuon#3", "none_grad", "weight decay where the gradient is None")
class MuonOfZeros(Muon):
    def begin(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    self.decay(p, group)


@told("tinygrad#17709", "effects", "weight decay goes into a tensor that nothing reads")
class MuonDecaysNothing(Muon):
    def decay(self, p, group):
        p = p * (1 - group["lr"] * group["weight_decay"])


class Filtered(Averaged):
    """Slow parts of the gradient are amplified before the step, as Grokfast does."""

    def fresh(self, p):
        return {**super().fresh(p), "slow": self.zeros(p)}

    def gradient(self, p, group):
        slow = self.state[p]["slow"]
        slow.mul_(0.9).add_(p.grad, alpha=0.1)
        return super().gradient(p, group) + 2 * slow


@told("grokfast#3", "none_grad", "an unused parameter's gradient is read, which is None")
class FiltersNone(Filtered):
    def begin(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.detach()


class AdamW(Averaged):
    """Adam with decoupled decay."""


@told("pytorch#53354", "none_grad", "betas are read in the loop over gradients, and used after it")
class BetasInTheLoop(AdamW):
    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            seen = [group["betas"] for p in group["params"] if p.grad is not None]
            group["last_betas"] = seen[-1]
        return loss


class ForeachDecay(Averaged):
    """L2 decay over all tensors of a group at once."""

    def grads(self, params, group):
        return torch._foreach_add([p.grad for p in params], params, alpha=group["weight_decay"])

    def decay(self, p, group):
        pass

    def gradient(self, p, group):
        (g,) = self.grads([p], group) if group["weight_decay"] else [p.grad]
        return -g if group["maximize"] else g


@told("pytorch#92706", "grads_intact", "the foreach path adds decay into the gradients themselves")
class ForeachIntoGradients(ForeachDecay):
    def grads(self, params, group):
        grads = [p.grad for p in params]
        torch._foreach_add_(grads, params, alpha=group["weight_decay"])
        return grads


@told("huggingface/pytorch-image-models#2750", "implementations", "foreach decays all of a group for each dtype in it")
class ForeachDecaysForEachType(Foreach):
    def shrink(self, params, group):
        for _ in {p.dtype for p in params}:
            super().shrink(params, group)


# --------------------------------------------------------------------- settings, rates and groups


class RAdam(Averaged):
    """The first steps are shorter, until second moments can be trusted; decay apart from them. The length of a step is
    kept in a buffer for each count of steps, and times the group's rate."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.0):
        super().__init__(params, lr, betas, eps, weight_decay)
        self.buffer = {}

    def length(self, t, group):
        return group["lr"] * self.buffer.setdefault(t, t / (t + 5))

    def write(self, p, group, direction):
        p.sub_(direction * self.length(self.state[p]["step"], group))


@told("fastai2#246", "effects", "the list with weight decay in it is overwritten by the next line")
class RAdamWithoutDecay(RAdam):
    def decay(self, p, group):
        callbacks = [super().decay]
        callbacks = []
        for one in callbacks:
            one(p, group)


@told("RAdam#24, Ranger#9", "groups", "the buffer keeps the first group's rate for all groups")
class RAdamBuffersTheRate(RAdam):
    def length(self, t, group):
        return self.buffer.setdefault(t, group["lr"] * t / (t + 5))


class Prodigy(Averaged):
    """A factor on each group's rate is estimated from how far its parameters have come."""

    def factor(self, group):
        far = group.setdefault("far", 0.0)
        group["far"] = far + group["lr"]
        return 1 + far / (1 + far)

    def begin(self):
        for group in self.param_groups:
            group["factor"] = self.factor(group)

    def write(self, p, group, direction):
        p.sub_(direction, alpha=group["lr"] * group["factor"])


@told("prodigy#20", "groups", "the first group's rate and statistics are everybody's")
class ProdigyOfTheFirstGroup(Prodigy):
    def write(self, p, group, direction):
        super().write(p, self.param_groups[0], direction)


class LookSAM(Averaged):
    """A gradient of an earlier step is used again in the next ones; it is kept for each parameter."""

    def key(self, p, group):
        return p

    def gradient(self, p, group):
        old = self.state[self.key(p, group)].setdefault("old_grad", p.grad.clone())
        g = p.grad + 0.5 * old
        if self.state[p]["step"] % 3 == 0:
            old.copy_(p.grad)
        return g


@told("pytorch_optimizer#465", "grouping", "what is kept is kept under a parameter's number in its group")
class LookSAMByNumber(LookSAM):
    def key(self, p, group):
        return f"old_grad_{next(i for i, q in enumerate(group['params']) if q is p)}"


class Adagrad(Averaged):
    """Its sums are made when a parameter is first seen."""

    def gradient(self, p, group):
        total = self.total(p)
        total.add_(p.grad.abs())
        return p.grad / (1 + total)

    def total(self, p):
        return self.state[p].setdefault("total", torch.zeros_like(p))


@told("pytorch#53712", "add_group", "sums are made in __init__, for the parameters of that time")
class AdagradMadeAtFirst(Adagrad):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].update(self.fresh(p), total=torch.zeros_like(p))

    def total(self, p):
        return self.state[p]["total"]


# -------------------------------------------------------------------------------- complex parameters


class ComplexAdam(Averaged):
    """The second moment of a complex gradient is real: of its length."""

    def length(self, g):
        return (g * g.conj()).real if g.is_complex() else g * g

    @torch.no_grad()
    def one(self, p, group):
        state = self.state[p]
        if not state:
            state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(self.length(p)))
        state["step"] += 1
        t, g, (a, b) = state["step"], self.gradient(p, group), group["betas"]
        state["m"].mul_(a).add_(g, alpha=1 - a)
        state["v"].mul_(b).add_(self.length(g), alpha=1 - b)
        self.decay(p, group)
        p.sub_(state["m"] / (1 - a**t) / ((state["v"] / (1 - b**t)).sqrt() + group["eps"]), alpha=group["lr"])


@told("pytorch#59998", "complex", "the second moment of a complex gradient is g · g, which turns")
class AdamOfComplexSquares(ComplexAdam):
    def length(self, g):
        return g * g


# ------------------------------------------------------------------------------------- checkpoints


class NarrowState(Averaged):
    """Moments in bfloat16 whatever the parameters are, and put back so when a checkpoint is loaded."""

    def zeros(self, p):
        return torch.zeros_like(p, dtype=torch.bfloat16)

    def one(self, p, group):
        state = self.state[p]
        if not state:
            state.update(self.fresh(p))
        state["step"] += 1
        t, g, (a, b) = state["step"], self.gradient(p, group), group["betas"]
        for name, new, beta in (("m", g, a), ("v", g.abs(), b)):
            state[name].copy_(state[name].to(p.dtype) * beta + new * (1 - beta))
        self.decay(p, group)
        m, v = (state[n].to(p.dtype) / (1 - beta**t) for n, beta in (("m", a), ("v", b)))
        self.write(p, group, self.direction(m, v, group["eps"]))

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state.update({name: state[name].bfloat16() for name in ("m", "v")})


@told("torchtitan#4615", "resume", "torch casts moments in bfloat16 to the float32 of their parameters on loading")
class NarrowStateWidened(NarrowState):
    load_state_dict = Optimizer.load_state_dict


class Wrapped(SoundWrapper):
    """A wrapper whose own weights are in its state_dict, with those of the wrapped one."""


@told(
    "pytorch_optimizer#363",
    "resume",
    "the wrapper's own weights are saved under parameters that the new object doesn't have",
)
class WrappedForgets(Wrapped):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self.slow = {}


@told("schedule_free#32", "switching", "what is saved after eval() is taken for the weights to train")
class SavedInEval(Switching):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["training"] = True


class Adaptive(Sound):
    """LARS: the rate times a trust, which is a setting of its own; copies have it."""

    def __init__(self, params, lr=1e-3, trust=0.5):
        super().__init__(params, lr)
        self.trust = trust

    def scale(self):
        return self.trust


@told("torchlars#5", "deepcopy", "__getstate__ leaves out what the class set itself")
class AdaptiveNotCopied(Adaptive):
    __getstate__ = Optimizer.__getstate__


# --------------------------------------------------------------------------------- closures and hooks


class Ranger(Averaged):
    """As torch promises: the closure is called with gradients on, its loss is returned."""


@told("Ranger#46", "closure", "the lines that call the closure are commented out")
class RangerWithoutClosure(Ranger):
    def step(self, closure=None):
        super().step()
        return None


class Lookahead(Optimizer):
    """Two weights of each parameter; made as torch wants optimizers to be made."""

    def __init__(self, params, lr=1e-3):
        self.begin(params, lr)

    def begin(self, params, lr):
        super().__init__(params, {"lr": lr})

    def __getstate__(self):
        return dict(self.__dict__)

    def step(self, closure=None):
        loss = loss_of(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        slow = self.state.setdefault(p, {}).setdefault("slow", p.clone())
                        p.sub_(group["lr"] * p.grad / (1 + p.grad.abs()))
                        p.copy_(slow.lerp_(p, 0.5))
        return loss


@told("pytorch_optimizer#122", "hooks", "torch.optim.Optimizer is derived from, and its __init__ never called")
class LookaheadNotMade(Lookahead):
    def begin(self, params, lr):
        params = list(params)
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        self.defaults, self.state = {"lr": lr}, {}
        self.param_groups = [{"lr": lr, **g} for g in groups]
