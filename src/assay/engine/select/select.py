"""The engine that a contender is given: what was asked for, what is quickest here, and what passes the parity probe."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from assay.core import Contender, EngineOptions, Numerics, Task
from assay.engine.select.choose import choose
from assay.engine.select.parity import probe
from assay.training.numerics import loop_here


class Settled(NamedTuple):
    """A contender's numerics; `step_seconds`, of one member's step here, where it was measured on the way."""

    numerics: Numerics
    step_seconds: float | None


def settle(
    task: Task,
    contender: Contender,
    wanted: EngineOptions,
    population: int,
    lockstep: int,
    lone: int,
    cores: int,
    split: int,
) -> Settled:
    """The numerics for `population` trainings of a contender on `cores` processes.

    Args:
        lockstep: how many of them are asked for at once; chunks share them out evenly.
        lone: how many come one at a time.
        split: seed of a data set that is at hand.
    """
    if wanted.engine == "loop":
        return Settled(loop_here(wanted.device, "asked for"), None)
    reason = ""
    for compiled in (True, False) if wanted.compile != "off" else (False,):
        allowed = msgspec.structs.replace(loop_here(wanted.device), engine="vectorized", compiled=compiled)
        chosen = choose(
            task,
            contender,
            population,
            allowed,
            lockstep=lockstep,
            lone=lone,
            cores=cores,
            split=split,
            forced=wanted.engine == "vectorized" or wanted.compile == "on",
            forced_compiled=wanted.compile == "on",
        )
        if chosen.engine == "loop":
            return Settled(loop_here(wanted.device, reason or chosen.reason), chosen.step_seconds)
        numerics = msgspec.structs.replace(allowed, compiled=chosen.compiled, width=chosen.width, reason=chosen.reason)
        mismatch = probe(task, contender, numerics, split)
        if not mismatch:
            if reason:
                numerics = msgspec.structs.replace(numerics, reason=f"{chosen.reason}; not compiled: {reason}")
            return Settled(numerics, chosen.step_seconds)
        reason = mismatch
        if not chosen.compiled:
            break
    return Settled(loop_here(wanted.device, reason), None)
