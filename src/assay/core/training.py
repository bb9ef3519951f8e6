"""Trainings and what they leave: members, curves, facts of the data they saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

if TYPE_CHECKING:
    import numpy as np

Phase = Literal["pilot", "tune", "final"]
PHASES: tuple[Phase, ...] = get_args(Phase)  # in the order in which they are trained
PILOT = -1  # the replicate of a pilot's members: none of those that are compared
Hyperparameters = dict[str, float | int | str | bool]


class DataFacts(msgspec.Struct, frozen=True):
    """What the judge must know of a data set: its digest, its sizes, and what the constant predictor scores on it."""

    digest: str
    train_samples: int
    test_samples: int
    validation_floor: float
    test_floor: float


class Member(msgspec.Struct, frozen=True):
    """One training run. `slot` is the contender's place in the plan; `index` the trial, or the final seed.

    A pilot's are trials on data of its own, of replicate −1.
    """

    slot: int
    phase: Phase
    replicate: int
    index: int
    hyperparameters: Hyperparameters
    split: int
    init: int
    batches: int
    noise: int

    @property
    def words(self) -> str:
        """Which of its contender's it is, as in `called`."""
        return called(self.phase, self.index, self.replicate)


def called(phase: str, index: int, replicate: int) -> str:
    """A training in words: `tune 3 of replicate 2`, or `pilot 3`."""
    return f"{phase} {index}" + ("" if replicate == PILOT else f" of replicate {replicate}")


@dataclass(frozen=True)
class Curves:
    """What n members left over E epochs: metrics and losses (n, E), NaN from the epoch a member diverged in.

    `validation`, `test`: metric in file units; `test` is None while tuning, for tests are scored after all selection.
    `grad_norm`, `update_norm`: means over the epoch's steps of ‖g‖₂ and ‖θₜ₊₁−θₜ‖₂. `diverged` (n,): the epoch, counted
    from 1, or 0. `gradient_evaluations` (n,): spent. `seconds` (n,): measured, the one field that is not repeatable.
    `weights` (n, P): final parameters and buffers, kept only where a later score needs them. `data` (n): what each was
    trained on. `step_norms` (n, T): of final runs ‖θₜ₊₁−θₜ‖₂ at each step, NaN after the epoch a member diverged in.
    `fallback` (n): why the loop trained a member though the plan's engine is another; "" where it is the plan's.
    `changed` (n): what the code of its contender or task changed in the whole process while it trained, and was put back.
    """

    validation: np.ndarray
    test: np.ndarray | None
    train_loss: np.ndarray
    grad_norm: np.ndarray
    update_norm: np.ndarray
    diverged: np.ndarray
    gradient_evaluations: np.ndarray
    seconds: np.ndarray
    data: tuple[DataFacts, ...]
    weights: np.ndarray | None = None
    step_norms: np.ndarray | None = None
    fallback: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("fallback", "changed"):
            if not getattr(self, name):
                object.__setattr__(self, name, ("",) * len(self))

    def __len__(self) -> int:
        return len(self.diverged)

    @staticmethod
    def concatenate(parts: Sequence[Curves]) -> Curves:
        """One Curves with the members of all parts, in order."""
        import numpy as np

        joined: dict[str, Any] = {}
        for name in (f.name for f in fields(Curves)):
            values = [getattr(part, name) for part in parts]
            if name in ("data", "fallback", "changed"):
                joined[name] = tuple(d for v in values for d in v)
            else:
                joined[name] = None if values[0] is None else np.concatenate(values)
        return Curves(**joined)
