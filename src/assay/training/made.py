"""Is what a contender makes an optimizer, and the same one each time? Said before anything is trained."""

from __future__ import annotations

from typing import Any

from torch import nn

from assay.core import Contender, Member, Run, Task, steps_per_epoch
from assay.errors import UsageError
from assay.training.data import load
from assay.training.numerics import loop_here
from assay.training.step import own_randomness, set_up

TIMES = 4


def validate_contender(task: Task, contender: Contender, device: str, split: int) -> str:
    """Make it a few times, with the same hyperparameters and other weights; which of the parameters it isn't given, in words.

    Raises:
        UsageError: what it makes is no optimizer, or another one, or the same with other settings, from one time to the next.
    """
    numerics = loop_here(device)
    steps = steps_per_epoch(len(load(task, split, numerics.dtype, device).train[0]), task.batch_size)
    run = Run(task.epochs * steps, task.epochs, steps, fused=True)
    members = (Member(0, "tune", 0, i, contender.middle, split, i, i, i) for i in range(TIMES))
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
    return _left_out(ready[0].model, ready[0].optimizer)


def _left_out(model: nn.Module, optimizer: Any) -> str:
    """Empty where it is given all that can be trained, by its own groups or those of optimizers that it holds."""
    held = getattr(optimizer, "__dict__", {}).values()
    holders = [optimizer, *held, *(one for many in held if isinstance(many, list | tuple) for one in many)]
    groups = [group for one in holders for group in getattr(one, "param_groups", ())]
    given = {id(p) for group in groups for p in group["params"]}
    wanted = {name: p for name, p in model.named_parameters() if p.requires_grad}
    missing = [name for name, p in wanted.items() if id(p) not in given]
    if not missing or not given:  # of one without groups nothing can be told
        return ""
    return (
        f"its optimizer is given {len(wanted) - len(missing)} of the model's {len(wanted)} parameters; the others stay as they "
        f"began: {', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}"
    )


def _described(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """The name of an optimizer's class, and the plain settings of its groups."""
    settings: dict[str, Any] = {}
    groups: list[dict[str, Any]] = getattr(optimizer, "param_groups", [])
    for place, group in enumerate(groups):
        settings |= {f"{place}.{key}": v for key, v in group.items() if isinstance(v, bool | int | float | str)}
    return type(optimizer).__qualname__, settings
