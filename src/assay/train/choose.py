"""Which engine a population is given, and how wide its chunks are: a short measurement, made before the first training."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from assay.core import Contender, Member, Numerics, Run, Task

from . import artifacts, loop
from .artifacts import Artifact
from .batches import Batches
from .compiled import Compiled
from .forward import draw_masks, dropout_sites
from .one import build
from .population import Population
from .probe import members as spread_members
from .refusal import NotVectorizable, refusal
from .seeding import seed_all

# Measured on two cores of an AMD EPYC (Zen 3) with torch 2.13, the original MLP with Adam.
COLD_SECONDS = 30.0  # to trace and compile the steps of an epoch, once for a machine
GAIN = 2.0  # the loop's time over a compiled step's, assumed until it can be measured: 3.8 for the MLP
CHUNK_BYTES = 5_000_000  # a chunk's weights, state and activations that a core still gets through quickly
WIDEST = 16
MEMORY_SHARE = 0.7  # of a GPU's free memory


class Chosen(NamedTuple):
    """`engine` and `compiled` as in Numerics; `width`: members in a chunk; `reason`: one line.

    `step_seconds`: of one member's step, measured, or guessed for a step that is yet to be compiled.
    """

    engine: str
    compiled: bool
    width: int
    reason: str
    step_seconds: float | None = None


def choose(
    task: Task,
    contender: Contender,
    population: int,
    numerics: Numerics,
    *,
    lockstep: int = 0,
    cores: int = 1,
    split: int = 0,
    forced: bool = False,
) -> Chosen:
    """The engine for `population` trainings of a contender on `cores` processes.

    Args:
        numerics: dtype and device are read; `compiled` says whether compiling is allowed.
        lockstep: how many trainings are asked for at once: chunks share them out evenly. 0: any number.
        split: seed of a data set that is at hand.
        forced: take the vectorized engine wherever it can train this, quicker or not.
    """
    if population < 2 and not forced:
        return Chosen("loop", False, 1, "a population of one")
    if contender.closure != "no":
        return Chosen("loop", False, 1, "its step needs a closure")
    chunk = [spread_members(contender, split)[i % 3] for i in range(3)]
    together = lockstep or population
    try:
        if numerics.device != "cpu":
            width = evenly(min(population, widest_on_gpu(task, contender, chunk, numerics)), together)
            return Chosen("vectorized", False, width, f"{width} members at once fit the GPU's memory")
        width = evenly(min(population, width_on_cpu(task, contender, chunk[0], numerics)), together)
        return _on_cpu(task, contender, population, [chunk[i % 3] for i in range(width)], numerics, cores, forced)
    except Exception as error:
        return Chosen("loop", False, 1, str(refusal(error)))


def evenly(width: int, together: int) -> int:
    """The smallest width that shares out `together` members in as few chunks as `width` does."""
    return -(-together // -(-together // max(1, width)))


def _on_cpu(
    task: Task,
    contender: Contender,
    population: int,
    chunk: list[Member],
    numerics: Numerics,
    cores: int,
    forced: bool,
) -> Chosen:
    width = len(chunk)
    batches = Batches(task, chunk, numerics)
    batches.shuffle()
    with torch.random.fork_rng(devices=[]):
        plain = seconds_of_loop(task, contender, chunk[0], numerics, batches)
        eager = _seconds_of(Population(task, contender, chunk, numerics, batches, share=False), batches)
        if numerics.compiled:
            try:
                ready = _Ready(task, contender, chunk, numerics, batches, share=True)
                compiled = _seconds_of(ready, batches)
                if compiled < min(plain, eager) or forced:
                    reason = f"compiled steps are at hand, {plain / compiled:.1f} times as fast as the loop"
                    return Chosen("vectorized", True, width, reason, compiled)
            except _NotThere:
                saved = population * batches.run.total_steps * plain * (1 - 1 / GAIN) / cores
                if saved > COLD_SECONDS or forced:
                    reason = f"compiling should save about {saved - COLD_SECONDS:.0f} s"
                    return Chosen("vectorized", True, width, reason, plain / GAIN)
            except NotVectorizable:
                pass
    if eager < 0.9 * plain or forced:
        reason = f"eager steps of {width} members are {plain / eager:.1f} times as fast as the loop"
        return Chosen("vectorized", False, width, reason, eager)
    slower = f"eager steps take {eager / plain:.1f} times the loop's time"
    compiling = "too few trainings to repay compiling, and " if numerics.compiled else ""
    return Chosen("loop", False, 1, compiling + slower, plain)


class _NotThere(Exception):
    pass


class _Ready(Compiled):
    """A compiled population, if that takes no compiling."""

    def _artifact(self, batches: Batches) -> Artifact:
        artifact = artifacts.load(artifacts.key_of(self._facts(batches)))
        if artifact is None:
            raise _NotThere
        return artifact


def _seconds_of(population: Population, batches: Batches) -> float:
    """One member's step."""
    x, _ = batches.at(0)
    noise = [torch.Generator(device=x.device).manual_seed(i) for i in range(population.width)]
    sites = dropout_sites(population.model, x[0])
    return _seconds(lambda x, y: population.step(x, y, draw_masks(sites, noise, x)), batches) / population.width


def _seconds(step: Callable[[Tensor, Tensor], object], batches: Batches, steps: int = 12) -> float:
    """Of one step, the quicker half of a few."""
    times: list[float] = []
    for i in range(steps):
        x, y = batches.at(i % max(1, batches.steps - 1))
        started = time.perf_counter()
        step(x, y)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        times.append(time.perf_counter() - started)
    return sorted(times)[steps // 4]


def seconds_of_loop(task: Task, contender: Contender, member: Member, numerics: Numerics, batches: Batches) -> float:
    """One step of the loop."""
    seed_all(member.init, numerics.device)
    model = task.model().to(numerics.device, getattr(torch, numerics.dtype))
    run = Run(batches.run.total_steps, task.epochs, batches.steps, fused=True)
    optimizer = contender.make(model, run, **{**contender.fixed, **member.hyperparameters})
    step = loop.Step(task, contender, model, optimizer, run)
    loop._mode(model, optimizer, training=True)
    return _seconds(lambda x, y: step(x[0], y[0]), batches)


def width_on_cpu(task: Task, contender: Contender, member: Member, numerics: Numerics) -> int:
    """Members whose weights, state and activations together stay in a core's share of the cache: 1 to 16."""
    batches = Batches(task, [member], numerics)
    batches.shuffle()
    with torch.random.fork_rng(devices=[]):
        one = build(task, contender, member, numerics, batches.run)
        x, y = batches.at(0)
        size = 0

        def count(_: nn.Module, __: object, output: object) -> None:
            nonlocal size
            if isinstance(output, Tensor):
                size += 2 * output.numel() * output.element_size()  # it and its gradient

        hooks = [m.register_forward_hook(count) for m in one.model.modules() if not list(m.children())]
        one.step(x[0], y[0])
        for hook in hooks:
            hook.remove()
    weights = sum(p.numel() * p.element_size() for p in one.model.parameters())
    state = sum(
        leaf.value.numel() * leaf.value.element_size() for leaf in one.leaves().values() if leaf.kind == "tensor"
    )
    fits = int(CHUNK_BYTES / (size + 2 * weights + state))
    return max(1, min(WIDEST, 1 << max(0, fits.bit_length() - 1)))


def widest_on_gpu(task: Task, contender: Contender, chunk: list[Member], numerics: Numerics) -> int:
    """Members whose training fits the GPU's free memory, from what a few of them need: measured, not met in the middle."""
    needed: list[int] = []
    sizes = (2, 8)
    for size in sizes:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(numerics.device)
        before = torch.cuda.memory_allocated(numerics.device)
        members = [chunk[i % len(chunk)] for i in range(size)]
        batches = Batches(task, members, numerics)
        batches.shuffle()
        with torch.random.fork_rng(devices=[]):
            population = Population(task, contender, members, numerics, batches, share=False)
            for step in range(min(2, batches.steps)):
                x, y = batches.at(step)
                noise = [torch.Generator(device=x.device).manual_seed(i) for i in range(size)]
                population.step(x, y, draw_masks(dropout_sites(population.model, x[0]), noise, x))
        needed.append(torch.cuda.max_memory_allocated(numerics.device) - before)
        del population, batches
    each = max(1, (needed[1] - needed[0]) // (sizes[1] - sizes[0]))
    free, _ = torch.cuda.mem_get_info(numerics.device)
    return max(2, int(MEMORY_SHARE * free / each))
