"""Which engine a population is given, and how wide its chunks are: a short measurement, made before the first training.

The loop is what everything is weighed against: another engine is taken where it should save more than it takes to get
there, and nothing is measured where the whole job takes the loop a few seconds.
"""

from __future__ import annotations

import shutil
from typing import NamedTuple

import torch

from assay.core import Contender, Member, Numerics, Task
from assay.engine.compiled import cache as artifacts
from assay.engine.compiled.cache import Artifact
from assay.engine.compiled.population import Compiled
from assay.engine.eager.batches import Batches
from assay.engine.eager.refusal import NotVectorizable, refusal
from assay.engine.select.chunk_size import evenly, widest_on_gpu, width_on_cpu, width_on_gpu
from assay.engine.select.parity import members as spread_members
from assay.engine.select.stopwatch import begun, seconds_of, seconds_of_loop
from assay.record import cache

# Seconds, on two cores of an Intel Xeon with AVX-512 or of an AMD EPYC (Zen 3), with torch 2.13
SHORT = 5.0  # a job that the loop does in less isn't worth measuring
PROBE = 3.0  # the parity probe, and loading what is compiled
COLD = 30.0  # to trace and compile an epoch's steps once for a machine: 34 there, 50 on Zen 3; more is gained than expected
PER_WEIGHT = 1.9e-9  # of a step, moving one weight with its gradient and Adam's state through memory
MEASURED_MEMBERS = 64  # of a chunk on a GPU; a wider one only costs less


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
    lone: int = 0,
    cores: int = 1,
    split: int = 0,
    forced: bool = False,
    forced_compiled: bool = False,
) -> Chosen:
    """The engine for `population` trainings of a contender on `cores` processes.

    Args:
        numerics: dtype and device are read; `compiled` says whether compiling is allowed.
        lockstep: how many trainings are asked for at once: chunks share them out evenly. 0: any number.
        lone: how many of the population come one at a time, and so have a chunk to themselves.
        split: seed of a data set that is at hand.
        forced: take the vectorized engine wherever it can train this, quicker or not.
        forced_compiled: and compile its steps wherever that is possible.
    """
    if population < 2 and not forced:
        return Chosen("loop", False, 1, "a population of one")
    if contender.closure != "no":
        return Chosen("loop", False, 1, "its step needs a closure")
    spread = spread_members(contender, split)
    try:
        with torch.random.fork_rng(devices=[]):
            alone = Batches(task, spread[:1], numerics)
            alone.shuffle()
            plain = seconds_of_loop(task, contender, spread[0], numerics, alone)
            whole = population * alone.run.total_steps * plain / cores
            if whole < SHORT and not forced:
                return Chosen("loop", False, 1, "the loop does it all in a few seconds", plain)
            if numerics.device == "cpu":
                widest = width_on_cpu(task, contender, spread[0], numerics)
                width = evenly(min(population, widest), lockstep or population)
            else:
                widest = widest_on_gpu(task, contender, spread, numerics, cores)
                width = width_on_gpu(lockstep or population, widest, cores)
            chunk = [spread[i % len(spread)] for i in range(width)]
            dearer = 1 + (width - 1) * lone / population  # on average: a lone member's step costs what a chunk's does
            return _weigh(task, contender, chunk, numerics, plain, whole, dearer, forced, forced_compiled)
    except Exception as error:
        return Chosen("loop", False, 1, str(refusal(error)))


def _weigh(
    task: Task,
    contender: Contender,
    chunk: list[Member],
    numerics: Numerics,
    plain: float,
    whole: float,
    dearer: float,
    forced: bool,
    forced_compiled: bool,
) -> Chosen:
    """The vectorized engine, compiled or eager, where it saves enough of the `whole` seconds that the loop would take."""
    width = len(chunk)
    measured = chunk if numerics.device == "cpu" else chunk[:MEASURED_MEMBERS]
    batches = Batches(task, measured, numerics)
    batches.shuffle()
    population = begun(task, contender, measured, numerics, batches)
    eager = dearer * seconds_of(population, batches)
    compiling = "the vectorized engine is eager"
    if numerics.compiled and numerics.device == "cpu":
        try:
            ready = _Ready(task, contender, chunk, numerics, batches, share=population.share)
            compiled = dearer * seconds_of(ready, batches)
            if forced_compiled or (compiled < eager and (forced or saved(whole, plain / compiled) > PROBE)):
                reason = f"compiled steps are at hand, {plain / compiled:.1f} times as fast as the loop"
                return Chosen("vectorized", True, width, reason, compiled)
            compiling = f"compiled steps are {plain / compiled:.1f} times as fast as the loop"
        except _NotThere:
            gain = expected_gain(task, contender, chunk[0], numerics, batches, plain) / dearer
            less = saved(whole, gain) - COLD - PROBE
            hindrance = cache.writable() or no_compiler()
            if (less > 0 or forced_compiled) and not hindrance:
                reason = f"compiling should make its steps about {gain:.1f} times as fast as the loop"
                return Chosen("vectorized", True, width, reason, plain / gain)
            compiling = hindrance or "too few trainings to repay compiling"
        except NotVectorizable as error:
            compiling = str(error)
    if forced or (eager < 0.9 * plain and saved(whole, plain / eager) > PROBE):
        reason = f"eager steps of {width} members are {plain / eager:.1f} times as fast as the loop"
        return Chosen("vectorized", False, width, reason, eager)
    return Chosen(
        "loop", False, 1, f"{compiling}, and eager steps take {eager / plain:.1f} times the loop's time", plain
    )


def saved(whole: float, gain: float) -> float:
    """Seconds that a step `gain` times as fast saves of `whole` seconds."""
    return whole * (1 - 1 / gain)


def expected_gain(
    task: Task, contender: Contender, member: Member, numerics: Numerics, batches: Batches, plain: float
) -> float:
    """The loop's time over that of a compiled step which is yet to be made.

    What the loop takes for a batch of two is what it spends on launching operations, and on weights: the first is what
    compiling saves.
    """
    try:
        least = seconds_of_loop(task, contender, member, numerics, batches, samples=2)
    except Exception:  # a model that wants whole batches: nothing is known
        return 1.0
    weights = sum(p.numel() for p in task.model().parameters())
    launching = max(0.0, least - PER_WEIGHT * weights)
    return plain / max(plain - launching, plain / 8)


def no_compiler() -> str:
    """Why nothing can be compiled here; empty where it can."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return "" if shutil.which(get_cpp_compiler()) else "there is no C++ compiler"
    except Exception:  # of torch's, InvalidCxxCompiler
        return "there is no C++ compiler"


class _NotThere(Exception):
    pass


class _Ready(Compiled):
    """A compiled population, if that takes no compiling."""

    def _artifact(self, batches: Batches) -> Artifact:
        artifact = artifacts.load(artifacts.key_of(self._facts(batches)))
        if artifact is None:
            raise _NotThere
        return artifact
