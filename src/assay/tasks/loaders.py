"""Batches from a user's own `DataLoader`, drawn from a seed: for the loop only, which takes one batch at a time."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.core import Loaders, Split, Splits
from assay.errors import UsageError


def epoch(loader: Any, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass over a loader, batches as it gives them; the same for the same seed (with its workers' number unchanged).

    The loader draws from torch's, NumPy's and Python's global generators as they are after seeding; whoever takes the
    batches finds those generators as it left them.
    """
    if isinstance(getattr(loader, "generator", None), torch.Generator):
        loader.generator.manual_seed(seed)
    inside = list(_states())
    with _drawing(inside):
        torch.default_generator.manual_seed(seed)  # the CPU's only; torch.manual_seed would set CUDA's too
        np.random.seed(seed % 2**32)
        random.seed(seed)
        batches = iter(loader)
    while True:
        with _drawing(inside):
            batch = next(batches, None)
        if batch is None:
            return
        yield _pair(batch)


def read(loaders: Loaders) -> Splits:
    """What loaders hold, as arrays in the order of one pass; `loader` is the training split's, for the batches.

    Raises:
        UsageError: batches that are not (inputs, targets), or none at all; a loader that doesn't know how many it has.
    """

    def whole(name: str, loader: Any) -> Split:
        try:
            len(loader)
        except TypeError as error:  # it may have no end
            raise UsageError(
                f"the {name} DataLoader can't say how many batches it has ({error}); give it a data set with a length, as "
                "TensorDataset has, or an IterableDataset that defines __len__"
            ) from error
        batches = list(epoch(loader, 0))
        if not batches:
            raise UsageError(f"the {name} DataLoader gives no batch")
        inputs, targets = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
        return Split(inputs, targets)

    validation = None if loaders.validation is None else whole("validation", loaders.validation)
    return Splits(whole("train", loaders.train), validation, whole("test", loaders.test), loaders.train)


def _pair(batch: Any) -> tuple[Tensor, Tensor]:
    if isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch):
        return batch[0], batch[1]
    raise UsageError(f"a DataLoader's batch must be (inputs, targets), two tensors; this is {type(batch).__name__}")


@contextlib.contextmanager
def _drawing(inside: list[Any]) -> Iterator[None]:
    """The global generators in these states, which are noted anew at the end; then they are as they were outside."""
    outside = _states()
    _set(inside)
    try:
        yield
    finally:
        inside[:] = _states()
        _set(outside)


def _states() -> Sequence[Any]:
    return torch.default_generator.get_state(), np.random.get_state(), random.getstate()


def _set(states: Sequence[Any]) -> None:
    torch.default_generator.set_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
