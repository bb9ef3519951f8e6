"""A population whose steps run compiled: scalar program, guards, main graph. Where no guard holds, the eager step runs.

So a step that Python decides differently now and then (every fifth, the first of an epoch) is right in any case: it is
another compiled variant, or the eager form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.engine.compiled import cache as artifacts
from assay.engine.compiled.build import Building
from assay.engine.compiled.cache import Artifact
from assay.engine.compiled.values import as_numpy, external_rates, plain, read_values, scalars_of, scheduled
from assay.engine.compiled.variant import Variant
from assay.engine.eager.batches import Batches
from assay.engine.eager.object_graph import code_of_class, settings, token, walk
from assay.engine.eager.population import Population
from assay.engine.eager.python_numbers import as_number, is_number
from assay.engine.refusal import Hindered, NotCompilable
from assay.engine.torch_private import batched, loads_graphs, vmap_level


class Compiled(Population):
    """See the module. `missed` counts the steps that ran eagerly."""

    compiles = True

    def begin(self, batches: Batches) -> None:
        """Find the variants of a step, or make them."""
        if self.numerics.device != "cpu":
            raise NotCompilable("steps are compiled on a CPU only")
        self.missed = 0
        self._apply_schedule()
        self.external = external_rates(self)
        self.variants, self.tracked = self._artifact(batches)
        recipes = [v.recipe for v in self.variants]
        self.updated = {p for r in recipes for p in (*r.scalar_updates, *r.main_updates)}
        self.needed = {p for r in recipes for p in (*r.scalar_inputs, *r.main_inputs)}
        self.plain = plain(self.optimizer, self.known)
        self._bind()

    def _artifact(self, batches: Batches) -> Artifact:
        """From disk, or built, by one process for all."""
        if not loads_graphs:
            raise NotCompilable("this torch can't load compiled steps")
        key = artifacts.key_of(self._facts(batches))
        artifact = artifacts.load(key)
        try:
            if artifact is None:
                with artifacts.locked(key):
                    artifact = artifacts.load(key) or Building(self, self.external, batches).save(key)
        except OSError as error:
            folder = artifacts.folder_of(key).parent
            raise Hindered(
                f"compiled steps can't be kept in {folder} ({error.strerror}): make room, or set ASSAY_CACHE"
            ) from error
        if artifact is None:
            raise NotCompilable("its compiled step can't be read back")
        return artifact

    # ------------------------------------------------------------------------------------------------------ steps

    def step(self, x: Tensor, y: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """As the eager step, compiled wherever a variant's guards hold."""
        if not self.eager:
            self.scalars |= scheduled(self, self.external, self.taken)
            for variant, inputs in self.bound:
                if variant.recipe.size == x.shape[1]:
                    diagnostics = self._try(variant, inputs, (x, y, *masks))
                    if diagnostics is not None:
                        self.taken += 1
                        return diagnostics
        self.missed += 1
        self._to_template()
        diagnostics = super().step(x, y, masks)
        self._bind()
        return diagnostics

    def _try(self, variant: Variant, inputs: list[Tensor], batch: Sequence[Tensor]) -> Tensor | None:
        scalars, recipe = self.scalars, variant.recipe
        if variant is not self.last and not variant.takes_equal(scalars):
            return None
        updates = variant.run_program(scalars)
        if updates is None:
            return None
        self.last = variant
        made = variant.main([*inputs, *[batch[i] for i in recipe.used]])
        scalars.update(updates)
        for path, value in zip(recipe.main_updates, made[1:], strict=True):
            self.tensors[path].copy_(value)
            scalars[path] = as_numpy(value)
        return made[0]

    def switch(self, training: bool) -> None:
        """As the eager one, on values that are brought up to date before and read again after."""
        if callable(getattr(self.optimizer, "train" if training else "eval", None)):
            self._to_template()
            super().switch(training)
            self._bind()

    # ------------------------------------------------------------------------- between the template and the variants

    def _bind(self) -> None:
        """Read the template's values for the variants; if it keeps other things by now, the rest runs eagerly."""
        values = read_values(self, self.tracked)
        self.tensors, self.scalars = values.all(), scalars_of(values, self.width)
        self.last: Variant | None = None  # equal scalars stay equal while one variant runs
        self.eager = not (
            plain(self.optimizer, self.known) == self.plain
            and self.needed <= self.tensors.keys()
            and all(t.stride() == self.lay(t).stride() for t in self.tensors.values())
        )
        self.bound = [
            (v, [*(self.tensors[p] for p in v.recipe.main_inputs), *v.coefficients])
            for v in self.variants
            if not self.eager
        ]

    def _to_template(self) -> None:
        """Give the template the values that the variants have reached."""
        if self.eager:
            return
        with vmap_level(self.width) as level:
            for path, leaf in walk(self.optimizer, self.known).items():
                value = self.scalars.get(path)
                if value is None:
                    continue
                if leaf.kind == "tensor" and not is_number(leaf.value):
                    if path in self.updated:
                        self.tensors[path].copy_(torch.as_tensor(value))
                elif path in self.tracked or leaf.kind == "tensor":
                    leaf.put(as_number(batched(torch.as_tensor(value), level)) if np.ndim(value) else value.item())

    # -------------------------------------------------------------------------------------------------------- the key

    def _facts(self, batches: Batches) -> dict[str, Any]:
        code = walk((self.task.model, self.task.loss, self.contender.make, dict(self.contender.fixed)), {})
        leaves = {path: (leaf.kind, repr(token(leaf))) for path, leaf in walk(self.optimizer, self.known).items()}
        kinds = {type(m) for m in self.model.modules()} | {type(self.optimizer), type(self.task.loss)}
        return {
            "classes": sorted(f"{kind.__qualname__} {code_of_class(kind)}" for kind in kinds),
            "model": settings(self.model),
            "code": {path: repr(token(leaf)) for path, leaf in code.items()},
            "sources": [self.task.source, self.contender.source],
            "width": self.width,
            "options": [self.share, self.wishes],
            "dtype": self.numerics.dtype,
            "weights": {n: (tuple(t.shape), n in self.trained) for n, t in self.weights.items()},
            "leaves": leaves,
            "stacked": self.stacked,
            "external": self.external,
            "tuned": sorted(self.tuned),
            "steps": (self.run.total_steps, batches.steps),
            "batch": [
                (tuple(t.shape), t.stride(), str(t.dtype)) for t in (*batches.at(0), *batches.at(batches.steps - 1))
            ],
        }


class Interpreted(Compiled):
    """Without the compiler: the same traces, split, guarded and replayed, but their graphs are interpreted, in memory.

    What the parity probe runs: it tests everything of the compiled form but torch's own compiler, in a second.
    """

    def _artifact(self, batches: Batches) -> Artifact:
        traced, tracked = Building(self, self.external, batches).variants()
        return [t.variant for t in traced], tracked
