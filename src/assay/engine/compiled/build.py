"""Making the variants of a compiled step: which there must be, their graphs, and the compiler's run over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.engine.compiled import cache as artifacts
from assay.engine.compiled import partition as graphs
from assay.engine.compiled import trace as tracing
from assay.engine.compiled.scalar_program import as_numpy, program
from assay.engine.compiled.values import Kind, Tracked, Values, holds, read_values
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import draw_masks, dropout_sites
from assay.engine.eager.population import Population
from assay.engine.eager.refusal import Again, NotCompilable, refusal

ROUNDS = 8  # traces until every number that changes is an input
MOST_VARIANTS = 6
LEAST_COMPILED = 0.75  # of the steps; below, compiling them isn't worth it
LEAST_USED = 0.01  # of the steps; a variant that is rarer runs eagerly


def equal_values(groups: Sequence[Sequence[str]], scalars: Mapping[str, Any]) -> bool:
    """Whether the scalars that a variant takes for one are equal."""
    return all(np.array_equal(scalars[a], scalars[b], equal_nan=True) for a, *others in groups for b in others)


class Building:
    """Trace, simulate, compile: done once, by whoever needs the artifact first."""

    def __init__(self, population: Population, external: Sequence[str], batches: Batches) -> None:
        self.population, self.external, self.batches = population, external, batches

    def save(self, key: str) -> None:
        """Build the artifact, or one that says why there is none."""
        with artifacts.recording_sources() as files:
            try:
                steps, tracked = self.steps()
                reason = ""
            except (OSError, MemoryError):
                raise
            except Exception as error:
                refused = refusal(error)
                if isinstance(refused, Again):
                    raise refused from error
                steps, tracked, reason = [], {}, str(refused)
        artifacts.save(key, [s[:4] for s in steps], tracked, artifacts.hashes(files), reason)

    def steps(self) -> tuple[list[Any], Tracked]:
        """Every variant (batch size, guards, step, example inputs, host program), and the numbers that are inputs."""
        tracked = tracing.changing_numbers(self.population, self.batches)
        for path in self.external:
            tracked.setdefault(path, Kind("float64", True))
        for _ in range(ROUNDS):
            found = self._variants(read_values(self.population, tracked))
            if isinstance(found, list):
                return found, tracked
            tracked |= found
        raise NotCompilable("the numbers that its step changes keep changing their kind")

    def _variants(self, values: Values) -> list[Any] | Tracked:
        """Every variant that the whole training needs, found by running the host programs through all its steps."""
        population, batches = self.population, self.batches
        made: list[Any] = []
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
            if not any(guards for _, guards, *_ in made) and len(made) == len(self._sizes()):
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

    def _holding(self, made: Sequence[Any], size: int, scalars: dict[str, Any]) -> tuple[int, Any] | None:
        for i, (variant_size, guards, step, _, run) in enumerate(made):
            if variant_size != size or not equal_values(step.equal, scalars):
                continue
            results = run(
                *[scalars[p] for p in step.host_inputs], *[b.numpy() for b in artifacts.make_buffers(step.coefficients)]
            )
            count = len(step.host_updates)
            if all(holds(g, v) for g, v in zip(guards, results[count : count + len(guards)], strict=True)):
                return i, dict(zip(step.host_updates, results, strict=False))
        return None

    def _trace(self, values: Values, scalars: dict[str, Any], x: Tensor, y: Tensor) -> Any:
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
        step = graphs.split(traced, now, frozenset(self.external))
        run = program(step.host, step.constants)
        coefficients = artifacts.make_buffers(step.coefficients)
        run(*[scalars[p] for p in step.host_inputs], *[c.numpy() for c in coefficients])
        known = {**now.weights, **now.tensors, **now.numbers}
        inputs = [known[p].clone() for p in step.main_inputs] + coefficients + [(x, y, *masks)[i] for i in step.used]
        return x.shape[1], traced.guards, step, inputs, run
