"""One variant of a compiled step: what is kept of it as data, and the same ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from assay.engine.compiled.scalar_program import program
from assay.engine.compiled.values import Guard, holds

Main = Callable[[list[Tensor]], Sequence[Tensor]]


class TensorData(msgspec.Struct, frozen=True):
    """A small tensor: `values` are its elements, or none where there is only room for them."""

    dtype: str
    shape: tuple[int, ...]
    values: list[bool | int | float] = []

    @classmethod
    def of(cls, tensor: Tensor) -> TensorData:
        """A constant."""
        return cls(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), tensor.reshape(-1).tolist())

    @classmethod
    def like(cls, tensor: Tensor) -> TensorData:
        """Room for such a tensor."""
        return cls(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))

    def tensor(self) -> Tensor:
        """The constant."""
        return torch.tensor(self.values, dtype=getattr(torch, self.dtype)).reshape(self.shape)

    def room(self) -> Tensor:
        """The memory."""
        return torch.empty(self.shape, dtype=getattr(torch, self.dtype))


class Recipe(msgspec.Struct, frozen=True):
    """A traced step but for its main graph, for batches of `size` and as long as its guards hold.

    `scalar_program`: source (see scalar_program.py); it takes `scalar_inputs` (paths), returns the new values of
    `scalar_updates`, then the values of the guards, and fills the `coefficients` that the main graph takes.
    The main graph takes `main_inputs` (names and paths), the coefficients, and x, y and masks as far as they are `used`; it
    overwrites weights and state, and returns diagnostics (3, members) and the new values of `main_updates`.
    `equal`: classes of paths whose values are equal at the start, and hence always.
    """

    size: int
    guards: list[Guard]
    scalar_program: str
    constants: dict[str, TensorData]
    scalar_inputs: list[str]
    scalar_updates: list[str]
    main_inputs: list[str]
    main_updates: list[str]
    coefficients: list[TensorData]
    used: list[int]
    equal: list[list[str]]


@dataclass(frozen=True)
class Variant:
    """A recipe with what it runs: its program, its main graph (compiled or interpreted), and room for the coefficients.

    `buffers`: the coefficients' memory, as NumPy sees it.
    """

    recipe: Recipe
    program: Callable[..., list[Any]]
    main: Main
    coefficients: list[Tensor]
    buffers: list[Any]

    @classmethod
    def of(cls, recipe: Recipe, main: Main) -> Variant:
        """The recipe, with its main graph, ready to run."""
        run = program(recipe.scalar_program, {name: data.tensor() for name, data in recipe.constants.items()})
        coefficients = [data.room() for data in recipe.coefficients]
        return cls(recipe, run, main, coefficients, [c.numpy() for c in coefficients])

    def takes_equal(self, scalars: Mapping[str, Any]) -> bool:
        """Whether the scalars that it takes for one are equal."""
        return all(
            np.array_equal(scalars[a], scalars[b], equal_nan=True) for a, *others in self.recipe.equal for b in others
        )

    def run_program(self, scalars: Mapping[str, Any]) -> list[Any] | None:
        """The new values of `scalar_updates`, and the coefficients in place; None where a guard doesn't hold."""
        recipe = self.recipe
        results = self.program(*[scalars[path] for path in recipe.scalar_inputs], *self.buffers)
        count = len(recipe.scalar_updates)
        if not all(holds(g, value) for g, value in zip(recipe.guards, results[count:], strict=True)):
            return None
        return results[:count]
