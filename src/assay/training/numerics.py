"""How the numbers will be computed, settled before the first training."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import msgspec

from assay.core import EngineOptions, Numerics
from assay.errors import UsageError, nearest

ENGINES = ("auto", "vectorized", "loop")


class Demand(msgspec.Struct, frozen=True):
    """What is asked of the engine that a contender gets: `trainings` in all, shared out over `processes` by all `contenders`.

    `at_once`: how many of them are asked for together, which chunks share out evenly; `one_by_one`: how many of all come
    alone; `split`: seed of a data set that is at hand.
    """

    trainings: int
    at_once: int
    one_by_one: int = 0
    processes: int = 1
    split: int = 0
    contenders: int = 1

    @property
    def own_processes(self) -> float:
        """Of the processes those that are the contender's, where all train at once; it is trained by one at least."""
        return max(1.0, self.processes / self.contenders)

    def members_a_step(self, chunk: int) -> float:
        """How many members a step trains on average, in chunks of `chunk` but for those that come alone."""
        return self.trainings / (self.one_by_one + (self.trainings - self.one_by_one) / chunk)


class Chosen(msgspec.Struct, frozen=True):
    """A contender's numerics; `step_seconds`, of one member's step here: measured, or guessed of one yet to be compiled.

    `left_out`: what of the model it isn't given, in words.
    """

    numerics: Numerics
    step_seconds: float | None
    left_out: str = ""


def check(wanted: EngineOptions) -> EngineOptions:
    """The wish, if it can be granted here. UsageError for an engine or device that isn't there."""
    if wanted.engine not in ENGINES:
        raise UsageError(f"no engine is called {wanted.engine!r}; {nearest(wanted.engine, ENGINES)}")
    if wanted.compile not in ("auto", "on", "off"):
        raise UsageError(f"--compile {wanted.compile}: it is auto, on or off")
    if wanted.device != "cpu":
        import torch

        if not wanted.device.startswith("cuda") or not torch.cuda.is_available():
            raise UsageError(f"device {wanted.device!r} isn't available to this torch; use --device cpu")
    _see_that_it_can(wanted)
    return wanted


def _see_that_it_can(wanted: EngineOptions) -> None:
    """UsageError for a precision that the device doesn't have, or that the engine asked for doesn't."""
    if wanted.micro_batch is not None and wanted.micro_batch < 1:
        raise UsageError(f"--micro-batch {wanted.micro_batch}: it must be 1 at least")
    asked = {} if wanted.precision == "float32" else {f"--precision {wanted.precision}": "in float32"}
    asked |= {} if wanted.micro_batch is None else {f"--micro-batch {wanted.micro_batch}": "on whole batches"}
    for option, otherwise in asked.items():
        if wanted.engine == "vectorized":
            raise UsageError(f"{option}: populations are trained {otherwise}; leave out --engine vectorized")
        if wanted.engine == "auto" and wanted.compile == "on":
            raise UsageError(
                f"{option}: populations are trained {otherwise}; leave out --compile on, or add --engine loop"
            )
    if wanted.precision == "float32":
        return
    if wanted.device == "cpu":
        if wanted.precision == "tf32":
            raise UsageError("--precision tf32: a CPU has no such products; use bf16, or --device cuda")
        return
    import torch

    has = {"tf32": torch.cuda.get_device_capability()[0] >= 8, "bf16": torch.cuda.is_bf16_supported(False)}
    if not has[wanted.precision]:
        raise UsageError(
            f"--precision {wanted.precision}: {torch.cuda.get_device_name()} has no such products; use float32"
        )


def loop_here(device: str = "cpu", precision: str = "float32", micro_batch: int | None = None) -> Numerics:
    """The reference engine on this machine."""
    return Numerics(
        engine="loop",
        compiled=False,
        chunk_size=1,
        dtype="float32",
        device=device,
        threads=1,
        torch=torch_build(),
        cpu=cpu_model(),
        precision=msgspec.UNSET if precision == "float32" else precision,  # type: ignore[arg-type]
        micro_batch=msgspec.UNSET if micro_batch is None else micro_batch,
    )


def torch_build() -> str:
    """The version of torch, build included; torch itself is not imported."""
    return metadata.version("torch")


def cpu_model() -> str:
    """The processor's name, as the operating system gives it; with family and model, where it tells: rented machines of
    several generations, whose numbers differ in their last bits, are all called "AMD EPYC".
    """
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if os.access(info, os.R_OK) else []
    told = dict([part.strip() for part in line.split(":", 1)] for line in reversed(lines) if ":" in line)  # the first's
    name = told.get("model name") or platform.processor() or platform.machine()
    return (
        f"{name} (family {told['cpu family']}, model {told['model']})"
        if {"cpu family", "model"} <= told.keys()
        else name
    )


def may_be_this_cpu(name: str) -> bool:
    """Whether that is the processor here, or, in records from before family and model were told, one of its brand."""
    return cpu_model() == name or cpu_model().startswith(f"{name} (family ")
