"""Settings that were tuned at the smallest of several sizes, carried over to another one by a rule."""

from __future__ import annotations

import math

import msgspec
import polars as pl

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.core import Carried, ContenderInfo, Hyperparameters, Plan, Rule, Science, TaskInfo
from assay.space import Float


def factor(rule: Rule, axis: str, size: float, smallest: float) -> float:
    """What a learning rate is multiplied by at a size, where it was tuned at the smallest.

    `1/width` is what the maximal update parametrization has Adam's hidden matrices do (Yang et al. 2021, table 3); the root is
    that of the batch size, with which the noise of a step falls (Malladi et al. 2022), or half of the way to 1/width.

    Example:
        >>> factor("1/width", "width", 128, 32), factor("sqrt", "batch_size", 128, 32)
        (0.25, 2.0)

    Raises:
        ValueError: the rule says nothing about that axis.
    """
    if rule == "none":
        return 1.0
    if axis == "width":
        return smallest / size if rule == "1/width" else math.sqrt(smallest / size)
    if axis == "batch_size" and rule == "sqrt":
        return math.sqrt(size / smallest)
    raise ValueError(f"the rule {rule} says nothing about {axis.replace('_', ' ')}")


def carried_over(plan: Plan, frame: pl.DataFrame, task: TaskInfo, rule: Rule, axis: str, at: str) -> Science:
    """The science of a larger size, from the finished record (`plan`, `frame`) of the smallest.

    Args:
        task: that of the larger size; all else is as it was.
        at: the smallest size, in words.
    """
    tuned = reached(plan, frame)
    arrays, smaller = RecordArrays(tuned, frame), tuned.science
    times = factor(rule, axis, size_of(task, axis), size_of(smaller.task, axis))
    infos = tuple(_moved(info, times) for info in smaller.contenders)
    chosen = tuple(
        tuple(_within(info, arrays.chosen(slot, k), times) for k in range(smaller.protocol.replicates))
        for slot, info in enumerate(infos)
    )
    carried = Carried(of=plan.science.plan_hash, at=at, rule=rule, factor=times, chosen=chosen)
    protocol = msgspec.structs.replace(smaller.protocol, trials=1, pilot=msgspec.UNSET, carried=carried)
    return msgspec.structs.replace(smaller, task=task, contenders=infos, protocol=protocol)


def size_of(task: TaskInfo, axis: str) -> float:
    """A task's size on an axis: its batch size and epochs, or else an option of that name."""
    value = getattr(task, axis) if axis in ("batch_size", "epochs") else task.options[axis]
    return float(value)


def _moved(info: ContenderInfo, times: float) -> ContenderInfo:
    """The contender with its range of the learning rate moved along; no pilot looks for one."""
    space, found = dict(info.space), info.space.get("lr")
    if isinstance(found, Float):
        space["lr"] = msgspec.structs.replace(found, low=times * found.low, high=times * found.high)
    return msgspec.structs.replace(info, space=space, pilot=msgspec.UNSET)


def _within(info: ContenderInfo, chosen: Hyperparameters, times: float) -> Hyperparameters:
    """What was chosen, its rate multiplied, and not beyond its range by rounding."""
    found = info.space.get("lr")
    if not isinstance(found, Float):
        return dict(chosen)
    return {**chosen, "lr": min(max(times * float(chosen["lr"]), found.low), found.high)}
