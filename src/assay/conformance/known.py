"""What a new optimizer may turn out to be: all registered ones, sign descent, Lion, variants of momentum, edits of Adam."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Optimizer

from assay.conformance.lab import groups_of
from assay.contenders import CONTENDERS, load

Settings = dict[str, float]


class Signum(Optimizer):
    """Sign descent, θ ← θ − lr · sign(m), m ← β m + (1 − β) g (Bernstein et al. 2018, arXiv:1802.04434)."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step on the gradients there are."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.mul_(group["momentum"]).add_(p.grad, alpha=1 - group["momentum"])
                p.sub_(average.sign(), alpha=group["lr"])


class Lion(Optimizer):
    """θ ← θ − lr · (sign(β₁ m + (1 − β₁) g) + λ θ), m ← β₂ m + (1 − β₂) g (Chen et al. 2023, arXiv:2302.06675)."""

    def __init__(
        self, params: Any, lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step on the gradients there are."""
        for group in self.param_groups:
            (first, second), lr = group["betas"], group["lr"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                p.mul_(1 - lr * group["weight_decay"]).sub_(average.lerp(p.grad, 1 - first).sign(), alpha=lr)
                average.lerp_(p.grad, 1 - second)


class EditedAdam(Optimizer):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980) as it is also written.

    `corrected`: the moments whose bias is corrected, of "first" and "second"; `eps_inside`: √(v + ε), not √v + ε. Weight decay
    is decoupled, and by lr.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        corrected: tuple[str, ...] = (),
        eps_inside: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self.corrected, self.eps_inside = corrected, eps_inside

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step on the gradients there are."""
        for group in self.param_groups:
            (a, b), lr, eps = group["betas"], group["lr"], group["eps"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["step"] += 1
                m, v = state["m"].lerp_(p.grad, 1 - a), state["v"].mul_(b).addcmul_(p.grad, p.grad, value=1 - b)
                m = m / (1 - a ** state["step"]) if "first" in self.corrected else m
                v = v / (1 - b ** state["step"]) if "second" in self.corrected else v
                below = (v + eps).sqrt() if self.eps_inside else v.sqrt() + eps
                p.mul_(1 - lr * group["weight_decay"]).sub_(m / below, alpha=lr)


EDITS: Mapping[str, Mapping[str, Any]] = {
    "adam with bias correction left out": {},
    "adam with the first moment's bias correction left out": {"corrected": ("second",)},
    "adam with the second moment's bias correction left out": {"corrected": ("first",)},
    "adam with eps inside the root": {"corrected": ("first", "second"), "eps_inside": True},
    "adam with bias correction left out and eps inside the root": {"eps_inside": True},
}
"""Edits of Adam that have been published under names of their own, or slipped in."""


@dataclass(frozen=True)
class Known:
    """An optimizer by name: its class, what is fixed, and which settings are fitted (a start for each).

    `text` is how an example makes it; `decays`: weight decay, which most leave at 0 or name in their groups, is fitted
    too where all else comes near.
    """

    name: str
    kind: Callable[..., Optimizer]
    text: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    fitted: Mapping[str, float] = field(default_factory=dict)
    decays: bool = False

    def arguments(self, lr: float, settings: Settings) -> dict[str, Any]:
        """All that its class is given beside the parameters: `beta1` and `beta2` become `betas`."""
        given: dict[str, Any] = {"lr": lr, **self.fixed, **settings}
        if "beta1" in given:
            given["betas"] = (given.pop("beta1"), given.pop("beta2"))
        return given


class Walk:
    """A known optimizer on its way from `start`, fed gradients or minimising a loss."""

    def __init__(self, candidate: Known, start: Sequence[Tensor], lr: float, settings: Settings) -> None:
        self.start, self.params = start, [Parameter(s.clone()) for s in start]
        self.optimizer = candidate.kind(self.params, **candidate.arguments(lr, settings))

    def feed(self, row: Sequence[Tensor]) -> None:
        """One step on these gradients."""
        for p, g in zip(self.params, row, strict=True):
            p.grad = g.clone()
        self.optimizer.step()

    def minimise(self, loss: Callable[[Sequence[Tensor]], Tensor]) -> None:
        """One step on the gradients of a loss."""
        self.feed(torch.autograd.grad(loss(self.params), self.params))

    def moved(self) -> list[Tensor]:
        """How far each parameter is from its start."""
        return [p.detach() - s for p, s in zip(self.params, self.start, strict=True)]


# Of settings not named here (maximize, foreach, …) none makes another rule of it.
_FITTED = (
    "momentum", "alpha", "rho", "eps", "lr_decay", "momentum_decay", "power", "dampening", "initial_accumulator_value",
)  # fmt: skip
_UNFITTED = {"sgd": ("momentum", "dampening"), "asgd": ("alpha",), "adafactor": ("eps",)}
_LONGEST = math.log(1e-6)  # an average over more steps than a million is a sum, another rule
_DECAYING = ("sgd", "sgd-momentum", "adamw")
_FIRST = ("sgd", "sgd-momentum", "sgd-nesterov", "sign-sgd", "signum", "adam", "rmsprop")  # of two, the simpler one


def known() -> list[Known]:
    """All of them, the simpler before the more general."""
    found = [
        Known("sign-sgd", Signum, "assay.conformance.known.Signum"),
        Known("signum", Signum, "assay.conformance.known.Signum", fitted={"momentum": 0.9}),
        Known("lion", Lion, "assay.conformance.known.Lion", fitted={"beta1": 0.9, "beta2": 0.99}, decays=True),
        Known("sgd-nesterov", SGD, "torch.optim.SGD", {"nesterov": True}, {"momentum": 0.9}),
    ]
    for name, entry in CONTENDERS.items():
        kind = load(entry.reference)
        fitted = {k: entry.fixed.get(k, v) for k, v in _starts(kind).items() if k not in _UNFITTED.get(name, ())}
        fixed = {k: v for k, v in entry.fixed.items() if k not in fitted}
        found.append(Known(name, kind, entry.reference.replace(":", "."), fixed, fitted, name in _DECAYING))
    betas = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    edited = "assay.conformance.known.EditedAdam"
    found += [Known(name, EditedAdam, edited, fixed, betas, decays=True) for name, fixed in EDITS.items()]
    return sorted(found, key=lambda k: _FIRST.index(k.name) if k.name in _FIRST else len(_FIRST))


def _starts(kind: Callable[..., Any]) -> Settings:
    starts: Settings = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name == "betas":
            starts["beta1"], starts["beta2"] = parameter.default
        elif name in _FITTED and isinstance(parameter.default, int | float):
            starts[name] = float(parameter.default)
    return starts


def hinted(candidate: Known, optimizer: Any) -> Settings:
    """Settings of the same names in a contender's groups, as a first guess."""
    hints: Settings = {}
    accepted = inspect.signature(candidate.kind).parameters
    for name, value in (groups_of(optimizer) or [{}])[0].items():
        if name == "betas" and "betas" in accepted and isinstance(value, tuple | list) and len(value) == 2:
            hints["beta1"], hints["beta2"] = (float(v) for v in value)
        elif name in {*candidate.fitted, "weight_decay"} and name in accepted and isinstance(value, int | float):
            hints[name] = float(value)
    return hints


_DIRECT = {"power": -math.inf, "lr_decay": 0.0, "momentum_decay": 0.0}  # the least of settings that are as they are
_SMALLEST = {
    "eps": 1e-30,
    "weight_decay": 1e-12,
    "initial_accumulator_value": 1e-30,
}  # of settings that are sought by their logarithms


def to_line(name: str, value: float) -> float:
    """A setting as an unbounded number: decay rates by log(1 − β), eps by its logarithm."""
    if name in _DIRECT:
        return value
    return math.log(max(value, _SMALLEST[name]) if name in _SMALLEST else max(1 - value, 1e-12))


def from_line(name: str, place: float) -> float:
    """The inverse of `to_line`, cut to where the setting is allowed."""
    if name in _DIRECT:
        return max(place, _DIRECT[name])
    if name in _SMALLEST:
        return math.exp(min(max(place, -69.0), 3.0))
    if name == "dampening":
        return 1 - math.exp(min(place, 3.0))
    return 1 - math.exp(min(max(place, _LONGEST), 0.0))
