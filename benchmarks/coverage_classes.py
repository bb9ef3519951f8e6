"""The classes that `coverage.py` surveys, and how each is made: by its signature, or as its documentation says."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import assay.optim
from assay.contenders.adapt import adapt
from assay.contenders.registry import LEARNING_RATE
from assay.core import Contender


def classes() -> Iterator[tuple[str, type]]:
    """(package, class): torch.optim, assay.optim and, where it is installed, pytorch-optimizer."""
    for cls in vars(torch.optim).values():
        if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer:
            yield "torch.optim", cls
    for name in assay.optim.__all__:
        if inspect.isclass(getattr(assay.optim, name)):
            yield "assay.optim", getattr(assay.optim, name)
    with contextlib.suppress(ImportError):
        import pytorch_optimizer  # type: ignore[import-not-found]  # optional: the survey's packages are not ours

        seen: set[type] = set()
        for name in sorted(vars(pytorch_optimizer), key=str.lower):
            cls = getattr(pytorch_optimizer, name)
            if (
                inspect.isclass(cls)
                and issubclass(cls, torch.optim.Optimizer)
                and cls.__module__.startswith("pytorch_optimizer")
                and cls.__name__ != "BaseOptimizer"
                and cls not in seen
            ):
                seen.add(cls)
                yield "pytorch-optimizer", cls


def contender_of(cls: type) -> Contender:
    """The class as a contender that tunes its learning rate. Raises what its construction raises."""
    factory = FACTORIES.get(cls.__name__)
    if cls is torch.optim.Muon:
        factory = _matrices_only
    closure = CLOSURES.get(cls.__name__) or ("yes" if "closure" in _required(cls) else "no")
    if factory is not None:
        return Contender(cls.__name__, factory(cls), {"lr": LEARNING_RATE}, closure=closure)  # type: ignore[arg-type]
    adam = adapt(torch.optim.Adam, "adam", space={"lr": LEARNING_RATE})
    made = adapt(cls, cls.__name__, baseline=adam)
    return Contender(made.name, made.make, made.space, made.fixed, closure=closure)  # type: ignore[arg-type]


def _required(cls: type) -> list[str]:
    parameters = inspect.signature(inspect.unwrap(cls.step)).parameters.values()  # type: ignore[attr-defined]
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)][1:]


def _by_shape(cls: type) -> Any:
    """Muon and its kin: matrices by the rule, the rest by its companion."""

    def make(model: nn.Module, run: Any, lr: float) -> Any:
        matrices = [p for p in model.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if p.ndim != 2]
        return cls([{"params": matrices, "use_muon": True}, {"params": others, "use_muon": False}], lr=lr)

    return make


def _matrices_only(cls: type) -> Any:
    return lambda model, run, lr: cls([p for p in model.parameters() if p.ndim == 2], lr=lr)


def _around_adam(cls: type) -> Any:
    return lambda model, run, lr: cls(torch.optim.Adam(model.parameters(), lr=lr))


class GradientFirst:
    """Calls the closure once before the step, as the users of these classes must."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups

    def step(self, closure: Callable[[], Any]) -> None:
        closure()
        self.optimizer.step(closure)


def _sharpness(cls: type) -> Any:
    return lambda model, run, lr: GradientFirst(cls(model.parameters(), torch.optim.SGD, lr=lr))


FACTORIES: dict[str, Any] = {
    **dict.fromkeys(("AdaGO", "AdaMuon", "DistributedMuon", "Muon", "MuonClip", "NorMuon"), _by_shape),
    **dict.fromkeys(
        ("Lookahead", "Magma", "OrthoGrad", "ScheduleFreeWrapper", "TRAC", "SafeFP16Optimizer"), _around_adam
    ),
    "SpectralSphere": _matrices_only,
    "Ranger21": lambda cls: lambda model, run, lr: cls(model.parameters(), lr=lr, num_iterations=run.total_steps),
    **dict.fromkeys(("SAM", "LookSAM", "FriendlySAM"), _sharpness),
    "WSAM": lambda cls: lambda model, run, lr: cls(model, model.parameters(), torch.optim.SGD, lr=lr),
    "BSAM": lambda cls: lambda model, run, lr: GradientFirst(cls(model.parameters(), num_data=200, lr=lr)),
}
CLOSURES = {
    **dict.fromkeys(("AliG", "LBFGS", "SAM", "LookSAM", "FriendlySAM", "WSAM", "BSAM"), "yes"),
    **dict.fromkeys(("AdaHessian", "SophiaH"), "graph"),
}
