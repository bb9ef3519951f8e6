"""What is measured before an engine is chosen: the time of a member's step, and how many members share a chunk.

Of a few steps the quicker ones are taken. A chunk is as large as stays in a core's cache, or fits a GPU's memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import torch
from torch import Tensor, nn

from assay.core import Contender, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import Dropout
from assay.engine.eager.object_graph import leaves_of
from assay.engine.eager.population import Population
from assay.engine.refusal import made_with_options
from assay.training.numerics import Demand
from assay.training.step import own_randomness, set_up

CHUNK_BYTES = 5_000_000  # a chunk's weights, state and activations that a core still gets through quickly (Zen 3)
DATA_BYTES = 256_000_000  # of members' training data in their own orders, in each process
LARGEST = 16
SPLIT_ABOVE = 1_000  # members that fill a GPU well enough for another process to have a chunk of its own
MEMORY_SHARE = 0.7  # of a GPU's free memory: the rest is lost between blocks, or taken by what isn't measured
CONTEXT_BYTES = 600_000_000  # what a process takes of a GPU's memory before it computes anything


def chunk_size(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics, demand: Demand) -> int:
    """Members in a chunk. `members`: a few to measure, with a data set that is at hand."""
    if numerics.device != "cpu":
        largest = largest_on_gpu(task, contender, members, numerics, demand.processes)
        return size_on_gpu(demand.at_once, largest, demand.processes)
    return evenly(min(demand.trainings, largest_on_cpu(task, contender, members[0], numerics)), demand.at_once)


def evenly(size: int, at_once: int) -> int:
    """The smallest chunk that shares out `at_once` members in as few chunks as `size` does."""
    return -(-at_once // -(-at_once // max(1, size)))


def size_on_gpu(at_once: int, largest: int, processes: int) -> int:
    """Members in a chunk: few chunks, for a step takes nearly the same time until they are thousands; but where each
    process can have thousands, every process has as many chunks as another."""
    chunks = max(-(-at_once // max(1, largest)), min(processes, at_once // SPLIT_ABOVE), 1)
    if chunks > 1:
        chunks = -(-chunks // processes) * processes
    return -(-at_once // chunks)


def largest_on_cpu(task: Task, contender: Contender, member: Member, numerics: Numerics) -> int:
    """Members whose weights, state and activations together stay in a core's share of the cache: 1 to 16."""
    batches = Batches(task, [member], numerics)
    with own_randomness():
        one = set_up(task, contender, member, numerics, batches.run)
        x, y = batches.at(0)
        activations: list[int] = []

        def count(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor):
                activations.append(2 * output.nbytes)  # it and its gradient

        hooks = [m.register_forward_hook(count) for m in one.model.modules() if not list(m.children())]
        one(x[0], y[0])
        for hook in hooks:
            hook.remove()
    weights = 2 * sum(p.nbytes for p in one.model.parameters())  # and their gradients
    state = sum(leaf.value.nbytes for leaf in leaves_of(one).values() if leaf.kind == "tensor")
    fits = int(min(CHUNK_BYTES / (sum(activations) + weights + state), DATA_BYTES / max(1, x.nbytes * batches.steps)))
    return max(1, min(LARGEST, 1 << max(0, fits.bit_length() - 1)))


def largest_on_gpu(
    task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics, processes: int = 1
) -> int:
    """Members whose training fits a process's share of the GPU's free memory: measured on a few, not met in the middle.

    Building, training and scoring are measured, at two sizes: what a further member needs is the difference. The data set
    that they share is loaded before.
    """
    Batches(task, members[:1], numerics)
    small, large = (_peak(task, contender, list(islice(cycle(members), n)), numerics) for n in (2, 8))
    each = max(1, (large - small) // (8 - 2))
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(torch.device(numerics.device))
    return fitting(free, each, processes)


def fitting(free: int, each: int, processes: int) -> int:
    """Members of `each` bytes in a process's share of `free` bytes; 2 at least."""
    return max(2, int((MEMORY_SHARE * free / processes - CONTEXT_BYTES) / each))


def _peak(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> int:
    """Bytes that these members need at the most, beyond what was taken before."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(numerics.device)
    before = torch.cuda.memory_allocated(numerics.device)
    with own_randomness():
        population, batches = begun(task, contender, members, numerics)
        population.scores([data.validation for data in batches.data], np.ones(len(members), dtype=bool))
    return torch.cuda.max_memory_allocated(numerics.device) - before


def seconds_of_loop(task: Task, contender: Contender, member: Member, numerics: Numerics) -> tuple[float, int]:
    """One step of the loop, and how many a training takes."""
    batches = Batches(task, [member], numerics)
    step = set_up(task, contender, member, numerics, replace(batches.run, fused=True))
    return _seconds(lambda x, y: step(x[0], y[0]), batches), batches.run.total_steps


def seconds_of_eager(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> float:
    """One step of these members in the eager engine, a member's share of it."""
    population, batches = begun(task, contender, members, numerics)
    return _seconds(_step_of(population), batches) / population.width


def begun(
    task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics
) -> tuple[Population, Batches]:
    """A population that has taken a step, with the options that this step shows it needs, and its batches."""
    batches = Batches(task, members, numerics)

    def stepped(**options: bool) -> Population:
        population = Population(task, contender, members, numerics, batches, **options)
        _step_of(population)(*batches.at(0))
        return population

    return made_with_options(stepped), batches


def _step_of(population: Population) -> Callable[[Tensor, Tensor], object]:
    dropout = Dropout(population.model, range(population.width))
    return lambda x, y: population.step(x, y, dropout(x))


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
