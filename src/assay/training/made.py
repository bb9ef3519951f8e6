"""Is what a contender makes an optimizer, and the same one each time? Said before anything is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from assay.core import Contender, Member, Run, Task, steps_per_epoch
from assay.errors import UsageError
from assay.training.data import load
from assay.training.numerics import loop_here
from assay.training.step import own_randomness, set_up

TIMES = 4
DEEP = 8  # containers and optimizers within each other


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
    """Empty where it is given all that can be trained, as far as can be told, or nothing can."""
    given: set[int] = set()
    with contextlib.suppress(Exception):  # whatever stands in a user's groups: nothing is refused for it
        given |= {id(tensor) for tensor in _tensors_of(optimizer, DEEP)}
    wanted = {name: p for name, p in model.named_parameters() if p.requires_grad}
    missing = [name for name, p in wanted.items() if id(p) not in given]
    if not 0 < len(missing) < len(wanted):
        return ""
    return (
        f"its optimizer is given {len(wanted) - len(missing)} of the model's {len(wanted)} parameters; the others may stay as "
        f"they began: {', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}"
    )


def _tensors_of(thing: Any, depth: int) -> Iterator[Tensor]:
    """In its containers, and in those of optimizers that it holds."""
    if isinstance(thing, Tensor):
        yield thing
    elif depth:
        held = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list | tuple | set) else ()
        own = vars(thing).values() if hasattr(thing, "__dict__") and callable(getattr(thing, "step", None)) else ()
        for part in (*held, *own):
            yield from _tensors_of(part, depth - 1)


def _described(optimizer: Any) -> tuple[str, dict[str, Any]]:
    """The name of an optimizer's class, and the plain settings of its groups."""
    settings: dict[str, Any] = {}
    groups: list[dict[str, Any]] = getattr(optimizer, "param_groups", [])
    for place, group in enumerate(groups):
        settings |= {f"{place}.{key}": v for key, v in group.items() if isinstance(v, bool | int | float | str)}
    return type(optimizer).__qualname__, settings
