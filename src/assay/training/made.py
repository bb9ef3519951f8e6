"""Is what a contender makes an optimizer, and the same one each time? Said before anything is trained."""

from __future__ import annotations

from typing import Any

from assay.core import Contender, Member, Run, Task, steps_per_epoch
from assay.errors import UsageError
from assay.space import midpoint
from assay.training.data import load
from assay.training.numerics import loop_here
from assay.training.step import own_randomness, set_up

TIMES = 4


def validate_contender(task: Task, contender: Contender, device: str, split: int) -> None:
    """Make it a few times, with the same hyperparameters and other weights.

    Raises:
        UsageError: what it makes is no optimizer, or another one, or the same with other settings, from one time to the next.
    """
    numerics = loop_here(device)
    steps = steps_per_epoch(len(load(task, split, numerics.dtype, device).train[0]), task.batch_size)
    run = Run(task.epochs * steps, task.epochs, steps, fused=True)
    chosen = {name: midpoint(dimension) for name, dimension in contender.space.items()}
    members = (Member(0, "tune", 0, i, chosen, split, i, i, i) for i in range(TIMES))
    with own_randomness():
        ready = [set_up(task, contender, member, numerics, run) for member in members]
    if not any(p.requires_grad for p in ready[0].model.parameters()):
        raise UsageError(
            f"{contender.name} freezes all of the model's parameters when it is made (requires_grad is False), so nothing can be "
            "trained"
        )
    made = [_described(one.optimizer) for one in ready]
    for name, other in made[1:]:
        if name != made[0][0]:
            raise UsageError(
                f"{contender.name} makes a {made[0][0]} at one time and a {name} at another, with the same hyperparameters: "
                "nothing can be said of both under one name; make one of them, and the other as a contender of its own"
            )
        if differing := sorted(
            key for key in made[0][1].keys() | other.keys() if made[0][1].get(key) != other.get(key)
        ):
            raise UsageError(
                f"{contender.name} makes a {name} with another {differing[0].partition('.')[2]} at each time, though its "
                "hyperparameters are the same: it draws it, or counts; tune it, or fix it"
            )


def _described(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """The name of an optimizer's class, and the plain settings of its groups."""
    settings: dict[str, Any] = {}
    groups: list[dict[str, Any]] = getattr(optimizer, "param_groups", [])
    for place, group in enumerate(groups):
        settings |= {f"{place}.{key}": v for key, v in group.items() if isinstance(v, bool | int | float | str)}
    return type(optimizer).__qualname__, settings
