"""What a step starts from: weights, state and numbers as physical tensors, and the guards a traced step holds under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from assay.engine.eager.object_graph import places, token, walk
from assay.engine.eager.population import Population
from assay.engine.eager.python_numbers import is_number
from assay.engine.torch_private import is_batched, physical

Guard = bool | int | float  # what traced code read of a value: the graph holds only for steps where it reads it again


class Kind(NamedTuple):
    """Of a number that is an input: its dtype by name, and whether each member has its own."""

    dtype: str
    own: bool


Tracked = dict[str, Kind]


def named(dtype: torch.dtype) -> str:
    """A dtype's name in torch."""
    return str(dtype).removeprefix("torch.")


@dataclass
class Values:
    """What a step starts from: physical tensors by name or path, and the paths whose tensor holds each member's own."""

    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    numbers: dict[str, Tensor]
    batched: set[str]

    def all(self) -> dict[str, Tensor]:
        """In the order of a trace's inputs."""
        return {**self.weights, **self.tensors, **self.numbers}

    def beside_weights(self) -> dict[str, Tensor]:
        """State and numbers."""
        return {**self.tensors, **self.numbers}


def read_values(population: Population, tracked: Tracked) -> Values:
    """The population's present values; `tracked` numbers and the stacked ones are values, other numbers constants."""
    values = Values(dict(population.weights), {}, {}, set(population.weights))
    for path, leaf in walk(population.optimizer, population.known).items():
        kind = tracked.get(path)
        if leaf.kind == "tensor" and not is_number(leaf.value):
            values.tensors[path] = physical(leaf.value)
            if is_batched(leaf.value):
                values.batched.add(path)
        elif leaf.kind == "tensor" or (leaf.kind == "number" and kind is not None):
            value = physical(scalar(leaf.value))
            if kind is not None:
                value = value.to(getattr(torch, kind.dtype))
                if kind.own and value.dim() == 0:
                    value = value.expand(population.width).clone()
            values.numbers[path] = value
            if value.dim():
                values.batched.add(path)
    values.numbers = dict(sorted(values.numbers.items()))
    return values


def granted(optimizer: Any, known: Mapping[int, str]) -> dict[str, str]:
    """What is no number and no tensor: a compiled step takes it for granted, and leaves it as it is.

    Which parameter stands where, and the class of whatever holds something, are part of it.
    """
    return {
        place.path: f"{id(type(place.value))}" if place.kind == "inner" else repr(token(place))
        for place in places(optimizer, known)
        if place.kind in ("plain", "known", "inner")
    }


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> str | None:
    """The first path at which what is taken for granted is another, or is there in one of the two only."""
    return min((p for p in before.keys() | after.keys() if before.get(p) != after.get(p)), default=None)


def as_numpy(tensor: Tensor) -> Any:
    """A copy as a NumPy array (members,), or as a NumPy scalar."""
    return tensor.detach().cpu().numpy().copy()[()]


def scalars_of(values: Values, width: int) -> dict[str, Any]:
    """Of state and numbers, what is no larger than a value a member."""
    return {path: as_numpy(t) for path, t in values.beside_weights().items() if t.numel() <= width}


def scalar(value: Any) -> Tensor:
    """A Python number as a 0-dimensional tensor that loses nothing; a tensor as it is."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool):
        return torch.tensor(value)
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def holds(guard: Guard, value: Any) -> bool:
    """Whether a guard's value, a NumPy scalar or an array (members,), is what the trace saw."""
    if isinstance(guard, bool):
        if value.ndim == 0:  # most are, and this is asked at each step
            return (value.item() != 0) is guard
        return bool(np.all(np.not_equal(value, 0) == guard))
    if guard != guard:
        return bool(np.isnan(value).all())
    return bool(np.all(np.equal(np.trunc(value) if isinstance(guard, int) else value, guard)))


def external_rates(population: Population) -> list[str]:
    """Paths of the groups' learning rates that a schedule sets."""
    if population.contender.schedule is None:
        return []
    leaves = walk(population.optimizer, population.known)
    paths = {id(leaf.value): path for path, leaf in reversed(leaves.items())}  # the first of several
    rates = [id(group["lr"]) for group in population.optimizer.param_groups]
    return [paths[rate] for rate in rates if rate in paths]


def scheduled(population: Population, external: list[str], taken: int) -> dict[str, Any]:
    """The learning rates that a schedule sets before step `taken`, by path."""
    if not external:
        return {}
    factor = population.factor(taken).numpy()
    return {path: rate.numpy() * factor for path, rate in zip(external, population.initial, strict=True)}
