"""One member's own model and optimizer, as the loop makes them, and which of its numbers are tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from assay.core import Contender, Member, Numerics, Run, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.object_graph import Leaf, walk
from assay.engine.eager.refusal import NotVectorizable
from assay.space import Choice
from assay.training import loop
from assay.training.seeding import seed_all


@dataclass
class One:
    """A member's own model and optimizer, as the loop makes them, after `warm` steps of the loop."""

    model: nn.Module
    optimizer: Any
    step: loop.Step

    @property
    def known(self) -> dict[int, str]:
        """id → name of every parameter and buffer."""
        return {id(t): name for name, t in (*self.model.named_parameters(), *self.model.named_buffers())}

    def leaves(self) -> dict[str, Leaf]:
        """The optimizer's leaves by path."""
        return walk(self.optimizer, self.known)


def build(task: Task, contender: Contender, member: Member, numerics: Numerics, run: Run) -> One:
    """A member's model and optimizer with the weights that its seed gives; the global generator is left seeded for noise."""
    seed_all(member.init, numerics.device)
    model = task.model().to(numerics.device, getattr(torch, numerics.dtype))
    optimizer = contender.make(model, run, **{**contender.fixed, **member.hyperparameters})
    for group in getattr(optimizer, "param_groups", ()):
        for option in ("foreach", "fused"):  # one tensor at a time is what vmap takes
            if option in group:
                group[option] = False
    seed_all(member.noise, numerics.device)
    return One(model, optimizer, loop.Step(task, contender, model, optimizer, run))


def tuned_numbers(
    task: Task, contender: Contender, member: Member, numerics: Numerics, batches: Batches
) -> frozenset[str]:
    """Paths of the numbers that depend on a tuned hyperparameter, whatever the members of a chunk happen to have.

    Found by making the optimizer with other values, one hyperparameter at a time, and taking a step.
    """
    key = (id(task), id(contender), numerics.dtype)
    kept = _TUNED.get(key)
    if kept is not None:
        return kept[0]

    def numbers(values: Mapping[str, Any]) -> dict[str, Any]:
        changed = Member(**{**_fields(member), "hyperparameters": {**member.hyperparameters, **values}})
        one = build(task, contender, changed, numerics, batches.run)
        loop._mode(one.model, one.optimizer, training=True)
        one.step(*batches.of_member(0, 0))
        return {path: leaf.value for path, leaf in one.leaves().items() if leaf.kind == "number"}

    reference, found = numbers({}), set[str]()
    for name, dimension in contender.space.items():
        if isinstance(dimension, Choice):
            continue
        for value in (dimension.low, dimension.high):
            try:
                other = numbers({name: value})
            except NotVectorizable:
                raise
            except Exception:  # a value the optimizer refuses tells nothing
                continue
            found |= {
                p
                for p in reference.keys() & other.keys()
                if other[p] != reference[p] and not isinstance(other[p], bool)
            }
    if len(_TUNED) > 64:
        _TUNED.clear()
    _TUNED[key] = (frozenset(found), task, contender)
    return frozenset(found)


_TUNED: dict[Any, tuple[frozenset[str], Task, Contender]] = {}


def _fields(member: Member) -> dict[str, Any]:
    return {name: getattr(member, name) for name in member.__struct_fields__}
