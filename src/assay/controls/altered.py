"""The baseline with another length of step: what the controls *sabotage* and *schedule replay* train.

Wrappers around an optimizer as it is; they read the parameters before and after its step and change nothing else of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from assay.contenders.interface import needs_closure
from assay.core import Contender, Run

KEPT = 0.1  # of the steps that the sabotaged baseline takes


class Altered:
    """An optimizer whose every update Δ = θ′ − θ becomes f·Δ: θ + f·Δ is where the parameters end.

    `table` (steps,): what f is made of at each step; past its end its last entry stands.
    """

    def __init__(self, base: Any, parameters: list[Tensor], table: Tensor) -> None:
        self.base, self.parameters, self.table = base, parameters, table.to(parameters[0])
        if hasattr(base, "param_groups"):
            self.param_groups = base.param_groups
        whole = {
            "dtype": torch.int64,
            "device": parameters[0].device,
        }  # tensors, which engines needn't take for constants
        self.place, self.last = torch.tensor(0, **whole), torch.tensor(len(table) - 1, **whole)

    def step(self) -> Any:
        """One step of the base, altered."""
        return self._altered(self.base.step)

    def factor(self, moved: list[Tensor], entry: Tensor) -> Tensor:
        """f, 0-dimensional, for the updates of this step and its entry in the table."""
        raise NotImplementedError

    def _altered(self, step: Callable[[], Any]) -> Any:
        before = [p.detach().clone() for p in self.parameters]
        result = step()
        with torch.no_grad():
            moved = [p - b for p, b in zip(self.parameters, before, strict=True)]
            factor = self.factor(moved, self.table.index_select(0, self.place.reshape(1)).reshape(()))
            for p, b, d in zip(self.parameters, before, moved, strict=True):
                p.copy_(b + factor * d)
            self.place.copy_(torch.minimum(self.place + 1, self.last))
        return result

    def __getattr__(self, name: str) -> Any:
        """What else the base can do: `train` and `eval`, for one that keeps two sets of weights."""
        if name.startswith("__") or "base" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.base, name)


class Halted(Altered):
    """Takes the first tenth of its steps, then stands still."""

    def __init__(self, base: Any, parameters: list[Tensor], total: int) -> None:
        super().__init__(base, parameters, torch.arange(total) < max(1, round(KEPT * total)))

    def factor(self, moved: list[Tensor], entry: Tensor) -> Tensor:
        """1, and then 0."""
        return entry


class Replayed(Altered):
    """Keeps the direction of each update and takes its length from a table: `multiplier` × lengths[step].

    Grafting (Agarwal et al. 2020, "Disentangling Adaptive Gradient Methods from Learning Rates", arXiv:2002.11803),
    over all parameters together, with lengths that were recorded before. A step without a direction stays where it is.
    """

    def __init__(self, base: Any, parameters: list[Tensor], lengths: Tensor, multiplier: float) -> None:
        super().__init__(base, parameters, lengths)
        self.multiplier = multiplier

    def factor(self, moved: list[Tensor], entry: Tensor) -> Tensor:
        """EngineOptions length ÷ length."""
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(d) for d in moved]))
        return torch.where(length > 0, entry * self.multiplier / length, torch.zeros_like(length))


class _WithClosure:
    def step(self, closure: Callable[[], Any]) -> Any:
        return self._altered(lambda: self.base.step(closure))  # type: ignore[attr-defined]


class HaltedWithClosure(_WithClosure, Halted):  # pyright: ignore[reportIncompatibleMethodOverride]
    """`Halted`, around a base whose step needs a closure."""


class ReplayedWithClosure(_WithClosure, Replayed):  # pyright: ignore[reportIncompatibleMethodOverride]
    """`Replayed`, around a base whose step needs a closure."""


@dataclass(frozen=True)
class MakeHalted:
    """`make` of the sabotaged baseline."""

    baseline: Contender

    def __call__(self, model: Any, run: Run, **hyperparameters: Any) -> Altered:
        """The baseline's own hyperparameters."""
        base, parameters = _base(self.baseline, model, run, hyperparameters)
        kind = HaltedWithClosure if _closure(self.baseline, base) else Halted
        return kind(base, parameters, run.total_steps)


@dataclass(frozen=True)
class MakeReplayed:
    """`make` of the baseline that replays a schedule. `lengths` (K, T): of each step, for each replicate."""

    baseline: Contender
    lengths: Tensor

    def __call__(
        self, model: Any, run: Run, multiplier: float = 1.0, replicate: int = 0, **hyperparameters: Any
    ) -> Altered:
        """The baseline's own hyperparameters, with the multiplier of the lengths and the replicate whose they are."""
        base, parameters = _base(self.baseline, model, run, hyperparameters)
        kind = ReplayedWithClosure if _closure(self.baseline, base) else Replayed
        return kind(base, parameters, self.lengths[replicate], multiplier)


def _base(baseline: Contender, model: Any, run: Run, hyperparameters: dict[str, Any]) -> tuple[Any, list[Tensor]]:
    base = baseline.make(model, run, **{**baseline.fixed, **hyperparameters})
    return base, [p for p in model.parameters() if p.requires_grad]


def _closure(baseline: Contender, base: Any) -> bool:
    return baseline.closure != "no" or needs_closure(getattr(base, "step", None))
