"""Faults in what is kept: over long gaps, in groups, in bfloat16, between weights to train and to be judged by, and in memory."""

from __future__ import annotations

import random

import numpy as np
import torch
from torch.optim import Optimizer

from .planted import fault
from .sound import Averaged, Limited, OwnStream, Periodic, Sound, Switching, WideState

# -------------------------------------------------------------------------- that show after a while


@fault("resume")
class SlowWeightsNotSaved(Periodic):
    """A checkpoint has all but the weights of 20 steps ago."""

    def state_dict(self):
        saved = super().state_dict()
        saved["state"] = {k: {n: v for n, v in s.items() if n != "slow"} for k, s in saved["state"].items()}
        return saved

    def write(self, p, group, direction):
        self.state[p].setdefault("slow", p.detach().clone())
        super().write(p, group, direction)


@fault("resume")
class PeriodNotSaved(Averaged):
    """Every 25 steps of this object it restarts its average."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.taken = 0

    def begin(self):
        self.taken += 1

    def gradient(self, p, group):
        if self.taken % 25 == 0:
            self.state[p]["m"].zero_()
        return super().gradient(p, group)


@fault("resume", "deepcopy", "pickle")
class SlowWeightsLostInCopies(Periodic):
    """The weights of 20 steps ago are kept by id."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.slow = {}

    def fresh(self, p):
        return Averaged.fresh(self, p)

    def write(self, p, group, direction):
        slow = self.slow.setdefault(id(p), p.detach().clone())
        Averaged.write(self, p, group, direction)
        if self.state[p]["step"] % self.every == 0:
            p.copy_(slow.lerp_(p, 0.5))


@fault("resume")
class DirectionNotSaved(Averaged):
    """A direction is drawn anew every 30 steps; in between it is only in the object."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.basis = {}

    def direction(self, m, v, eps):
        return super().direction(m, v, eps) * (1 + self.factor)

    def gradient(self, p, group):
        if self.state[p]["step"] % 30 == 1 or p not in self.basis:
            self.basis[p] = p.grad.abs().mean()
        self.factor = self.basis[p] / (1 + self.basis[p])
        return super().gradient(p, group)


# ------------------------------------------------------------------------------------------ groups


@fault("resume_groups")
class RestoresOneGroupForAll(Averaged):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["lr"] = self.param_groups[0]["lr"]


@fault("resume_groups")
class RatesOfConstruction(Averaged):
    """As AdaBound: factors on the rate that are made in __init__, and not saved."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.first = [group["lr"] for group in self.param_groups]

    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        if "first" in self.__dict__:
            self.first.append(self.param_groups[-1]["lr"])

    def write(self, p, group, direction):
        number = next(i for i, g in enumerate(self.param_groups) if g is group)
        super().write(p, group, direction / (1 + (group["lr"] / self.first[number] - 1) ** 2))


@fault("resume_groups")
class CountOfTheFirstGroup(Averaged):
    """The first group counts for all, and is thought to be the first again."""

    def one(self, p, group):
        first = self.param_groups[0]
        if p is first["params"][0]:
            first["t"] = first.get("t", 0) + 1
        super().one(p, group)

    def write(self, p, group, direction):
        super().write(p, group, direction / (1 + 0.1 * self.param_groups[0]["t"]))


@fault("resume_groups")
class SwapsOnLoading(Averaged):
    """State is handed out in the order of the parameters' sizes, of equal ones from behind."""

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        params = [p for group in self.param_groups for p in group["params"]]
        alike = [(p, q) for p in params for q in params if p is not q and p.shape == q.shape]
        for p, q in alike[:1]:
            self.state[p], self.state[q] = self.state[q], self.state[p]


# ---------------------------------------------------------------------------------------- bfloat16


@fault("resume_bf16")
class WideStateCast(WideState):
    """torch's own load_state_dict casts what is float32 to the parameter's bfloat16."""

    load_state_dict = Optimizer.load_state_dict


@fault("resume_bf16")
class ScalarCast(Averaged):
    """As torch's NAdam: a number of the state is a float32 tensor."""

    def fresh(self, p):
        return {**super().fresh(p), "product": torch.ones((), dtype=torch.promote_types(p.dtype, torch.float32))}

    def gradient(self, p, group):
        self.state[p]["product"].mul_(0.99)
        return super().gradient(p, group)


@fault("resume_bf16")
class HalfOfItPutBack(WideState):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for p in (p for group in self.param_groups for p in group["params"]):
            if p in self.state:
                self.state[p]["v"] = self.state[p]["v"].to(p.dtype)


# ---------------------------------------------------------------------------------- train and eval


@fault("switching")
class SwapsEachTime(Switching):
    def to(self, training):
        for group in self.param_groups:
            group["training"] = training
            for p in group["params"]:
                if self.state[p]:
                    with torch.no_grad():
                        self.swap(p)

    def train(self):
        if not self.param_groups[0]["training"]:
            self.to(True)


@fault("switching")
class ModeNotSaved(Switching):
    def state_dict(self):
        saved = super().state_dict()
        saved["param_groups"] = [{**group, "training": True} for group in saved["param_groups"]]
        return saved


@fault("switching")
class LosesTheWeights(Switching):
    """eval() overwrites what is trained."""

    def swap(self, p):
        p.copy_(self.state[p]["average"])


@fault("switching")
class AverageForgotten(Switching):
    """train() takes the average of what was judged."""

    def swap(self, p):
        super().swap(p)
        self.state[p]["average"] = self.state[p]["average"] * 0.5 + 0.5 * p


# ------------------------------------------------------------------------------------------- hooks


@fault("hooks")
class HookTooEarly(Averaged):
    """It calls the hooks itself, and goes on."""

    def step(self, closure=None):
        for hook in (*self._optimizer_step_pre_hooks.values(), *self._optimizer_step_post_hooks.values()):
            hook(self, (), {})
        return super().step(closure)

    step.hooked = True  # pyright: ignore[reportFunctionMemberAccess]  # so that torch leaves it as it is


# --------------------------------------------------------------------------------- random numbers


@fault("global_rng")
class DrawsNoise(Averaged):
    def gradient(self, p, group):
        return super().gradient(p, group) * (1 + 1e-2 * torch.randn(p.shape, dtype=torch.float64).to(p.dtype))


@fault("global_rng")
class DrawsAtFirst(Averaged):
    def zeros(self, p):
        return torch.zeros_like(p) + 0 * torch.rand(())


@fault("global_rng")
class SeedsForAll(Averaged):
    """As projections do that must be the same everywhere."""

    def gradient(self, p, group):
        torch.manual_seed(0)
        return super().gradient(p, group) * (1 + 1e-2 * torch.rand(p.shape, dtype=torch.float64).to(p.dtype))


@fault("global_rng")
class SeedsPythons(Averaged):
    def begin(self):
        random.seed(0)


@fault("global_rng")
class DrawsFromNumpy(Averaged):
    def begin(self):
        np.random.rand()


# ------------------------------------------------------------------------------------------ memory


@fault("leak")
class KeepsOneIn20(Averaged):
    def begin(self):
        self.t = getattr(self, "t", 0) + 1
        if self.t % 20 == 0:
            self.kept = [*getattr(self, "kept", []), torch.zeros(3)]


@fault("leak")
class GrowsATensor(Averaged):
    def begin(self):
        self.norms = torch.cat([getattr(self, "norms", torch.zeros(0)), torch.zeros(1)])


@fault("leak", "deepcopy")
class KeepsGraphs(Sound):
    """A loss that is added up with its history."""

    def begin(self):
        with torch.enable_grad():
            p = self.param_groups[0]["params"][0]
            self.total = getattr(self, "total", 0) + p.detach().sum().requires_grad_()


@fault("leak")
class NeverForgets(Limited):
    def begin(self):
        self.__dict__.setdefault("seen", []).append([object() for _ in range(8)])


@fault("deepcopy", "pickle", "resume")
class StreamNotSaved(OwnStream):
    """A generator of its own that no copy has."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr)
        self.generators = {}

    def gradient(self, p, group):
        generator = self.generators.setdefault(id(p), torch.Generator().manual_seed(p.numel()))
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
        return p.grad * (1 + 1e-2 * noise)

    def __getstate__(self):
        return {k: v for k, v in self.__dict__.items() if k != "generators"} | {"generators": {}}
