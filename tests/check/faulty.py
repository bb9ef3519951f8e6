"""Small faulty optimizers, one fault each, and which checks must name it: those, and no others.

All but the disguises are `Sound` with one thing wrong.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable

import torch
from torch.optim import Optimizer

from .planted import FAULTS, fault
from .sound import Gathers, Lion, Sound, SoundWrapper, denominator, loss_of

# ------------------------------------------------------------------------------- learning rates


@fault("schedulers")
class RateReadOnce(Sound):
    def rate(self, group):
        return group.setdefault("first_lr", group["lr"])


@fault("schedulers")
class OverwritesRate(Sound):
    def rate(self, group):
        first = group.setdefault("first_lr", group["lr"])
        group["lr"] = first / (1 + self.steps_of(group))
        return group["lr"]


@fault("schedulers")
class ShrinksRate(Sound):
    def rate(self, group):
        group["lr"] *= 0.9
        return group["lr"]


@fault("schedulers")
class RateReachesDecayOnly(Sound):
    def rate(self, group):
        for p in group["params"]:
            if p.grad is not None:
                p.mul_(1 - 0.01 * group["lr"])
        return group.setdefault("first_lr", group["lr"])


@fault("schedulers")
class DividesByRate(Sound):
    def rate(self, group):
        return 1e-6 / group["lr"]


@fault("groups")
class FirstGroupsRate(Sound):
    def rate(self, group):
        return self.param_groups[0]["lr"]


@fault("groups")
class GathersAtTheFirstRate(Gathers):
    def rate(self, group):
        return self.param_groups[0]["lr"]


@fault("groups")
class LastGroupsRate(Sound):
    def rate(self, group):
        return self.param_groups[-1]["lr"]


# -------------------------------------------------------------------------------------- groups


@fault("grouping")
class NormOfFirstGroup(Sound):
    def scale(self):
        return 1 / (1 + denominator(self.param_groups[:1]))


@fault("order")
class NormOfFirstParameter(Sound):
    def scale(self):
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        return 1 / (1 + grads[0].norm()) if grads else 1.0


@fault("grouping", "add_group")
class LastGroupOnly(Sound):
    def groups(self):
        return self.param_groups[-1:]


@fault("add_group")
class ForgetsAddedGroups(Sound):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.known = len(self.param_groups)

    def groups(self):
        return self.param_groups[: self.known]


# --------------------------------------------------------------------------------------- state


@fault("resume")
class StepNotSaved(Sound):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.t = 0

    def count(self, state):
        return self.t

    def begin(self):
        self.t += 1


@fault("resume")
class StateOutsideState(Sound):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.own = {}

    def state_of(self, p):
        return self.own.setdefault(p, {})


@fault("resume")
class AverageNotSaved(Sound):
    def state_dict(self):
        saved = super().state_dict()
        saved["state"] = {k: {n: v for n, v in s.items() if n != "average"} for k, s in saved["state"].items()}
        return saved


@fault("resume", "resume_groups")
class RateNotRestored(Sound):
    def load_state_dict(self, state_dict):
        rates = [group["lr"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, lr in zip(self.param_groups, rates, strict=True):
            group["lr"] = lr


@fault("resume")
class LookaheadForgets(SoundWrapper):
    def state_dict(self):
        return self.base.state_dict()

    def load_state_dict(self, state_dict):
        self.base.load_state_dict(state_dict)


@fault("deepcopy", "pickle")
class AttributeLostInCopies(Sound):
    __getstate__ = Optimizer.__getstate__

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.sharpness = 1.0

    def scale(self):
        return self.sharpness


@fault("deepcopy")
class CopyIsItself(Sound):
    def __deepcopy__(self, memo):
        return self


@fault("pickle")
class HoldsLambda(Sound):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.rule = lambda x: x


@fault("hooks")
class StepReplaced(Sound):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.step = self.quick_step

    def quick_step(self, closure=None):
        return self.take(closure)


@fault("hooks", "resume", "deepcopy", "pickle", "add_group", "clears_grads")
class NoSuperInit(Sound):
    __getstate__ = Optimizer.__getstate__

    def __init__(self, params, lr=1e-3):
        params = list(params)
        groups = params if isinstance(params[0], dict) else [{"params": params}]
        self.param_groups = [{"lr": lr, **g} for g in groups]
        self.state = {}  # pyright: ignore[reportAttributeAccessIssue]

    def state_of(self, p):
        return self.state.setdefault(p, {})

    def step(self, closure=None):
        return self.take(closure)


@fault("deterministic")
class SharedBetweenInstances(Sound):
    shared = {"t": 0}

    def begin(self):
        self.shared["t"] += 1

    def count(self, state):
        return self.shared["t"]


# ----------------------------------------------------------------------------------- gradients


@fault("grads_intact")
class GradientChanged(Sound):
    def gradient(self, p, group):
        return p.grad.clamp_(-0.1, 0.1)


@fault("grads_intact")
class DecayIntoGradient(Sound):
    def __init__(self, params, lr=1e-3, weight_decay=0.0):
        super().__init__(params, lr)
        for group in self.param_groups:
            group.setdefault("weight_decay", weight_decay)
        self.defaults["weight_decay"] = weight_decay

    def gradient(self, p, group):
        return p.grad.add_(p, alpha=group["weight_decay"]) if group["weight_decay"] else p.grad


@fault("grads_intact")
class RemovesGradients(Sound):
    def gradient(self, p, group):
        g, p.grad = p.grad, None
        return g


@fault("none_grad")
class CrashesOnNone(Sound):
    def gradient(self, p, group):
        return p.grad.detach()

    skips_none = False


@fault("none_grad")
class MovesWithoutGradient(Sound):
    skips_none = False

    def gradient(self, p, group):
        return torch.ones_like(p) if p.grad is None else p.grad


@fault("none_grad")
class MovesOnWithoutGradient(Sound):
    skips_none = False

    def gradient(self, p, group):
        return torch.zeros_like(p) if p.grad is None else p.grad


@fault("none_grad")
class NormOfNothing(Sound):
    def scale(self):
        grads = [p.grad.norm() for group in self.param_groups for p in group["params"] if p.grad is not None]
        return 1 / (1 + torch.stack(grads).norm())


@fault("zero_grad")
class DividesByNorm(Sound):
    def gradient(self, p, group):
        return p.grad / p.grad.norm()


@fault("nan_grad")
class RaisesOnNaN(Sound):
    def scale(self):
        grads = [p.grad.isfinite().all() for group in self.param_groups for p in group["params"] if p.grad is not None]
        if grads and not torch.stack(grads).all():
            raise RuntimeError("a gradient is not finite")
        return 1.0


@fault("huge_grad", "complex")
class Overflows(Sound):
    def gradient(self, p, group):
        up, down = p.grad.exp(), (-p.grad).exp()
        return (up - down) / (up + down)


# ------------------------------------------------------------------------------------- closures


@fault("closure")
class LossDropped(Sound):
    def step(self, closure=None):
        self.take(closure)


@fault("closure")
class ClosureWithoutGradients(Sound):
    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        self.take()
        return loss


@fault("closure")
class ClosureNeverCalled(Sound):
    def step(self, closure=None):
        self.take()
        return 0.0


@fault("closure")
class ClosureAfterTheStep(Sound):
    def step(self, closure=None):
        self.take()
        if closure is not None:
            with torch.enable_grad():
                return closure()
        return None


# -------------------------------------------------------------------------- tensors of other kinds


@fault("float64", "resume_bf16")
class Float32State(Sound):
    def zeros(self, p):
        return torch.zeros(p.shape, dtype=torch.float32)


@fault("bf16")
class NoKernelForBf16(Sound):
    def gradient(self, p, group):
        return p.grad / (1 + torch.linalg.qr(p.grad.reshape(1, -1)).R.abs().max())


@fault("noncontiguous")
class NeedsContiguous(Sound):
    def gradient(self, p, group):
        return p.grad.view(-1).view(p.shape)


@fault("zero_dim")
class NeedsRows(Sound):
    def gradient(self, p, group):
        return p.grad / p.grad.shape[0]


# --------------------------------------------------------------------------------- over many steps


@fault("leak")
class KeepsGradients(Sound):
    def gradient(self, p, group):
        self.history = [*getattr(self, "history", []), p.grad.clone()]
        return p.grad


@fault("leak")
class KeepsNumbers(Sound):
    def begin(self):
        self.__dict__.setdefault("log", []).append(time.perf_counter())


@fault("deterministic")
class OwnRandomness(Sound):
    def scale(self):
        return random.SystemRandom().uniform(0.5, 1.5)


@fault("quiet")
class Prints(Sound):
    def begin(self):
        print("stepping!")


@fault("descends")
class Climbs(Sound):
    def scale(self):
        return -1.0


# --------------------------------------------------------------------------- that hardly get going


@fault("steps")
class NeverMoves(Sound):
    def scale(self):
        return 0.0


@fault("steps")
class MovesFirstOnly(Sound):
    def groups(self):
        return [{**group, "params": group["params"][:1]} for group in self.param_groups]


@fault("steps")
class CountsFromZero(Sound):
    def count(self, state):
        return state["step"] - 1


@fault("steps")
class Exits(Sound):
    def begin(self):
        sys.exit(3)


@fault("steps")
class Crashes(Sound):
    def begin(self):
        os.abort()


@fault("steps")
class Hangs(Sound):
    def begin(self):
        while True:
            time.sleep(0.01)


@fault("made")
class ExitsWhenMade(Sound):
    def __init__(self, params, lr=1e-3):
        sys.exit("no")


@fault("made")
def returns_nothing(model, lr):
    Sound(model.parameters(), lr=lr)


# ------------------------------------------------------------------------------------- disguises


def _disguise(name: str, base: Callable[..., Optimizer], factor: float, **settings):
    """An optimizer that says nothing of what it is: no settings in its groups, no base class of its own."""

    class Disguised(Optimizer):
        def __init__(self, params, lr=1e-3):
            super().__init__(params, {"lr": lr})
            self.inner = None

        def __getstate__(self):
            return dict(self.__dict__)

        def step(self, closure=None):
            loss = loss_of(closure)
            if self.inner is None:
                self.inner = base([p for g in self.param_groups for p in g["params"]], lr=1.0, **settings)
                self.inner.param_groups = [
                    dict(self.inner.param_groups[0], params=g["params"]) for g in self.param_groups
                ]
                self.inner.state = self.state
            while len(self.inner.param_groups) < len(self.param_groups):
                new = self.param_groups[len(self.inner.param_groups)]
                self.inner.param_groups.append(dict(self.inner.param_groups[0], params=new["params"]))
            for own, group in zip(self.inner.param_groups, self.param_groups, strict=True):
                own["lr"], own["params"] = factor * group["lr"], group["params"]
            self.inner.state = self.state
            self.inner.step()
            return loss

    Disguised.__name__ = Disguised.__qualname__ = name
    Disguised.__module__ = __name__
    FAULTS[name] = Disguised, {"identity"}
    globals()[name] = Disguised


class SignDescent(Optimizer):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad.sign() * group["lr"])


class PlainAdam(Optimizer):
    """Adam as it is written in an afternoon: without bias correction, or with the second moment's alone."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, half=False, inside=False):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "half": half, "inside": inside})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            a, b = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                state["m"] = a * state["m"] + (1 - a) * p.grad
                state["v"] = b * state["v"] + (1 - b) * p.grad * p.grad.conj()
                m, v = state["m"], state["v"]
                if group["half"] or group["inside"]:
                    v = v / (1 - b ** state["t"])
                if group["inside"]:
                    m = m / (1 - a ** state["t"])
                p -= group["lr"] * m / (torch.sqrt(v + group["eps"]) if group["inside"] else v.sqrt() + group["eps"])


_disguise("DisguisedAdam", torch.optim.Adam, 0.86)
_disguise("DisguisedFastAdam", torch.optim.Adam, 3.0, betas=(0.8, 0.95), eps=1e-6)
_disguise("DisguisedSGD", torch.optim.SGD, 0.01)
_disguise("DisguisedMomentum", torch.optim.SGD, 0.3, momentum=0.85)
_disguise("DisguisedAverage", torch.optim.SGD, 2.0, momentum=0.95, dampening=0.95)
_disguise("DisguisedRMSprop", torch.optim.RMSprop, 17.0)
_disguise("DisguisedSign", SignDescent, 0.1)
_disguise("DisguisedAdagrad", torch.optim.Adagrad, 0.5)
_disguise("DisguisedTiny", torch.optim.Adam, 1e-7)
_disguise("DisguisedLion", Lion, 0.3)
_disguise("DisguisedAccumulator", torch.optim.Adagrad, 0.5, initial_accumulator_value=0.2)
_disguise("DisguisedAdamWOfOtherBetas", torch.optim.AdamW, 1.0, betas=(0.95, 0.98), weight_decay=0.05)
_disguise("DisguisedWithoutCorrection", PlainAdam, 2.0)
_disguise("DisguisedWithHalfACorrection", PlainAdam, 1.0, half=True)
_disguise("DisguisedEpsInside", PlainAdam, 1.0, inside=True, eps=1e-6)


@fault("identity")
class MomentumThatGrows(Optimizer):
    """Heavy ball, its momentum 0.5 at first and 0.95 at last."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = loss_of(closure)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    t = state["step"] = state.get("step", 0) + 1
                    buffer = state.setdefault("buffer", torch.zeros_like(p))
                    buffer.mul_(0.95 - 0.45 / t**0.5).add_(p.grad)
                    p.sub_(buffer, alpha=group["lr"])
        return loss


@fault("identity")
class DisguisedAdamW(torch.optim.AdamW):
    """Its decay is hard-coded, and in no group."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)

    def step(self, closure=None):
        loss = loss_of(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.mul_(1 - 0.03 * group["lr"])
        super().step()
        return loss


@fault("identity", "schedulers", "effects")
class DyadicSign(Sound):
    """Sign descent whatever the rate, in steps of a power of two: its numbers would fit into float32."""

    def take(self, closure=None):
        loss = loss_of(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(p.grad.sign(), alpha=2.0**-7)
        return loss


@fault("identity", "complex")
class AdamOffByOne(Optimizer):
    """Adam whose bias correction counts one step too many."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        loss = loss_of(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._one(p, group["lr"], self.state[p])
        return loss

    def _one(self, p, lr, state):
        if not state:
            state.update(step=1, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["step"] += 1
        state["m"].lerp_(p.grad, 0.1)
        state["v"].mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
        m, v = state["m"] / (1 - 0.9 ** state["step"]), state["v"] / (1 - 0.999 ** state["step"])
        p.sub_(lr * m / (v.sqrt() + 1e-8))
