"""What a step starts from: weights, state and numbers as physical tensors, and the guards a traced step holds under."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from assay.engine.eager.object_graph import walk
from assay.engine.eager.population import Population
from assay.engine.eager.python_numbers import is_number
from assay.engine.eager.torch_private import is_batched, physical


@dataclass
class Guard:
    """A value that the traced Python code read: the graph holds only for steps where it is `outcome` again."""

    outcome: Any
    kind: str  # "bool", "int" or "float"


class Kind(NamedTuple):
    """Of a number that is an input: its dtype by name, and whether each member has its own."""

    dtype: str
    own: bool

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype itself."""
        return getattr(torch, self.dtype)


Tracked = dict[str, Kind]


def kind_of(tensor: Tensor) -> Kind:
    """The kind of a number kept in a tensor () or (members,)."""
    return Kind(str(tensor.dtype).removeprefix("torch."), tensor.dim() > 0)


@dataclass
class Values:
    """What a step starts from: physical tensors by name or path, and the paths whose tensor holds each member's own."""

    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    numbers: dict[str, Tensor]
    batched: set[str]

    def flat(self) -> list[Tensor]:
        """In the order of a trace's inputs."""
        return [*self.weights.values(), *self.tensors.values(), *self.numbers.values()]


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
            value = physical(leaf.value) if leaf.kind == "tensor" else scalar(leaf.value)
            if kind is not None:
                value = value.to(kind.torch_dtype)
                if kind.own and value.dim() == 0:
                    value = value.expand(population.width).clone()
            values.numbers[path] = value
            if value.dim():
                values.batched.add(path)
    values.numbers = dict(sorted(values.numbers.items()))
    return values


def scalar(value: Any) -> Tensor:
    """A Python number as a 0-dimensional tensor that loses nothing."""
    if isinstance(value, bool):
        return torch.tensor(value)
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def holds(guard: Guard, value: Any) -> bool:
    """Whether a guard's value, a NumPy scalar or an array (members,), is what the trace saw."""
    if guard.kind == "bool":
        return bool(np.all(np.not_equal(value, 0) == guard.outcome))
    if guard.kind == "float" and math.isnan(guard.outcome):
        return bool(np.isnan(value).all())
    return bool(np.all(np.equal(np.trunc(value) if guard.kind == "int" else value, guard.outcome)))
