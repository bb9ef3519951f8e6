"""What one optimizer step costs: GNSAdam beside torch's Adam, in the same run.

    python benchmarks/optimizer_step.py

Each round times every optimizer once, in an order that rotates, so that a slow moment of the machine hits all alike.
Ratios are formed within a round; the median over rounds is printed with the 10th and 90th percentile, and beside it the
ratio of the fastest rounds, which other programs disturb least. Gradients are fixed and in place before the clock
starts. Moving memory is all that a large step does: fused Adam reads four numbers for each parameter and writes three,
and the norm reads one more, so 8/7 = 1.14 is the least that GNSAdam can cost.
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

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "Adam, fused": lambda p: Adam(p, lr=1e-6, fused=True),
    "GNSAdam": lambda p: GNSAdam(p, lr=1e-6),
    "Adam, foreach": lambda p: Adam(p, lr=1e-6, foreach=True),
    "Adam, one tensor at a time": lambda p: Adam(p, lr=1e-6),
}
YARDSTICK = "Adam, fused"
LIMIT = 1.3


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


def measure(model: Callable[[], nn.Module], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds for one step, by optimizer and round; each entry is the mean of ``steps`` steps in a row."""
    optimizers = {name: prepare(model, make) for name, make in OPTIMIZERS.items()}
    names = list(optimizers)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            step = optimizers[name].step
            start = time.perf_counter()
            for _ in range(steps):
                step()
            seconds[name].append((time.perf_counter() - start) / steps)
    return seconds


def show(seconds: dict[str, list[float]], unit: str, per_second: float) -> None:
    print(f"  {'':28}{unit:>10}{'ratio':>8}   {'10 to 90 %':14}{'fastest':>9}{'ratio':>8}{'added ' + unit:>12}")
    base = np.array(seconds[YARDSTICK])
    for name, values in seconds.items():
        ratios = np.array(values) / base
        low, high = np.percentile(ratios, [10, 90])
        added = np.median(np.array(values) - base) * per_second
        print(
            f"  {name:28}{np.median(values) * per_second:10.2f}{np.median(ratios):8.3f}   {low:.3f} to {high:.3f}"
            f"{min(values) * per_second:9.2f}{min(values) / base.min():8.3f}{added:12.2f}"
        )


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description="Time one optimizer step: GNSAdam beside torch's Adam.")
    parser.add_argument("--rounds", type=int, default=101, help="rounds; each times every optimizer once (101)")
    parser.add_argument("--threads", type=int, help="torch's threads (torch's own default)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}\n"
        f"{cpu_name()}, {torch.get_num_threads()} thread(s), {torch.backends.cpu.get_cpu_capability()}; "
        f"{options.rounds} rounds"
    )
    if hasattr(os, "getloadavg") and (load := os.getloadavg()[0]) > 0.5 * (os.cpu_count() or 1):
        print(f"Other programs are running (load {load:.1f} on {os.cpu_count()} cores): ratios will scatter.")
    print()
    for title, model, steps, unit, per_second in (
        ("10 million parameters, 20 tensors", large, 1, "ms", 1e3),
        ("13,066 parameters, 4 tensors", small, 50, "µs", 1e6),
    ):
        seconds = measure(model, options.rounds, steps)
        print(f"{title}: time for one step, and times that of {YARDSTICK}")
        show(seconds, unit, per_second)
        if model is large:
            ratio = float(np.median(np.array(seconds["GNSAdam"]) / np.array(seconds[YARDSTICK])))
            print(f"  limit {LIMIT}: {'met' if ratio <= LIMIT else 'NOT MET'} (median {ratio:.3f})\n")


if __name__ == "__main__":
    main()
