"""Which engine trains a contender: what was asked for, what should be quickest here, and what passes the parity probe.

By itself the engine is compiled on a CPU, where the loop would take long enough to repay compiling, and eager on a GPU,
where enough members share a step; else it is the loop. What is compiled already has no say in it.
"""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np
from msgspec.structs import replace
from torch import nn

from assay.core import Contender, EngineOptions, Numerics, Split, Splits, Task
from assay.engine.refusal import refusal
from assay.engine.select.measure import chunk_size, seconds_of_eager, seconds_of_loop
from assay.engine.select.parity import PART, members, probe, probe_loop
from assay.engine.torch_private import cpp_compiler
from assay.errors import UsageError
from assay.record import cache
from assay.tasks.metrics import accuracy
from assay.training.numerics import Chosen, Demand, loop_here
from assay.training.step import own_randomness

REPAYS = 60  # seconds of the loop that repay compiling once: it takes 34 on an Intel Xeon with AVX-512, 50 on Zen 3
ON_CPU = 1.5  # members a step, on average, from which a compiled one is much quicker than the loop's
LONG = (
    1200  # seconds of the loop from which on a compiled step of one member repays too: it is 1.0 to 1.17 times as quick
)
ON_GPU = 6  # and an eager one on a GPU: the host takes 14 ms to launch it, and 2.7 for one of the loop's (H100)
LEAST_GAIN, MOST_GAIN = 1.1, 12  # of compiled steps over the loop's, as a plan's estimate reckons
MEASURED = 64  # members of a chunk; a step of more costs each of them less


def choose_engine(task: Task, contender: Contender, wanted: EngineOptions, demand: Demand) -> Chosen:
    """The engine for a contender's trainings, and why, in its numerics.

    One that is asked for (`--engine vectorized`, `--compile on`) is taken wherever it can train this, eager where compiling
    can't be or wouldn't be repaid.
    """
    plain = loop_here(wanted.device, wanted.precision, wanted.micro_batch)
    if plain.micro_batch and (against := probe_loop(task, contender, plain, demand.split)):
        raise UsageError(
            f"--micro-batch {plain.micro_batch}: the gradients of {contender.name}'s batches are not those of their "
            f"parts (of {PART} samples, {against}): leave it out, or take a loss that is a mean, and no batch normalisation"
        )
    if wanted.engine == "loop":
        return _loop_as_asked(task, contender, wanted, demand, plain)
    if plain.precision or plain.micro_batch:
        how = f"in {plain.precision}" if plain.precision else "on parts of batches"
        return _loop(plain, f"populations are not trained {how}")
    if contender.closure == "graph":
        return _loop(plain, "its step differentiates the gradient")
    if demand.trainings < 2 and not _forced(wanted):
        return _loop(plain, "a population of one")
    try:
        with own_randomness():
            return _chosen(task, contender, wanted, demand, plain)
    except Exception as error:
        return _loop(plain, str(refusal(error)))


def _chosen(task: Task, contender: Contender, wanted: EngineOptions, demand: Demand, plain: Numerics) -> Chosen:
    on_cpu, few = plain.device == "cpu", members(contender, demand.split)
    seconds, steps = seconds_of_loop(task, contender, few[0], plain)
    size = chunk_size(task, contender, few, plain, demand)
    shared = demand.members_a_step(size)
    against, seconds_each = "", demand.trainings * steps * seconds / demand.own_processes
    if on_cpu and seconds_each < REPAYS:
        against = f"the loop does its trainings in less than {REPAYS} s, too little to repay compiling"
    elif shared < (ON_CPU if on_cpu else ON_GPU) and (not on_cpu or seconds_each < LONG):
        against = f"a step would train {shared:.1f} members on average, too few to gain by it"
    if against and not _forced(wanted):
        return _loop(plain, against, seconds)

    against = _hindrance(wanted) or (against if wanted.compile == "auto" else "")
    numerics = replace(plain, engine="vectorized", chunk_size=size)
    if not against:
        compiled = replace(numerics, compiled=True, reason=f"compiled steps of {size} members")
        against = probe(task, contender, compiled, demand.split)
        if not against:
            return Chosen(compiled, seconds / gain(size))
    if on_cpu and not _forced(wanted):
        return _loop(plain, against, seconds)
    eager = replace(numerics, reason=f"eager steps of {size} members; not compiled: {against}")
    mismatch = probe(task, contender, eager, demand.split)
    if mismatch:
        return _loop(plain, mismatch, seconds)
    measured = list(islice(cycle(few), min(size, MEASURED)))
    return Chosen(eager, seconds_of_eager(task, contender, measured, eager))


def gain(size: int) -> float:
    """How many times as fast as the loop compiled steps of so many members are: about as many, up to a dozen (docs/tasks.md)."""
    return min(max(LEAST_GAIN, size), MOST_GAIN)


def _loop_as_asked(task: Task, contender: Contender, wanted: EngineOptions, demand: Demand, plain: Numerics) -> Chosen:
    """The loop, its model compiled where that was asked for, can be, and changes no number."""
    if wanted.compile != "on":
        return _loop(plain, "asked for")
    compiled = replace(plain, compiled=True)
    against = "" if cpp_compiler() or wanted.device != "cpu" else "there is no C++ compiler"
    against = against or probe_loop(task, contender, compiled, demand.split)
    return _loop(plain, f"asked for; not compiled: {against}") if against else _loop(compiled, "asked for")


def _forced(wanted: EngineOptions) -> bool:
    return wanted.engine == "vectorized" or wanted.compile == "on"


def _loop(plain: Numerics, reason: str, step_seconds: float | None = None) -> Chosen:
    return Chosen(replace(plain, reason=reason), step_seconds)


def _hindrance(wanted: EngineOptions) -> str:
    """Why steps can't be compiled here; empty where they can."""
    if wanted.device != "cpu":
        return "steps are compiled on a CPU only"
    if wanted.compile == "off":
        return "--compile off"
    return cache.writable() or ("" if cpp_compiler() else "there is no C++ compiler")


def engine_reached(contender: Contender) -> tuple[str, str]:
    """Told on a small network: `vectorized` with the form that passes the probe, or `loop` with the reason that none does."""
    form, reason = "compiled", None
    for compiled in (True, False):
        reason = probe(_POINTS, contender, replace(loop_here(), engine="vectorized", compiled=compiled))
        if reason is None:
            return "vectorized", f"{form}; it gives the loop's numbers on a small network"
        form = f"eager, for compiled it is {reason}"
    return "loop", str(reason)


def _points(seed: int) -> Splits:
    rng = np.random.default_rng(seed)

    def split(n: int) -> Split:
        return Split(rng.normal(size=(n, 6)).astype(np.float32), rng.integers(0, 3, n))

    return Splits(split(160), split(30), split(30))


_POINTS = Task(
    name="points",
    data=_points,
    model=lambda: nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 3)),
    loss=nn.functional.cross_entropy,
    metric=accuracy,
    epochs=3,
    batch_size=16,
    margin=0.01,
    margin_reason="none is drawn",
)
