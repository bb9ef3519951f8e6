"""Making the variants of a compiled step: which there must be, and their graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from assay.engine.compiled.partition import split
from assay.engine.compiled.trace import Trace, changing_numbers
from assay.engine.compiled.values import Kind, Tracked, Values, read_values, scalars_of, scheduled
from assay.engine.compiled.variant import Variant
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import Dropout
from assay.engine.eager.population import Population
from assay.engine.refusal import NotCompilable

ROUNDS = 8  # traces until every number that changes is an input
MOST_VARIANTS = 6
LEAST_COMPILED = 0.75  # of the steps; below, compiling them isn't worth it
LEAST_USED = 0.01  # of the steps; a variant that is rarer runs eagerly


@dataclass
class Traced:
    """A variant whose main graph is interpreted, example inputs to compile that graph with, and how many steps take it."""

    variant: Variant
    main: GraphModule
    inputs: list[Tensor]
    uses: int = 0


class Building:
    """Trace and simulate: what a population's steps are, its graphs interpreted."""

    def __init__(self, population: Population, external: list[str], batches: Batches) -> None:
        """`external`: paths of the learning rates that a schedule sets."""
        self.population, self.external, self.batches = population, external, batches

    def variants(self) -> tuple[list[Traced], Tracked]:
        """Every variant, and the numbers that are inputs."""
        external = dict.fromkeys(self.external, Kind("float64", own=True))
        tracked = external | changing_numbers(self.population, self.batches)
        for _ in range(ROUNDS):
            found = self._variants(read_values(self.population, tracked))
            if isinstance(found, list):
                return found, tracked
            tracked |= found
        raise NotCompilable("the numbers that its step changes keep changing their kind")

    def _variants(self, values: Values) -> list[Traced] | Tracked:
        """Every variant that the whole training needs, found by running the scalar programs through all its steps."""
        population, batches = self.population, self.batches
        made: list[Traced] = []
        scalars = scalars_of(values, population.width)
        sizes = {batches.at(step)[0].shape[1] for step in (0, batches.steps - 1)}
        total = population.run.total_steps
        for taken in range(population.warm, total):
            x, y = batches.at(taken % batches.steps)
            scalars |= scheduled(population, self.external, taken)
            found = _holding(made, x.shape[1], scalars)
            if found is None:
                if len(made) >= MOST_VARIANTS:
                    break
                traced = self._trace(values, scalars, x, y)
                if isinstance(traced, dict):
                    return traced
                made.append(traced)
                found = _holding([traced], x.shape[1], scalars)
                if found is None:
                    raise NotCompilable("its step decides by a value that changes while it is taken")
            used, updates = found
            used.uses += 1
            scalars |= updates
            if not any(t.variant.recipe.guards for t in made) and len(made) == len(sizes):
                used.uses += total - taken
                break
        if sum(t.uses for t in made) < LEAST_COMPILED * (total - population.warm):
            raise NotCompilable("its step reads values that change from step to step")
        return [t for t in made if t.uses >= LEAST_USED * total or len(made) < 3]

    def _trace(self, values: Values, scalars: dict[str, Any], x: Tensor, y: Tensor) -> Traced | Tracked:
        population = self.population
        now = Values(
            values.weights,
            {p: torch.as_tensor(scalars[p]) if p in scalars else t for p, t in values.tensors.items()},
            {p: torch.as_tensor(scalars[p]) for p in values.numbers},
            values.batched,
        )
        masks = Dropout(population.model, [member.noise for member in population.members])(x)
        trace = Trace(population, self.batches, now, x, y, masks)
        if trace.found:
            return trace.found
        recipe, main = split(trace, now, x.shape[1], self.external)
        variant = Variant(recipe, lambda inputs: main(*inputs))
        variant.run_program(scalars)  # for the coefficients
        known = now.all()
        given = [*(known[p].clone() for p in recipe.main_inputs), *(c.clone() for c in variant.coefficients)]
        return Traced(variant, main, given + [(x, y, *masks)[i] for i in recipe.used])


def _holding(made: Sequence[Traced], size: int, scalars: dict[str, Any]) -> tuple[Traced, dict[str, Any]] | None:
    """The variant that a step from these scalars takes, and the scalars that it changes."""
    for traced in made:
        variant = traced.variant
        if variant.recipe.size == size and variant.takes_equal(scalars):
            updates = variant.run_program(scalars)
            if updates is not None:
                return traced, updates
    return None
