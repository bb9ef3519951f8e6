"""The nouns: spaces, contenders, tasks, plans, members, curves, verdicts. Plain frozen data; torch is never imported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np

from assay.space import Dimension, Space

if TYPE_CHECKING:
    from torch import Tensor, nn

PLAN_VERSION = 2
Phase = Literal["tune", "final"]
Hyperparameters = dict[str, float | int | str | bool]

# ----------------------------------------------------------------------- what a user brings: callables


@dataclass(frozen=True)
class Run:
    """What a contender may know of the training it is made for: lengths in steps and epochs, never data or scores."""

    total_steps: int
    epochs: int
    steps_per_epoch: int
    fused: bool = False  # the engine asks for torch's fused kernels where the optimizer offers the choice


@dataclass(frozen=True)
class Contender:
    """An optimizer under test: how it is made and what of it is tuned.

    `make(model, run, **hyperparameters)` returns a fresh optimizer, draws no randomness and gets plain Python numbers.
    `schedule` maps the fraction of training in [0, 1] to a factor on each group's initial learning rate.
    `closure`: "yes" if `step` needs one, "graph" if it also needs `create_graph=True`.
    `reference` and `source` say where it comes from and which version of it (a package version or a hash).
    """

    name: str
    make: Callable[..., Any]
    space: Space
    fixed: Mapping[str, Any] = field(default_factory=dict)
    schedule: Callable[[float], float] | None = None
    closure: Literal["no", "yes", "graph"] = "no"
    reference: str = ""
    source: str = ""
    note: str = ""  # what a reader of the report must know of how it was adapted


class Split(NamedTuple):
    """Samples: inputs (n, …) and targets (n, …), NumPy arrays."""

    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Splits:
    """One data set of a task. `validation` is None for a task that has no split of its own to tune on."""

    train: Split
    validation: Split | None
    test: Split
    loader: Any = None  # where training batches come from, if not from the arrays: a DataLoader (loop engine only)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over every array's shape, type and bytes."""
        sha = hashlib.sha256()
        for name in ("train", "validation", "test"):
            for array in getattr(self, name) or ():
                sha.update(f"{name}{array.shape}{array.dtype.str}".encode())
                sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


class Loaders(NamedTuple):
    """A data set as `torch.utils.data.DataLoader`s, whose batches are (inputs, targets).

    The loop engine takes its training batches from `train`, an epoch a pass, drawn from each training's own seed;
    `validation` and `test` are read once. What is lost: whole populations at once, so a comparison takes longer.
    """

    train: Any
    validation: Any
    test: Any


class DataFacts(msgspec.Struct, frozen=True):
    """What the judge must know of a data set: its digest, its sizes, and what the constant predictor scores on it."""

    digest: str
    train_samples: int
    test_samples: int
    validation_floor: float
    test_floor: float


@dataclass(frozen=True)
class Metric:
    """A score of a model on a split.

    `score(outputs, targets)` → 0-dimensional tensor. `constant(train_targets, targets)` → the score of the best
    constant predictor, the floor that a diverged member is given. `scale` turns file units into text units
    (accuracies are fractions in files and points in text).
    """

    name: str
    score: Callable[[Tensor, Tensor], Tensor]
    constant: Callable[[np.ndarray, np.ndarray], float]
    direction: Literal["max", "min"]
    unit: str
    scale: float = 1.0

    @property
    def sign(self) -> int:
        """+1 where larger is better, −1 where smaller is."""
        return 1 if self.direction == "max" else -1


@dataclass(frozen=True, eq=False)  # two tasks are never equal: callables can't be compared
class Task:
    """What the contenders are judged on: data, model, loss, metric, budget, and the smallest difference that matters.

    Fixed data is partitioned anew for each replicate: (inputs, targets) 60 : 20 : 20, `Splits` in the sizes they have.
    A function of a seed draws a data set of its own for each (`generated`), or partitions one (`generated=False`).
    """

    name: str
    data: Callable[[int], Splits]  # or (inputs, targets), Splits, Loaders, or a function that returns Loaders
    model: Callable[[], nn.Module]  # new weights from torch's global generator
    loss: Callable[[Tensor, Tensor], Tensor]  # (outputs, targets) of a batch → their mean loss
    metric: Metric
    epochs: int
    batch_size: int
    margin: float  # in the metric's unit (0.01 is one point of accuracy)
    margin_reason: str  # why a smaller difference would not matter
    generated: bool = True
    # what follows is for assay's own tasks; `published`: the data of the study that the published protocol reproduces
    published: Callable[[], Splits] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # what was asked for beside the name, e.g. train_samples
    reference: str = ""  # how it is found again: a registered name, pkg.mod:name or path/file.py:name
    source: str = ""
    seed_sd: float | None = None  # recorded: spread of one tuned run's score between seeds, metric units
    replicate_sd: float | None = None  # recorded: spread of a replicate's paired difference (r = 8), metric units
    family: str = ""  # tasks of one family share their data, and count once across tasks; by default its own name
    note: str = ""  # what a reader of the report must know of its data


# -------------------------------------------------------------------- the plan: frozen before training


class ContenderInfo(msgspec.Struct, frozen=True):
    """A contender as the plan knows it: data only."""

    name: str
    reference: str
    source: str
    space: dict[str, Dimension]
    fixed: dict[str, str]
    schedule: str | None
    closure: str
    note: str = ""


class TaskInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as the plan knows it: data only. `margin` and scores are in the metric's file units."""

    name: str
    reference: str
    source: str
    options: dict[str, float | int | str | bool]
    metric: str
    direction: Literal["max", "min"]
    unit: str
    scale: float
    epochs: int
    batch_size: int
    margin: float
    margin_reason: str
    generated: bool
    family: str = ""
    note: str = ""

    @property
    def sign(self) -> int:
        """+1 where larger scores are better, −1 where smaller are."""
        return 1 if self.direction == "max" else -1


MOST_PLANNED = 10_000  # replicates: with many more, two of them may well draw their data from one 32-bit seed


class Stages(msgspec.Struct, frozen=True):
    """Two stages of replicates (Stein 1945): the spread of the `first` decides how many there are, `most` at most."""

    first: int
    most: int


class Protocol(msgspec.Struct, frozen=True):
    """How the comparison is made: K replicates of n trials, then r final seeds each, judged at level α.

    With `stages`, the plan's K is that of the first stage, with `looks` that of the first look; how many there are in the
    end, the record says (`evidence.reached`).
    """

    name: Literal["honest", "published"]
    replicates: int
    trials: int
    final_seeds: int
    alpha: float = 0.05
    sampler: str = "optuna TPE"
    sampler_options: dict[str, int | bool] = {}
    stages: Stages | msgspec.UnsetType = msgspec.UNSET  # left out of the file, and of the hash, where there are none
    looks: tuple[int, ...] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # replicates at which the answer may end it (`judge.looks`)


class Science(msgspec.Struct, frozen=True):
    """Everything that decides what is asked. Its hash names the record. The first contender is the baseline."""

    task: TaskInfo
    contenders: tuple[ContenderInfo, ...]
    protocol: Protocol
    seed: int

    @property
    def plan_hash(self) -> str:
        """SHA-256 of the canonical JSON of the science."""
        return digest(self)

    def training_hash(self, slot: int) -> str:
        """SHA-256 of what can change a training of contender `slot`.

        The margin, α, and the numbers of replicates, trials and final seeds are left out: they ask another question of
        the same trainings, which are then the same files.
        """
        task = msgspec.structs.replace(self.task, margin=0.0, margin_reason="")
        contender = msgspec.structs.replace(self.contenders[slot], name="", note="")
        return digest((task, contender, self.protocol.name, self.seed))

    def differences(self, other: Science) -> list[str]:
        """What differs in another science, a phrase each."""
        before, after = (_flatten(msgspec.to_builtins(science)) for science in (self, other))
        names = [c.name for c in self.contenders]
        found = []
        for key in sorted(before.keys() | after.keys()):
            a, b = before.get(key, "none"), after.get(key, "none")
            if a != b:
                parts = key.split(".")
                same = parts[0] == "contenders" and parts[-1] == "source" and int(parts[1]) < len(names)
                reference = ".".join([*parts[:2], "reference"])
                if same and before.get(reference) == after.get(reference):
                    found.append(f"the source of {names[int(parts[1])]} was edited since the record was made")
                else:
                    found.append(f"{key} {a} → {b}")
        return found


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        return {prefix: value}
    return {
        k: v for name, item in items for k, v in _flatten(item, f"{prefix}.{name}" if prefix else str(name)).items()
    }


class Numerics(msgspec.Struct, frozen=True):
    """How a contender's numbers are computed; settled before the first training.

    Same science and numerics → the same bits. `reason` says why this engine; it changes no number.
    """

    engine: Literal["loop", "vectorized"]
    compiled: bool
    width: int  # members in a chunk
    dtype: str
    device: str
    threads: int
    torch: str
    cpu: str
    reason: str = ""


class Plan(msgspec.Struct, frozen=True):
    """Contenders × task × protocol, and the numerics of each contender.

    `earlier`: the numbers of replicates that were planned, finished and judged before more were asked for.
    """

    science: Science
    numerics: tuple[Numerics, ...]
    version: int = PLAN_VERSION
    earlier: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET


# -------------------------------------------------------------------------- trainings and their traces


class Member(msgspec.Struct, frozen=True):
    """One training run. `slot` is the contender's place in the plan; `index` the trial, or the final seed."""

    slot: int
    phase: Phase
    replicate: int
    index: int
    hyperparameters: Hyperparameters
    split: int
    init: int
    batches: int
    noise: int


@dataclass(frozen=True)
class Curves:
    """What n members left over E epochs: metrics and losses (n, E), NaN from the epoch a member diverged in.

    `validation`, `test`: metric in file units; `test` is None while tuning, for tests are scored after all selection.
    `grad_norm`, `update_norm`: means over the epoch's steps of ‖g‖₂ and ‖θₜ₊₁−θₜ‖₂. `diverged` (n,): the epoch, counted
    from 1, or 0. `gradient_evaluations` (n,): spent. `seconds` (n,): measured, the one field that is not repeatable.
    `weights` (n, P): final parameters and buffers, kept only where a later score needs them. `data` (n): what each was
    trained on. `step_norms` (n, T): of final runs ‖θₜ₊₁−θₜ‖₂ at each step, NaN after the epoch a member diverged in.
    `fallback` (n): why the loop trained a member though the plan's engine is another; "" where it is the plan's.
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

    def __post_init__(self) -> None:
        if not self.fallback:
            object.__setattr__(self, "fallback", ("",) * len(self))

    def __len__(self) -> int:
        return len(self.diverged)

    @staticmethod
    def concatenate(parts: Sequence[Curves]) -> Curves:
        """One Curves with the members of all parts, in order."""
        joined: dict[str, Any] = {}
        for name in (f.name for f in fields(Curves)):
            values = [getattr(part, name) for part in parts]
            if name in ("data", "fallback"):
                joined[name] = tuple(d for v in values for d in v)
            else:
                joined[name] = None if values[0] is None else np.concatenate(values)
        return Curves(**joined)


# ------------------------------------------------------------------------------------------ the answer

Outcome = Literal["better", "worse", "equivalent", "negligible", "inconclusive"]


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one candidate. Differences are candidate − baseline, positive is better, in the metric's unit.

    `published_conclusion` is given under the published protocol only, which never decides more than inconclusive.
    """

    task: str
    candidate: str
    baseline: str
    outcome: Outcome
    sentence: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    p_superior: float | None
    margin: float
    replicates: int
    unit: str
    published_conclusion: str | None = None
    details: dict[str, Any] = {}  # second opinions and descriptive figures, by name


# --------------------------------------------------------------------------------------------- hashing


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no spaces, floats in their shortest exact form."""
    return msgspec.json.encode(value, order="deterministic")


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
