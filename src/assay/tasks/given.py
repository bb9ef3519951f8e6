"""A task's data in the forms that a user may give it, as a function of the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from assay.core import Loaders, Split, Splits, Task
from assay.errors import UsageError

SAME_SPLIT = (
    "every replicate has the same split, for its data is a DataLoader and no function of a seed that returns one: the "
    "interval leaves out what another split would change"
)


def with_factory(task: Task) -> Task:
    """The task with its data as a function of the seed, whatever it was given as.

    Arrays are fixed data, partitioned anew for each seed: a pair (inputs, targets) 60 : 20 : 20, `Splits` in the sizes
    they have. `Loaders` are the same for each seed, which the task's note says.

    Raises:
        UsageError: data of another kind, or arrays that can't be partitioned.
    """
    data: Any = task.data
    if isinstance(data, Factory):
        return task
    if isinstance(data, Loaders):
        return replace(task, data=Factory(data), generated=False, note=task.note or SAME_SPLIT)
    if isinstance(data, Splits):
        three = (data.train, data.validation, data.test)
        parts = [_as_arrays(task.name, part) for part in three if part is not None]
        sizes = [0 if part is None else len(part.targets) for part in three]
    elif isinstance(data, tuple | list) and len(data) == 2:
        parts = [_as_arrays(task.name, data)]
        count = len(parts[0].targets)
        sizes = [int(0.6 * count), int(0.2 * count), count - int(0.6 * count) - int(0.2 * count)]
    elif callable(data):
        return replace(task, data=Factory(data))
    else:
        raise UsageError(
            f"task {task.name}: its data is {type(data).__name__}; give (inputs, targets), assay.Splits, assay.Loaders, "
            "or a function of a seed that returns one of the latter two"
        )
    for part in parts:
        _see_that_it_is_finite(task.name, part)
    whole = Split(*map(np.concatenate, zip(*parts, strict=True)))
    return replace(task, data=Factory(partial(partition, whole, tuple(sizes))), generated=False)


def cut(samples: Split, sizes: tuple[int, ...]) -> Splits:
    """The first of the samples to train on, the next to validate on (0: no such split), the rest to test on."""
    ends = np.cumsum(sizes[:2])
    train, validation, test = map(Split, *(np.split(array, ends) for array in samples))
    return Splits(train, validation if sizes[1] else None, test)


def partition(samples: Split, sizes: tuple[int, ...], seed: int) -> Splits:
    """The samples in the seed's order, cut in three."""
    order = np.random.default_rng(seed).permutation(len(samples.targets))
    return cut(Split(samples.inputs[order], samples.targets[order]), sizes)


@dataclass(frozen=True, eq=False)
class Factory:
    """Calls `data(seed)`, or takes loaders as they are, and sees to it that what comes is `Splits` of arrays."""

    data: Callable[[int], Any] | Loaders

    def __call__(self, seed: int) -> Splits:
        """The data of a seed. UsageError where it is of no known kind."""
        made = self.data if isinstance(self.data, Loaders) else self.data(seed)
        if isinstance(made, Loaders):
            from assay.tasks.loaders import read  # with torch, which a user's loader has loaded

            return read(made)
        if not isinstance(made, Splits):
            raise UsageError(
                f"a task's data function must return assay.Splits or assay.Loaders; this returns {type(made).__name__}"
            )
        validation = None if made.validation is None else _as_arrays("", made.validation)
        return Splits(_as_arrays("", made.train), validation, _as_arrays("", made.test), made.loader)


def _as_arrays(task: str, pair: Any) -> Split:
    """Tensors and lists as arrays."""
    inputs, targets = (np.asarray(part) for part in pair)
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        where = f"task {task}: " if task else ""
        raise UsageError(
            f"{where}inputs {inputs.shape} and targets {targets.shape} don't fit: a sample is a row, and each has a target"
        )
    return Split(inputs, targets)


def _see_that_it_is_finite(task: str, whole: Split) -> None:
    """UsageError that names rows as their owner counts them, before they are partitioned."""
    for what, array in whole._asdict().items():
        if array.dtype.kind == "f" and len(rows := np.flatnonzero(~np.isfinite(array.reshape(len(array), -1)).all(1))):
            raise UsageError(
                f"task {task}: its {what} hold NaN or infinity in {len(rows)} of {len(array)} rows (the first is row "
                f"{rows[0]}): leave those rows out, or fill them"
            )
