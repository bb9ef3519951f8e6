"""Faults that parameters of other kinds show: views, complex ones, bfloat16, other layouts, none with a gradient."""

from __future__ import annotations

import torch

from .planted import fault
from .sound import Averaged, ByParts, Foreach, ThroughData

# ------------------------------------------------------------------------------------------- views


@fault("views")
class NewTensorEachStep(Averaged):
    def write(self, p, group, direction):
        p.data = p.data - group["lr"] * direction


@fault("views")
class NewTensorOnce(ThroughData):
    """It makes room of its own at the first step, for alignment."""

    def fresh(self, p):
        p.data = p.data.clone()
        return super().fresh(p)


@fault("views")
class NewTensorNowAndThen(Averaged):
    def write(self, p, group, direction):
        super().write(p, group, direction)
        if self.state[p]["step"] % 20 == 0:
            p.data = p.data.clone()


@fault("views")
class WholeStorage(Averaged):
    """It decays all that lies in the parameter's memory."""

    def write(self, p, group, direction):
        super().write(p, group, direction)
        size = p.untyped_storage().nbytes() // p.element_size()
        whole = torch.as_strided(p.detach(), (size,), (1,), 0)
        whole.mul_(1 - 1e-3 * group["lr"])


@fault("views", "noncontiguous")
class AsIfItBeganAtZero(Averaged):
    def write(self, p, group, direction):
        torch.as_strided(p.detach(), (p.numel(),), (1,), 0).sub_(direction.flatten(), alpha=group["lr"])


# ----------------------------------------------------------------------------------------- complex


@fault("complex")
class SquaresWithoutConjugate(Averaged):
    def one(self, p, group):
        state = self.state[p]
        if not state:
            state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        state["step"] += 1
        t, g, (a, b) = state["step"], self.gradient(p, group), group["betas"]
        state["m"].mul_(a).add_(g, alpha=1 - a)
        state["v"].mul_(b).add_((g * g) / (1 + g.abs()), alpha=1 - b)
        self.decay(p, group)
        self.write(p, group, state["m"] / (1 - a**t) / (state["v"] / (1 - b**t) + group["eps"]))


@fault("complex")
class RealPartsOnly(Averaged):
    def direction(self, m, v, eps):
        way = super().direction(m, v, eps)
        return torch.complex(way.real, torch.zeros_like(way.real)) if way.is_complex() else way


@fault("complex")
class WithoutConjugate(Averaged):
    """It steps along a product of a matrix and its transposed one, which of complex ones isn't the adjoint."""

    def direction(self, m, v, eps):
        way = super().direction(m, v, eps)
        return way + (way @ way.T) @ way / (1 + way.abs().square().sum()) if way.dim() == 2 else way


@fault("complex")
class ImaginaryTwice(ByParts):
    def one(self, p, group):
        super().one(p, group)
        if p.is_complex():
            p.imag.mul_(1 - 1e-2 * group["lr"])


# -------------------------------------------------------------------------------- layouts and sizes


@fault("noncontiguous")
class FlattensByStride(Averaged):
    """It takes elements as they lie in memory."""

    def direction(self, m, v, eps):
        way = super().direction(m, v, eps)
        return torch.cumsum(torch.as_strided(way, (way.numel(),), (1,)), 0).view(way.shape) / way.numel()


@fault("zero_dim")
class FirstOfEach(Averaged):
    def gradient(self, p, group):
        return super().gradient(p, group) / (1 + p.grad[0].abs().max())


@fault("zero_dim")
class LeavesScalarsAlone(Averaged):
    def write(self, p, group, direction):
        if p.dim():
            super().write(p, group, direction)


@fault("bf16")
class StuckInBf16(Averaged):
    """Its weights lose what is smaller than they are: they are rounded down."""

    def write(self, p, group, direction):
        if p.dtype == torch.bfloat16:
            direction = torch.zeros_like(direction)
        super().write(p, group, direction)


@fault("float64")
class StepsInFloat32(Averaged):
    def write(self, p, group, direction):
        p.copy_((p.float() - group["lr"] * direction.float()).to(p.dtype) if not p.is_complex() else p - direction)


@fault("huge_grad")
class FourthPowers(Averaged):
    def direction(self, m, v, eps):
        return m * v.square() ** 2 / (v.square() ** 2 * v + eps)


@fault("nan_grad")
class AssertsNumbers(Foreach):
    def begin(self):
        for group in self.param_groups:
            for p in group["params"]:
                assert p.grad is None or not p.grad.isnan().any(), "NaN"


@fault("zero_grad")
class NormalisesZeros(Averaged):
    def gradient(self, p, group):
        return super().gradient(p, group) / p.grad.abs().mean()


@fault("add_group", "none_grad")
class StateMadeAtOnce(Averaged):
    """Made for what has a gradient at the first step, and for no other later."""

    def begin(self):
        if not getattr(self, "begun", False):
            self.begun = {p for group in self.param_groups for p in group["params"] if p.grad is not None}

    def one(self, p, group):
        if p in self.begun:
            super().one(p, group)
