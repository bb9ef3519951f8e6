"""Faults in settings: declared ones that do nothing, ones that hold for the wrong group, and a second implementation that
does something else. Each is a sound optimizer with one thing wrong.
"""

from __future__ import annotations

import torch

from .planted import fault
from .sound import Averaged, Differentiable, Foreach, Sound

# ------------------------------------------------------------------------------ without any effect


@fault("effects")
class DecayForgotten(Averaged):
    def decay(self, p, group):
        pass


@fault("effects")
class EpsForgotten(Averaged):
    def direction(self, m, v, eps):
        return m / (v + 1e-3)


@fault("effects")
class SecondBetaForgotten(Averaged):
    def setting(self, group, name):
        return (group["betas"][0], 0.99) if name == "betas" else group[name]


@fault("effects")
class FirstBetaForgotten(Averaged):
    def setting(self, group, name):
        return (0.9, group["betas"][1]) if name == "betas" else group[name]


@fault("effects")
class MaximizeForgotten(Averaged):
    def gradient(self, p, group):
        return p.grad


@fault("effects", "schedulers")
class RateForgotten(Averaged):
    def setting(self, group, name):
        return 1e-3 if name == "lr" else group[name]


@fault("effects")
class DecayOfNothing(Averaged):
    """It decays a copy."""

    def decay(self, p, group):
        p.detach().clone().mul_(1 - group["lr"] * group["weight_decay"])


@fault("effects")
class EpsUnderASign(Averaged):
    """As EmoFact of pytorch_optimizer 4.1.0: what is divided by loses to a sign."""

    def direction(self, m, v, eps):
        return torch.sgn(m / (v + eps))

    def setting(self, group, name):
        return group[name]


@fault("effects")
class MomentumForgotten(Sound):
    def __init__(self, params, lr=1e-3, momentum=0.5):
        super().__init__(params, lr)


@fault("effects")
class NesterovForgotten(Sound):
    def __init__(self, params, lr=1e-3, momentum=0.5, nesterov=False):
        super().__init__(params, lr)
        self.momentum = momentum

    def gradient(self, p, group):
        return p.grad * (1 + self.momentum)


# ----------------------------------------------------------------------- that hold for other groups


@fault("group_settings")
class DecayOfTheFirstGroup(Averaged):
    def decay(self, p, group):
        super().decay(p, {**group, "weight_decay": self.param_groups[0]["weight_decay"]})


@fault("group_settings")
class DecayOfTheLastGroup(Averaged):
    def decay(self, p, group):
        super().decay(p, {**group, "weight_decay": self.param_groups[-1]["weight_decay"]})


@fault("group_settings")
class DecayOfTheDefaults(Averaged):
    def decay(self, p, group):
        super().decay(p, {**group, "weight_decay": self.defaults["weight_decay"]})


@fault("group_settings")
class BetasOfTheFirstGroup(Averaged):
    """As Prodigy and D-Adaptation read theirs."""

    def setting(self, group, name):
        return self.param_groups[0]["betas"] if name == "betas" else group[name]


@fault("group_settings")
class EpsOfTheDefaults(Averaged):
    def setting(self, group, name):
        return self.defaults["eps"] if name == "eps" else group[name]


@fault("group_settings")
class MaximizeOfTheFirstGroup(Averaged):
    def setting(self, group, name):
        return self.param_groups[0]["maximize"] if name == "maximize" else group[name]


@fault("group_settings")
class BetasKeptByItself(Averaged):
    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-3, weight_decay=0.0, maximize=False):
        super().__init__(params, lr, betas, eps, weight_decay, maximize)
        self.betas = betas

    def setting(self, group, name):
        return self.betas if name == "betas" else group[name]


# ----------------------------------------------------------------------------- a second way to step


@fault("implementations")
class ForeachWithoutDecay(Foreach):
    def shrink(self, params, group):
        pass


@fault("implementations")
class ForeachWithoutMaximize(Foreach):
    def signed(self, params, group):
        return [p.grad for p in params]


@fault("implementations")
class ForeachAtOneCount(Foreach):
    """Right while all parameters began together; here one begins later."""

    def counted(self, states, i):
        return states[i]["step"] + (len(states) > 2)


@fault("implementations")
class ForeachDecaysLate(Foreach):
    def all(self, params, group):
        self.shrink, shrink = (lambda params, group: None), self.shrink
        super().all(params, group)
        self.shrink = shrink
        self.shrink(params, group)


@fault("implementations")
class ForeachOfTheFirstOnly(Foreach):
    def chosen(self, group):
        return super().chosen(group)[:2]


@fault("implementations")
class ForeachEpsInside(Foreach):
    def all(self, params, group):
        super().all(params, {**group, "eps": 2 * group["eps"]})


@fault("differentiable")
class UnderNoGrad(Differentiable):
    @torch.no_grad()
    def one(self, p, group):
        super().one(p, group)


@fault("differentiable")
class DetachesItsAverage(Differentiable):
    def average(self, old, new, weight):
        return super().average(old, new, weight).detach()


@fault("differentiable")
class ForgetsTheSecondAverage(Differentiable):
    def direction(self, m, v, eps):
        return m / (v.detach() + eps)


# ---------------------------------------------------------------------------------- gradients left


@fault("clears_grads")
class ClearsWithoutChoice(Averaged):
    def zero_grad(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        super().zero_grad()


@fault("clears_grads")
class AlwaysZeros(Averaged):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none=False)


@fault("clears_grads")
class AlwaysNone(Averaged):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none=True)


@fault("clears_grads")
class ClearsTheFirstOnly(Averaged):
    def zero_grad(self, set_to_none=True):
        p = self.param_groups[0]["params"][0]
        p.grad = None if set_to_none else torch.zeros_like(p)


@fault("none_grad")
class DecaysWithoutGradient(Averaged):
    """As KellerJordan/Muon did."""

    def begin(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    self.decay(p, group)


@fault("none_grad")
class DecaysAllAtOnce(Averaged):
    def begin(self):
        for group in self.param_groups:
            torch._foreach_mul_(group["params"], 1 - group["lr"] * group["weight_decay"])

    def decay(self, p, group):
        pass
