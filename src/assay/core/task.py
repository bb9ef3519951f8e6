"""What a user brings: what the contenders are judged on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from assay.errors import UsageError, described

from .typed import function, instance, real, whole

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """⌈samples / batch_size⌉: the last batch of an epoch may be smaller."""
    return -(-samples // batch_size)


class Split(NamedTuple):
    """Samples: inputs (n, …) and targets (n, …), NumPy arrays.

    Example:
        >>> points = assay.Split(np.zeros((6, 2), dtype=np.float32), np.arange(6))
        >>> points.inputs.shape, points.targets.shape
        ((6, 2), (6,))
    """

    inputs: np.ndarray
    targets: np.ndarray


@dataclass(frozen=True)
class Splits:
    """One data set of a task. `validation` is None for a task that has no split of its own to tune on.

    Example:
        >>> points = assay.Split(np.zeros((6, 2), dtype=np.float32), np.arange(6))
        >>> assay.Splits(train=points, validation=None, test=points).digest[:8]
        'd7ba4411'
    """

    train: Split
    validation: Split | None
    test: Split
    loader: Any = None  # where training batches come from, if not from the arrays: a DataLoader (loop engine only)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over every array's shape, type and bytes."""
        import numpy as np

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

    Example:
        >>> samples = torch.utils.data.TensorDataset(torch.zeros(6, 2), torch.arange(6))
        >>> loader = torch.utils.data.DataLoader(samples, batch_size=3, shuffle=True)
        >>> len(assay.Loaders(train=loader, validation=loader, test=loader).train)
        2
    """

    train: Any
    validation: Any
    test: Any


Data = Callable[[int], "Splits | Loaders"] | Splits | Loaders | tuple[Any, Any]
"""What a task's data may be given as: a function of a seed, splits, loaders, or a pair of arrays (inputs, targets)."""


@dataclass(frozen=True)
class Metric:
    """A score of a model on a split.

    `score(outputs, targets)` → 0-dimensional tensor. `constant(train_targets, targets)` → the score of the best
    constant predictor, the floor that a diverged member is given. `scale` turns file units into text units
    (accuracies are fractions in files and points in text).

    Example:
        >>> def absolute(outputs, targets):
        ...     return (outputs - targets).abs().mean()
        >>> def of_the_median(train_targets, targets):
        ...     return float(np.abs(targets - np.median(train_targets)).mean())
        >>> error = assay.Metric("mean absolute error", absolute, of_the_median, "min", unit="m")
        >>> float(error.score(torch.zeros(2), torch.tensor([1.0, -3.0]))), error.sign
        (2.0, -1)
    """

    name: str
    score: Callable[[Tensor, Tensor], Tensor]
    constant: Callable[[np.ndarray, np.ndarray], float]
    direction: Literal["max", "min"]
    unit: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        what = f"the metric {self.name}'s"
        instance(self.name, str, "a metric's name", "text")
        instance(self.unit, str, f"{what} unit", "text")
        function(self.score, f"{what} score", "a function of outputs and targets")
        function(self.constant, f"{what} constant", "a function of training targets and targets")
        if self.direction not in ("max", "min"):
            raise UsageError(f"{what} direction must be max or min, not {described(self.direction)}")
        object.__setattr__(self, "scale", real(self.scale, f"{what} scale"))
        if not 0 < self.scale < math.inf:
            raise UsageError(f"{what} scale must be above 0 and finite, not {self.scale:g}")

    @property
    def sign(self) -> int:
        """+1 where larger is better, −1 where smaller is."""
        return 1 if self.direction == "max" else -1


@dataclass(frozen=True, eq=False)  # two tasks are never equal: callables can't be compared
class Task:
    """What the contenders are judged on: data, model, loss, metric, budget, and the smallest difference that matters.

    Fixed data is partitioned anew for each replicate: (inputs, targets) 60 : 20 : 20, `Splits` in the sizes they have.
    A function of a seed draws a data set of its own for each (`generated`), or partitions one (`generated=False`).

    Example:
        >>> points = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
        >>> task = assay.Task(
        ...     name="quadrants",
        ...     data=(points, (points > 0).sum(1)),
        ...     model=lambda: torch.nn.Linear(2, 3),
        ...     loss=torch.nn.functional.cross_entropy,
        ...     metric=assay.metrics.accuracy,
        ...     epochs=2,
        ...     batch_size=20,
        ...     margin=0.01,
        ...     margin_reason="one point: a fifth of a test sample",
        ... )
        >>> task.loss(task.model()(torch.from_numpy(points)), torch.from_numpy(task.data[1])).ndim
        0
    """

    name: str
    data: Data
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
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])  # asked for beside the name, e.g. train_samples
    reference: str = ""  # how it is found again: a registered name, pkg.mod:name or path/file.py:name
    source: str = ""
    seed_sd: float | None = None  # recorded: spread of one tuned run's score between seeds, metric units
    replicate_sd: float | None = None  # recorded: spread of a replicate's paired difference (r = 8), metric units
    family: str = ""  # tasks of one family share their data, and count once across tasks; by default its own name
    note: str = ""  # what a reader of the report must know of its data
    reach: str = ""  # a digest of all that its code reaches
    beyond: tuple[str, ...] = ()  # what no digest holds

    def __post_init__(self) -> None:
        what = f"task {self.name}: its"
        instance(self.name, str, "a task's name", "text")
        instance(self.metric, Metric, f"{what} metric", "an assay.Metric, as in assay.metrics")
        instance(self.margin_reason, str, f"{what} margin_reason", "text")
        function(self.model, f"{what} model", "a function that returns a torch.nn.Module")
        if not isinstance(self.model, type) and hasattr(self.model, "named_parameters"):
            raise UsageError(
                f"{what} model is one that is made already; give the function that makes it, so that each training begins with "
                "weights of its own: model=lambda: MyModel(…)"
            )
        function(self.loss, f"{what} loss", "a function of outputs and targets")
        settled = {
            "epochs": whole(self.epochs, f"{what} epochs"),
            "batch_size": whole(self.batch_size, f"{what} batch_size"),
            "margin": real(self.margin, f"{what} margin"),
            "generated": bool(self.generated),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def draw(self, seed: int) -> Splits:
        """The data set of a seed; the task is one whose data is a function, as `tasks.find` makes them all."""
        data: Any = self.data
        return data(seed)

    def under(self, protocol: Literal["honest", "published"]) -> Task:
        """The task with the data that the protocol uses.

        The published protocol tunes on the test split: of the published study's own data where the task has it.

        Raises:
            UsageError: an honest comparison is asked of a task without a validation split (found when its data is made).
        """
        return replace(self, data=partial(_validated if protocol == "honest" else _tested_only, self))


def _validated(task: Task, seed: int) -> Splits:
    """A task's data, which must have a validation split."""
    splits = task.draw(seed)
    if splits.validation is None:
        raise UsageError(
            f"task {task.name} has no validation split, and tuning on its test split would not be honest; "
            "give its data one, or use --protocol published"
        )
    return splits


def _tested_only(task: Task, seed: int) -> Splits:
    """A task's data without a validation split: tuned and reported on the test split."""
    return replace(task.published() if task.published else task.draw(seed), validation=None)
