"""The engine that `Numerics` names, beside the loop: members trained as one population, eager or compiled."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core import Contender, Curves, Member, Numerics, Task

from .eager.population import Population
from .eager.train import train_with


def train(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> Curves:
    """As `train_with`, with the kind of population that the numerics ask for."""
    if not numerics.compiled:
        return train_with(Population, task, contender, members, numerics)
    from .compiled.population import Compiled  # loads torch's compiler

    return train_with(Compiled, task, contender, members, numerics)
