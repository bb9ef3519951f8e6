"""Compiled steps without the compiler: the same traces, split, guarded and replayed, but their graphs are interpreted.

What the parity probe runs: it tests everything of the compiled form but torch's own compiler, in a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from assay.engine.compiled.build import Building
from assay.engine.compiled.cache import Artifact, Variant, make_buffers
from assay.engine.compiled.population import Compiled
from assay.engine.eager.batches import Batches


class Interpreted(Compiled):
    """A `Compiled` population whose artifact lives in memory."""

    def _artifact(self, batches: Batches) -> Artifact:
        steps, tracked = Building(self, self.external, batches).steps()
        variants: list[Variant] = []
        for size, guards, step, _, run in steps:
            coefficients = make_buffers(step.coefficients)
            variants.append(
                Variant(
                    size=size,
                    guards=guards,
                    host=run,
                    host_inputs=step.host_inputs,
                    host_updates=step.host_updates,
                    main=_interpreter(step.main),
                    main_inputs=step.main_inputs,
                    main_updates=step.main_updates,
                    used=step.used,
                    equal=step.equal,
                    coefficients=coefficients,
                    buffers=[c.numpy() for c in coefficients],
                )
            )
        return Artifact(variants, tracked)


def _interpreter(graph: Callable[..., Any]) -> Callable[[list[Tensor]], list[Tensor]]:
    return lambda inputs: list(graph(*inputs))
