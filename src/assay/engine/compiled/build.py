"""Making the variants of a compiled step: which there must be, their graphs, and the compiler's run over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from assay.engine.compiled import cache as artifacts
from assay.engine.compiled import trace as tracing
from assay.engine.compiled.partition import split
from assay.engine.compiled.scalar_program import as_numpy
from assay.engine.compiled.values import Kind, Tracked, Values, read_values
from assay.engine.compiled.variant import Variant
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import draw_masks, dropout_sites
from assay.engine.eager.population import Population
from assay.engine.eager.refusal import Again, NotCompilable, refusal

ROUNDS = 8  # traces until every number that changes is an input
MOST_VARIANTS = 6
LEAST_COMPILED = 0.75  # of the steps; below, compiling them isn't worth it
LEAST_USED = 0.01  # of the steps; a variant that is rarer runs eagerly


@dataclass(frozen=True)
class Traced:
    """A variant whose main graph is interpreted, and example inputs to compile that graph with."""

    variant: Variant
    main: GraphModule
    inputs: list[Tensor]


class Building:
    """Trace, simulate, compile: done once, by whoever needs the artifact first."""

    def __init__(self, population: Population, external: Sequence[str], batches: Batches) -> None:
        self.population, self.external, self.batches = population, external, batches

    def save(self, key: str) -> None:
        """Build the artifact, or one that says why there is none."""
        with artifacts.recording_sources() as files:
            try:
                traced, tracked = self.variants()
                reason = ""
            except (OSError, MemoryError):
                raise
            except Exception as error:
                refused = refusal(error)
                if isinstance(refused, Again):
                    raise refused from error
                traced, tracked, reason = [], {}, str(refused)
        kept = artifacts.Document([t.variant.recipe for t in traced], tracked, artifacts.hashes(files), reason)
        artifacts.save(key, kept, [(t.main, t.inputs) for t in traced])

    def variants(self) -> tuple[list[Traced], Tracked]:
        """Every variant, and the numbers that are inputs."""
        tracked = tracing.changing_numbers(self.population, self.batches)
        for path in self.external:
            tracked.setdefault(path, Kind("float64", True))
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
        uses: list[int] = []
        scalars = {
            p: as_numpy(t) for p, t in {**values.tensors, **values.numbers}.items() if t.numel() <= population.width
        }
        total = population.run.total_steps
        for taken in range(population.warm, total):
            x, y = batches.at(taken % batches.steps)
            scalars.update(self._scheduled(taken))
            found = self._holding(made, x.shape[1], scalars)
            if found is None:
                if len(made) >= MOST_VARIANTS:
                    break
                traced = self._trace(values, scalars, x, y)
                if isinstance(traced, dict):
                    return traced
                made.append(traced)
                uses.append(0)
                found = self._holding(made[-1:], x.shape[1], scalars)
                if found is None:
                    raise NotCompilable("its step decides by a value that changes while it is taken")
                found = len(made) - 1, found[1]
            uses[found[0]] += 1
            scalars.update(found[1])
            if not any(t.variant.recipe.guards for t in made) and len(made) == len(self._sizes()):
                uses[found[0]] += total - taken
                break
        if sum(uses) < LEAST_COMPILED * (total - population.warm):
            raise NotCompilable("its step reads values that change from step to step")
        return [
            variant for variant, used in zip(made, uses, strict=True) if used >= LEAST_USED * total or len(made) < 3
        ]

    def _sizes(self) -> set[int]:
        """The batch sizes of an epoch."""
        return {self.batches.at(step)[0].shape[1] for step in (0, self.batches.steps - 1)}

    def _scheduled(self, taken: int) -> dict[str, Any]:
        """The learning rates that a schedule sets before step `taken`."""
        population = self.population
        if not self.external:
            return {}
        factor = population.contender.schedule(taken / population.run.total_steps)  # type: ignore[misc]
        return {p: i.numpy() * factor for p, i in zip(self.external, population.initial, strict=True)}

    def _holding(self, made: Sequence[Traced], size: int, scalars: dict[str, Any]) -> tuple[int, Any] | None:
        """The variant that a step from these scalars takes, and the scalars that it changes."""
        for i, variant in enumerate(traced.variant for traced in made):
            if variant.recipe.size == size and variant.takes_equal(scalars):
                results = variant.run_program(scalars)
                if results is not None:
                    return i, dict(zip(variant.recipe.scalar_updates, results, strict=True))
        return None

    def _trace(self, values: Values, scalars: dict[str, Any], x: Tensor, y: Tensor) -> Traced | Tracked:
        population = self.population
        now = Values(
            values.weights,
            {p: torch.as_tensor(scalars[p]) if p in scalars else t for p, t in values.tensors.items()},
            {p: torch.as_tensor(scalars[p]) for p in values.numbers},
            values.batched,
        )
        sites = dropout_sites(population.model, x[0])
        noise = [torch.Generator().manual_seed(m.noise) for m in population.members]
        masks = draw_masks(sites, noise, x)
        traced = tracing.trace(population, self.batches, now, x, y, masks)
        if not isinstance(traced, tracing.Trace):
            return traced
        recipe, main = split(traced, now, x.shape[1], frozenset(self.external))
        variant = Variant.of(recipe, lambda inputs: main(*inputs))
        variant.run_program(scalars)  # for the coefficients
        known = {**now.weights, **now.tensors, **now.numbers}
        given = [*(known[p].clone() for p in recipe.main_inputs), *(c.clone() for c in variant.coefficients)]
        return Traced(variant, main, given + [(x, y, *masks)[i] for i in recipe.used])
