"""Compiled steps without the compiler: the same traces, split, guarded and replayed, but their graphs are interpreted.

What the parity probe runs: it tests everything of the compiled form but torch's own compiler, in a second.
"""

from __future__ import annotations

from assay.engine.compiled.build import Building
from assay.engine.compiled.cache import Artifact
from assay.engine.compiled.population import Compiled
from assay.engine.eager.batches import Batches


class Interpreted(Compiled):
    """A `Compiled` population whose artifact lives in memory."""

    def _artifact(self, batches: Batches) -> Artifact:
        traced, tracked = Building(self, self.external, batches).variants()
        return Artifact([t.variant for t in traced], tracked)
