"""Which of the numbers that an optimizer keeps depend on a tuned hyperparameter."""

from __future__ import annotations

from typing import Any

import msgspec

from assay.core import Contender, Hyperparameters, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.object_graph import leaves_of
from assay.space import Choice
from assay.training.step import Step, set_up

KEPT = 64


def tuned_numbers(
    task: Task, contender: Contender, member: Member, numerics: Numerics, batches: Batches
) -> frozenset[str]:
    """Paths of the numbers that a tuned hyperparameter changes, whatever the members of a chunk happen to have.

    Found by making the optimizer with other values, one hyperparameter at a time, and taking a step.
    """
    key = (id(task), id(contender), numerics.dtype)
    if key in _kept:
        return _kept[key][0]

    def stepped(values: Hyperparameters) -> Step:
        changed = msgspec.structs.replace(member, hyperparameters={**member.hyperparameters, **values})
        setup = set_up(task, contender, changed, numerics, batches.run)
        setup(*batches.of_member(0, 0))
        return setup

    reference, found = _numbers(stepped({})), set[str]()
    for name, dimension in contender.space.items():
        for value in () if isinstance(dimension, Choice) else (dimension.low, dimension.high):
            try:
                setup = stepped({name: value})
            except Exception:  # a value the optimizer refuses tells nothing
                continue
            changed = {p: v for p, v in _numbers(setup).items() if p in reference and v != reference[p]}
            found |= {p for p, v in changed.items() if type(v) is not bool}
    if len(_kept) > KEPT:
        _kept.clear()
    _kept[key] = frozenset(found), task, contender
    return frozenset(found)


_kept: dict[tuple[int, int, str], tuple[frozenset[str], Task, Contender]] = {}  # what is kept keeps its id


def _numbers(setup: Step) -> dict[str, Any]:
    return {path: leaf.value for path, leaf in leaves_of(setup).items() if leaf.kind == "number"}
