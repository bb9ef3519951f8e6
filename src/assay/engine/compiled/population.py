"""A population whose steps run compiled: scalar program, guards, main graph. Where no guard holds, the eager step runs.

So a step that Python decides differently now and then (every fifth, the first of an epoch) is right in any case: it is
another compiled variant, or the eager form.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.engine.compiled.build import Building
from assay.engine.compiled.cache import compiled
from assay.engine.compiled.values import Tracked, as_numpy, external_rates, granted, read_values, scalars_of, scheduled
from assay.engine.compiled.variant import Variant
from assay.engine.eager.batches import Batches
from assay.engine.eager.object_graph import attributes, token, walk
from assay.engine.eager.optimizer_mode import UNSOUND
from assay.engine.eager.population import Population
from assay.engine.eager.python_numbers import as_number, is_number
from assay.engine.refusal import Again, Hindered, NotCompilable, NotVectorizable, Unsteady, refusal
from assay.engine.torch_private import batched, loads_graphs, vmap_level

Steps = tuple[list[Variant], Tracked]
EARLY = 16  # steps of the loop after which what an optimizer keeps should be there, if it wasn't after one
KEPT = 8  # contenders and shapes of chunks whose steps a process keeps
_kept: OrderedDict[Any, tuple[Steps | NotVectorizable, Any]] = OrderedDict()  # what is kept keeps its id


class Compiled(Population):
    """See the module. `missed` counts the steps that ran eagerly."""

    compiles = True
    unsound = f"it takes another branch than where its compiled steps were traced, or {UNSOUND.removeprefix('it ')}"

    def begin(self, batches: Batches) -> None:
        """Find the variants of a step, or make them."""
        if self.numerics.device != "cpu":
            raise NotCompilable("steps are compiled on a CPU only")
        self.missed = 0
        self._apply_schedule()
        self.external = external_rates(self)
        self.variants, self.tracked = self._steps(batches)
        recipes = [v.recipe for v in self.variants]
        self.updated = {p for r in recipes for p in (*r.scalar_updates, *r.main_updates)}
        self.needed = {p for r in recipes for p in (*r.scalar_inputs, *r.main_inputs)}
        self.granted = self._granted()
        self._bind()

    def _granted(self) -> dict[str, str]:
        """What the variants take for granted: what is no number and no tensor, and the numbers that are no inputs."""
        leaves = walk(self.optimizer, self.known).items()
        numbers = {p: repr(leaf.value) for p, leaf in leaves if leaf.kind == "number" and p not in self.tracked}
        return numbers | granted(self.optimizer, self.known)

    def _steps(self, batches: Batches) -> Steps:
        """All variants, and the numbers that are inputs: traced once for chunks of this process that are alike."""
        key = (type(self), id(self.given), id(self.contender), repr(self._facts(batches)))
        if key not in _kept:
            while len(_kept) >= KEPT:
                _kept.popitem(last=False)
            try:
                found: Steps | NotVectorizable = self._made(batches)
            except Exception as error:
                found, early = refusal(error), min(EARLY, batches.steps)
                if isinstance(found, Unsteady) and self.warm < early:
                    found = Again(str(found), warm=early)
                if isinstance(found, Hindered):  # chunks that are alike are refused alike, but for this
                    raise found from error
            _kept[key] = found, (self.given, self.contender)
        found, _ = _kept[key]
        if isinstance(found, NotVectorizable):
            raise found
        return found

    def _made(self, batches: Batches) -> Steps:
        if not loads_graphs:
            raise NotCompilable("this torch can't load compiled steps")
        traced, tracked = Building(self, self.external, batches).variants()
        return [Variant(t.variant.recipe, compiled(t.main, t.inputs)) for t in traced], tracked

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
                        self.evaluations += variant.recipe.evaluations
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
        made = [*variant.main([*inputs, *[batch[i] for i in recipe.used]])]
        scalars.update(updates)
        if recipe.checked:
            self.sound &= made.pop()
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
            self._granted() == self.granted
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

    def _facts(self, batches: Batches) -> list[Any]:
        """What decides how chunks of one task and contender are traced, in one process."""
        leaves = {path: (leaf.kind, repr(token(leaf))) for path, leaf in walk(self.optimizer, self.known).items()}
        leaves |= {path: ("granted", value) for path, value in granted(self.optimizer, self.known).items()}
        ends = (*batches.at(0), *batches.at(batches.steps - 1))
        return [
            (self.width, self.warm, self.share, self.wishes, self.numerics.dtype, self.external, self.stacked),
            (self.run.total_steps, batches.steps, [(tuple(t.shape), t.stride(), t.dtype) for t in ends]),
            sorted(leaves.items()),
            sorted((name, tuple(t.shape), name in self.trained) for name, t in self.weights.items()),
            sorted(attributes(self.model).items(), key=str),
            sorted(self.of_loss.items(), key=str),
            sorted(self.around.items(), key=str),
        ]


class Interpreted(Compiled):
    """Without the compiler: the same traces, split, guarded and replayed, but their graphs are interpreted, in memory.

    What the parity probe runs: it tests everything of the compiled form but torch's own compiler, in a second.
    """

    def _made(self, batches: Batches) -> Steps:
        traced, tracked = Building(self, self.external, batches).variants()
        return [t.variant for t in traced], tracked
