"""How the numbers will be computed, settled before the first training."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from assay.core import Numerics


def settle(engine: str = "auto", device: str = "cpu") -> Numerics:
    """The numerics of a new plan on this machine. UsageError for an engine or device that isn't there."""
    from assay.errors import UsageError, nearest

    if engine not in ("auto", "loop"):
        raise UsageError(f"no engine is called {engine!r}; {nearest(engine, ('auto', 'loop'))}")
    if device != "cpu":
        import torch

        if not device.startswith("cuda") or not torch.cuda.is_available():
            raise UsageError(f"device {device!r} isn't available to this torch; use --device cpu")
    return Numerics(
        engine="loop",
        compiled=False,
        width=1,
        dtype="float32",
        device=device,
        threads=1,
        torch=metadata.version("torch"),
        cpu=cpu_model(),
    )


def cpu_model() -> str:
    """The processor's name, as the operating system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
