"""How long things take here: measured beside each other, medians, never part of a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from assay.core import Contender, Member, Numerics, Run, Task, steps_per_epoch
from assay.training import loop
from assay.training.data import load
from assay.training.step import own_randomness, set_up

ROUNDS, STEPS = 15, 20


class Timed(NamedTuple):
    """Training samples of a data set, tokens of one (0 where it is none of text), and seconds of one training step."""

    samples: int
    tokens: int
    seconds: float


def step_seconds(task: Task, contender: Contender, member: Member, numerics: Numerics) -> Timed:
    """Of a step in the loop, evaluation's share included."""
    short = replace(task, epochs=1)
    loop.train(short, contender, [member], numerics)  # pays for what torch sets up on first use
    curves = loop.train(short, contender, [member], numerics)
    samples = curves.data[0].train_samples
    _, targets = load(task, member.split, numerics.dtype, numerics.device).train
    tokens = targets[0].numel() if targets.ndim == 2 and not targets.is_floating_point() else 0
    return Timed(samples, tokens, float(curves.seconds[0]) / steps_per_epoch(samples, task.batch_size))


def optimizer_seconds(
    task: Task, contenders: Sequence[Contender], members: Sequence[Member], numerics: Numerics
) -> np.ndarray:
    """Seconds (rounds, 1 + contenders): of one gradient, then of one `optimizer.step()` alone for each contender at a member's
    hyperparameters.

    In turn, round by round, on a gradient that stays. NaN with a closure, and for a step that fails where its gradient isn't new
    (one that takes gradients off, say): it isn't timed.
    """
    data = load(task, members[0].split, numerics.dtype, numerics.device)
    x, y = (part[: task.batch_size] for part in data.train)
    optimizers: list[Any] = []
    with own_randomness():
        for contender, member in zip(contenders, members, strict=True):
            step = set_up(task, contender, member, numerics, Run(ROUNDS * STEPS, 1, ROUNDS * STEPS, fused=True))
            task.loss(step.model(x), y).backward()
            optimizers.append(step.optimizer if step.closure == "no" else None)
        model = set_up(task, contenders[0], members[0], numerics, Run(STEPS, 1, STEPS)).model

        def gradient() -> None:
            model.zero_grad()
            task.loss(model(x), y).backward()

        seconds = np.full((ROUNDS, 1 + len(contenders)), np.nan)
        for r in range(ROUNDS):
            seconds[r, 0] = _timed(gradient)
            for i, optimizer in enumerate(optimizers):
                if optimizer is None:
                    continue
                try:
                    seconds[r, 1 + i] = _timed(optimizer.step)
                except Exception:
                    optimizers[i], seconds[:, 1 + i] = None, np.nan
    return seconds[1:]


def _timed(does: Callable[[], Any]) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        does()
    return (time.perf_counter() - started) / STEPS
