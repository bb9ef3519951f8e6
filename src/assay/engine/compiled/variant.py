"""One variant of a compiled step: what is kept of it as data, and the same ready to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from assay.engine.compiled.scalar_program import program
from assay.engine.compiled.values import Guard, holds


class Recipe(msgspec.Struct, frozen=True):
    """A traced step but for its main graph, for batches of `size` and as long as its guards hold.

    `scalar_program`: source (see scalar_program.py); it takes `scalar_inputs` (paths), returns the new values of
    `scalar_updates`, then the values of the guards, and fills the `coefficients` that the main graph takes.
    The main graph takes `main_inputs` (names and paths), the coefficients, and x, y and masks as far as they are `used`; it
    overwrites weights and state, and returns diagnostics (3, members) and the new values of `main_updates`; where it is
    `checked`, then whether Python would have computed every number too.
    `evaluations`: how often a step evaluates the gradient.
    `coefficients`: dtype and shape of each. `equal`: classes of paths whose values are equal at the start, and hence always.
    """

    size: int
    evaluations: int
    guards: list[Guard]
    scalar_program: str
    scalar_inputs: list[str]
    scalar_updates: list[str]
    main_inputs: list[str]
    main_updates: list[str]
    checked: bool
    coefficients: list[tuple[str, tuple[int, ...]]]
    used: list[int]
    equal: list[list[str]]


class Variant:
    """A recipe with what it runs: its program, its main graph (compiled or interpreted), and room for the coefficients."""

    def __init__(self, recipe: Recipe, main: Callable[[list[Tensor]], Sequence[Tensor]]) -> None:
        self.recipe, self.main = recipe, main
        self.program = program(recipe.scalar_program)
        self.coefficients = [torch.empty(shape, dtype=getattr(torch, dtype)) for dtype, shape in recipe.coefficients]
        self.buffers = [c.numpy() for c in self.coefficients]  # the same memory

    def takes_equal(self, scalars: Mapping[str, Any]) -> bool:
        """Whether the scalars that it takes for one are equal."""
        return all(
            np.array_equal(scalars[a], scalars[b], equal_nan=True) for a, *others in self.recipe.equal for b in others
        )

    def run_program(self, scalars: Mapping[str, Any]) -> dict[str, Any] | None:
        """The new values of `scalar_updates`, and the coefficients in place; None where a guard doesn't hold."""
        recipe = self.recipe
        results = self.program(*[scalars[path] for path in recipe.scalar_inputs], *self.buffers)
        updates = dict(zip(recipe.scalar_updates, results, strict=False))
        read = results[len(updates) :]
        return updates if all(map(holds, recipe.guards, read)) else None
