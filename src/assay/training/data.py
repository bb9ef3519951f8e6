"""A task's data as tensors, kept for the replicates that a worker is busy with."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from assay.core import DataFacts, Split, Task
from assay.errors import UsageError

KEPT = 16  # data sets a worker holds in memory: a little more than the replicates of a default plan
KEPT_BYTES = 64_000_000  # and more than that while they are small together


@dataclass(frozen=True)
class Data:
    """One data set on a device. Inputs are in the run's dtype; whole-number targets stay whole numbers."""

    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    facts: DataFacts
    loader: Any = None  # a DataLoader that training batches come from
    _made: int = field(init=False, compare=False)

    @property
    def tests_later(self) -> bool:
        """True where trials are scored on a test split of its own, after all selection."""
        return self.validation is not self.test

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(t.nbytes for t in self._tensors())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_made", self._checksum())

    def changed(self) -> bool:
        """Whether a number of it is another one than when it was made."""
        return self._checksum() != self._made

    def _checksum(self) -> int:
        """CRC-32 over every split's bytes."""
        found = 0
        for tensor in self._tensors():
            if tensor.is_meta:  # of which there are no bytes
                continue
            found = zlib.crc32(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data, found)
        return found

    def _tensors(self) -> dict[Tensor, None]:
        return dict.fromkeys([*self.train, *self.validation, *self.test])


class Given:
    """Tensors that a task's own code is given to read."""

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = tensors
        self._versions = [version(t) for t in tensors]

    def written(self) -> bool:
        """Whether one of them was written to since."""
        return [version(t) for t in self.tensors] != self._versions

    def see_unwritten(self, part: str) -> None:
        """UsageError where one was, which names who did; no data that is kept is used again."""
        if self.written():
            _refuse(part)


def loaders() -> list[Any]:
    """Those of the data that is kept."""
    return [data.loader for data in _kept.values() if data.loader is not None]


def see_unchanged(task: Task) -> None:
    """UsageError where data that is kept has changed by way of NumPy or of `.data`, which torch counts as no write."""
    if any(data.changed() for data in _kept.values()):
        _refuse(f"task {task.name}: its model, its loss or its metric")


def _refuse(part: str) -> NoReturn:
    _kept.clear()
    raise UsageError(
        f"{part} writes to the inputs or targets that it is given, which others read too: let it work on a copy, "
        "as in x = x.clone(), or take the form that returns a new tensor (sub for sub_, inplace=False)"
    )


def version(tensor: Tensor) -> int:
    """How often a tensor has been written to in place: a name of torch's that is private, but for its notes on autograd."""
    return tensor._version


_kept: OrderedDict[tuple[Task, int, str, str], Data] = OrderedDict()  # the latest used last


def load(task: Task, seed: int, dtype: str = "float32", device: str = "cpu") -> Data:
    """The data set of a split seed. A task without a validation split is validated on its test split."""
    key = (task, seed, dtype, device)
    if key not in _kept:
        _kept[key] = _loaded(*key)
        while len(_kept) > KEPT and sum(data.size for data in _kept.values()) > KEPT_BYTES:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def _loaded(task: Task, seed: int, dtype: str, device: str) -> Data:
    splits = task.draw(seed)
    validation = splits.validation or splits.test

    def on_device(split: Split) -> tuple[Tensor, Tensor]:
        return tuple(as_tensor(a, dtype).to(device) for a in split)  # type: ignore[return-value]

    facts = DataFacts(
        digest=splits.digest,
        train_samples=len(splits.train.targets),
        test_samples=len(splits.test.targets),
        validation_floor=task.metric.constant(splits.train.targets, validation.targets),
        test_floor=task.metric.constant(splits.train.targets, splits.test.targets),
    )
    test = on_device(splits.test)
    validated = test if splits.validation is None else on_device(validation)
    return Data(on_device(splits.train), validated, test, facts, splits.loader)


def epoch(data: Data, batch_size: int, order: torch.Generator, dtype: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The training batches of one epoch, in an order drawn from `order`; the last may be smaller."""
    inputs, targets = data.train
    if data.loader is not None:
        from assay.tasks import loaders

        for x, y in loaders.epoch(data.loader, int(torch.randint(2**62, (), generator=order))):
            yield _typed(x, dtype).to(inputs.device), _typed(y, dtype).to(inputs.device)
        return
    shuffled = torch.randperm(len(inputs), generator=order).to(inputs.device)
    x, y = inputs[shuffled], targets[shuffled]
    for start in range(0, len(x), batch_size):
        yield x[start : start + batch_size], y[start : start + batch_size]


def as_tensor(array: np.ndarray, dtype: str) -> Tensor:
    """Real numbers in a dtype; whole ones as they are."""
    return _typed(torch.from_numpy(np.ascontiguousarray(array)), dtype)


def _typed(tensor: Tensor, dtype: str) -> Tensor:
    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor
