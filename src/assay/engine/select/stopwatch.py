"""What one member's step takes here: a few steps, timed, the quicker ones taken."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from assay.core import Contender, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import draw_masks, dropout_sites
from assay.engine.eager.population import Population
from assay.engine.eager.refusal import Again
from assay.training.member_setup import set_up


def seconds_of_loop(task: Task, contender: Contender, member: Member, numerics: Numerics) -> tuple[float, int]:
    """One step of the loop, and how many a training takes."""
    batches = Batches(task, [member], numerics)
    batches.shuffle()
    step = set_up(task, contender, member, numerics, replace(batches.run, fused=True)).step
    return _seconds(lambda x, y: step(x[0], y[0]), batches), batches.run.total_steps


def seconds_of_eager(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> float:
    """One step of these members in the eager engine, a member's share of it."""
    batches = Batches(task, members, numerics)
    batches.shuffle()
    population = begun(task, contender, members, numerics, batches)
    return _seconds(_step_of(population, batches), batches) / population.width


def begun(
    task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics, batches: Batches
) -> Population:
    """A population that has taken a step, with the options that this step shows it needs."""
    options: dict[str, bool] = {}
    while True:
        try:
            population = Population(task, contender, members, numerics, batches, **options)
            _step_of(population, batches)(*batches.at(0))
            return population
        except Again as again:
            if again.change.keys() <= options.keys():
                raise
            options |= again.change


def _step_of(population: Population, batches: Batches) -> Callable[[Tensor, Tensor], object]:
    x, _ = batches.at(0)
    sites = dropout_sites(population.model, x[0])
    noise = [torch.Generator(device=x.device).manual_seed(i) for i in range(population.width if sites else 0)]
    return lambda x, y: population.step(x, y, draw_masks(sites, noise, x))


def _seconds(step: Callable[[Tensor, Tensor], object], batches: Batches, steps: int = 12) -> float:
    times: list[float] = []
    for i in range(steps):
        x, y = batches.at(i % max(1, batches.steps - 1))
        started = time.perf_counter()
        step(x, y)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        times.append(time.perf_counter() - started)
    return sorted(times)[steps // 4]
