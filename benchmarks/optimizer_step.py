"""What one optimizer step costs: GNSAdam beside torch's Adam, in the same run.

    python benchmarks/optimizer_step.py

Each round times every optimizer once, in an order that rotates. Ratios are formed within a round, so that a slow moment
of the machine hits both sides; the median over rounds is printed with the 10th and 90th percentile. A timing in which
the operating system took the processor away (an involuntary context switch) is left out, with its pair. Gradients are
fixed and in place before the clock starts. Moving memory is all that a large step does: fused Adam reads four numbers
for each parameter and writes three, and the norm reads one more, so 8/7 = 1.14 is the least that GNSAdam can cost.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim import Adam, Optimizer

from assay.optim import GNSAdam

try:
    import resource
except ImportError:  # Windows
    resource = None

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "Adam, fused": lambda p: Adam(p, lr=1e-6, fused=True),
    "GNSAdam": lambda p: GNSAdam(p, lr=1e-6),
    "Adam, foreach": lambda p: Adam(p, lr=1e-6, foreach=True),
    "Adam, one tensor at a time": lambda p: Adam(p, lr=1e-6),
}
YARDSTICK = "Adam, fused"
LIMIT = 1.3
ENOUGH = 20


def large() -> nn.Module:
    """9 layers of about a million parameters and one of 0.9: 10.0 million parameters in 20 tensors."""
    widths = [1024, *[1024] * 9, 560]
    return nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise(widths)])


def small() -> nn.Module:
    """The multilayer perceptron of the GNS-Adam study: 13,066 parameters in 4 tensors."""
    return nn.Sequential(nn.Linear(40, 256), nn.ReLU(), nn.Linear(256, 10))


def prepare(model: Callable[[], nn.Module], make: Callable[..., Optimizer]) -> Optimizer:
    torch.manual_seed(0)
    parameters = list(model().parameters())
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer = make(parameters)
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(3):
        optimizer.step()
    if any(torch.equal(parameter, old) for parameter, old in zip(parameters, before, strict=True)):
        raise RuntimeError("a step left a parameter where it was: there is nothing to time")
    return optimizer


def interruptions() -> int:
    """How often this process was made to wait for another one so far; 0 where the system does not say."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0


def measure(model: Callable[[], nn.Module], rounds: int, steps: int, limit: float) -> dict[str, np.ndarray]:
    """Seconds for one step, by optimizer: an array over rounds, NaN where interrupted.

    An entry is the mean of ``steps`` steps in a row. It stops after ``rounds`` rounds, or ``limit`` seconds.
    """
    optimizers = {name: prepare(model, make) for name, make in OPTIMIZERS.items()}
    names = list(optimizers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    end = time.perf_counter() + limit
    for i in range(rounds):
        if time.perf_counter() > end:
            break
        for name in names[i % len(names) :] + names[: i % len(names)]:
            step = optimizers[name].step
            before, start = interruptions(), time.perf_counter()
            for _ in range(steps):
                step()
            took = (time.perf_counter() - start) / steps
            seconds[name].append(took if interruptions() == before else np.nan)
    return {name: np.array(values) for name, values in seconds.items()}


def show(seconds: dict[str, np.ndarray], unit: str, per_second: float) -> None:
    print(f"  {'':28}{unit:>9}{'ratio':>8}   {'10 to 90 %':16}{'added ' + unit:>9}{'rounds':>8}")
    for name, values in seconds.items():
        both = np.isfinite(values) & np.isfinite(seconds[YARDSTICK])
        if not both.any():
            print(f"  {name:28}  every round was interrupted")
            continue
        ours, theirs = values[both], seconds[YARDSTICK][both]
        low, high = np.percentile(ours / theirs, [10, 90])
        print(
            f"  {name:28}{np.median(ours) * per_second:9.2f}{np.median(ours / theirs):8.3f}   {low:.3f} to {high:.3f}  "
            f"{np.median(ours - theirs) * per_second:9.2f}{both.sum():4} of {len(values)}"
        )


def conclude(seconds: dict[str, np.ndarray]) -> None:
    ratios = seconds["GNSAdam"] / seconds[YARDSTICK]
    ratios = ratios[np.isfinite(ratios)]
    if len(ratios) < ENOUGH:
        print(f"  limit {LIMIT}: only {len(ratios)} undisturbed rounds, {ENOUGH} are needed. Try on a quieter machine.")
    else:
        print(f"  limit {LIMIT}: {'met' if np.median(ratios) <= LIMIT else 'NOT MET'}")


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one optimizer step: GNSAdam beside torch's Adam.")
    parser.add_argument("--rounds", type=int, default=200, help="rounds; each times every optimizer once (200)")
    parser.add_argument("--seconds", type=float, default=60, help="time for each of the two models, at most (60)")
    parser.add_argument("--threads", type=int, help="torch's threads (torch's own default)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}\n"
        f"{cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), "
        f"{torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0] if hasattr(os, 'getloadavg') else '?'}\n"
    )
    print(f"10 million parameters, 20 tensors: one step, and its ratio to {YARDSTICK}")
    seconds = measure(large, options.rounds, steps=1, limit=options.seconds)
    show(seconds, "ms", 1e3)
    conclude(seconds)
    print(f"\n13,066 parameters, 4 tensors: one step, and its ratio to {YARDSTICK}")
    show(measure(small, options.rounds, steps=10, limit=options.seconds), "µs", 1e6)


if __name__ == "__main__":
    main()
