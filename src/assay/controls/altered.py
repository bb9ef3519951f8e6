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

    `table` (steps,): what f is made of at each step; past its end its last entry stands. f is the entry itself, or, with
    a `multiplier`, multiplier·entry/‖Δ‖, over all parameters together, so that the entry is a length: grafting (Agarwal
    et al. 2020, "Disentangling Adaptive Gradient Methods from Learning Rates", arXiv:2002.11803), with lengths that were
    recorded before. A step without a direction stays where it is.
    """

    def __init__(self, base: Any, parameters: list[Tensor], table: Tensor, multiplier: float | None = None) -> None:
        self.base, self.parameters, self.table = base, parameters, table.to(parameters[0])
        self.multiplier = multiplier
        if hasattr(base, "param_groups"):
            self.param_groups = base.param_groups
        # tensors, which engines needn't take for constants
        self.place, self.last = (
            torch.tensor(i, dtype=torch.int64, device=parameters[0].device) for i in (0, len(table) - 1)
        )

    def step(self, *closure: Callable[[], Any]) -> Any:
        """One step of the base, altered."""
        before = [p.detach().clone() for p in self.parameters]
        result = self.base.step(*closure)
        with torch.no_grad():
            moved = [p - b for p, b in zip(self.parameters, before, strict=True)]
            factor = self._factor(moved, self.table.index_select(0, self.place.reshape(1)).reshape(()))
            for p, b, d in zip(self.parameters, before, moved, strict=True):
                p.copy_(b + factor * d)
            self.place.copy_(torch.minimum(self.place + 1, self.last))
        return result

    def _factor(self, moved: list[Tensor], entry: Tensor) -> Tensor:
        if self.multiplier is None:
            return entry
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(d) for d in moved]))
        return torch.where(length > 0, entry * self.multiplier / length, torch.zeros_like(length))

    def __getattr__(self, name: str) -> Any:
        """What else the base can do: `train` and `eval`, for one that keeps two sets of weights."""
        if name.startswith("__") or "base" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.base, name)


class AlteredWithClosure(Altered):
    """`Altered`, around a base whose step needs a closure, as its own then does."""

    def step(self, closure: Callable[[], Any]) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of the base, altered."""
        return super().step(closure)


@dataclass(frozen=True)
class MakeHalted:
    """`make` of the sabotaged baseline, which takes the first tenth of its steps, then stands still."""

    baseline: Contender

    def __call__(self, model: Any, run: Run, **hyperparameters: Any) -> Altered:
        """The baseline's own hyperparameters."""
        moves = torch.arange(run.total_steps) < max(1, round(KEPT * run.total_steps))
        return _altered(self.baseline, model, run, hyperparameters, moves)


@dataclass(frozen=True)
class MakeReplayed:
    """`make` of the baseline that replays a schedule. `lengths` (K, T): of each step, for each replicate."""

    baseline: Contender
    lengths: Tensor

    def __call__(
        self, model: Any, run: Run, multiplier: float = 1.0, replicate: int = 0, **hyperparameters: Any
    ) -> Altered:
        """The baseline's own hyperparameters, with the multiplier of the lengths and the replicate whose they are."""
        return _altered(self.baseline, model, run, hyperparameters, self.lengths[replicate], multiplier)


def _altered(
    baseline: Contender, model: Any, run: Run, hyperparameters: dict[str, Any], table: Tensor,
    multiplier: float | None = None,
) -> Altered:  # fmt: skip
    base = baseline.made(model, run, hyperparameters)
    closure = baseline.closure != "no" or needs_closure(getattr(base, "step", None))
    kind = AlteredWithClosure if closure else Altered
    return kind(base, [p for p in model.parameters() if p.requires_grad], table, multiplier)
