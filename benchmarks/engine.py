"""What one member's training step costs: the plain script's inner loop, the tuned loop, this engine, and the floor.

Side by side in one process on one thread, in turns, so that a noisy machine disturbs all alike; the figures are medians
over rounds, the ratios medians of each round's ratio, with their quartiles.

    python benchmarks/engine.py [--model mlp] [--members 1 8 32 128] [--rounds 9] [--width 8]

The floor, of the MLP only, is the step's five matrix products alone, as batched products of a chunk, with torch's own
library. JAX with optax, under vmap and scan, is measured where both are installed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from assay.contenders import contenders
from assay.core import Contender, Member, Numerics, Run, Task
from assay.tasks.mnist1d import mnist1d_mlp
from assay.train import loop
from assay.train.batches import Batches
from assay.train.compiled import Compiled
from assay.train.population import Population

Steps = Callable[[int], None]  # take so many steps of every member


def convolution() -> nn.Module:
    """Three convolutions over the 40 numbers of a sample, the network of the MNIST-1D paper."""
    layers = [nn.Unflatten(1, (1, 40))]
    for channels, side in ((1, 5), (25, 3), (25, 3)):
        layers += [nn.Conv1d(channels, 25, side, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(125, 10))


class Attention(nn.Module):
    """One transformer layer over ten patches of four numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(4, 32), nn.Linear(32, 10)
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.embed(x.unflatten(1, (10, 4)))).mean(1))


MODELS: dict[str, Any] = {"mlp": None, "convolution": convolution, "attention": Attention}


def members(n: int) -> list[Member]:
    return [Member(0, "tune", 0, i, {"lr": 1e-3 * (1 + i % 8)}, 1, 10 + i, 20 + i, 30 + i) for i in range(n)]


def numerics(compiled: bool, width: int) -> Numerics:
    return Numerics("vectorized", compiled, width, "float32", "cpu", 1, torch.__version__, "")


def floor(task: Task, width: int) -> Steps:
    """The five products of a 40 → 256 → 10 network's step, for `width` members."""
    b = task.batch_size
    x, w1, h = torch.randn(width, b, 40), torch.randn(width, 256, 40), torch.randn(width, b, 256)
    w2, g2, gh = torch.randn(width, 10, 256), torch.randn(width, b, 10), torch.randn(width, b, 256)
    outputs = [torch.empty(width, *s) for s in ((b, 256), (b, 10), (10, 256), (b, 256), (256, 40))]

    def run(steps: int) -> None:
        for _ in range(steps):
            torch.bmm(x, w1.mT, out=outputs[0])
            torch.bmm(h, w2.mT, out=outputs[1])
            torch.bmm(g2.mT, h, out=outputs[2])
            torch.bmm(g2, w2, out=outputs[3])
            torch.bmm(gh.mT, x, out=outputs[4])

    return run


def plain_script(task: Task, arm: Contender) -> Steps:
    """An ordinary data-loader loop over one model."""
    data = Batches(task, members(1), numerics(False, 1)).data[0]
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data.train), task.batch_size, shuffle=True)
    model = task.model()
    optimizer = arm.make(model, Run(945, 15, 63), lr=1e-3)

    def run(steps: int) -> None:
        taken = 0
        while taken < steps:
            for x, y in loader:
                optimizer.zero_grad()
                loss = task.loss(model(x), y)
                loss.backward()
                optimizer.step()
                loss.item()
                taken += 1
                if taken == steps:
                    break

    return run


def tuned_loop(task: Task, arm: Contender, batches: Batches) -> Steps:
    """The reference engine's step: fused kernels, batches as slices, diagnostics kept."""
    model = task.model()
    run_facts = Run(batches.run.total_steps, task.epochs, batches.steps, fused=True)
    step = loop.Step(task, arm, model, arm.make(model, run_facts, lr=1e-3), run_facts)

    def run(steps: int) -> None:
        for i in range(steps):
            step(*batches.of_member(0, i % (batches.steps - 1)))
        step.epoch_means()

    return run


def engine(kind: type[Population], task: Task, arm: Contender, n: int, width: int) -> Steps:
    """A population of n in chunks of `width`, one chunk after the other."""
    compiled = kind is Compiled
    chunk = members(width)
    batches = Batches(task, chunk, numerics(compiled, width))
    batches.shuffle()
    with torch.random.fork_rng(devices=[]):
        chunks = [kind(task, arm, chunk, numerics(compiled, width), batches) for _ in range(max(1, n // width))]

    def run(steps: int) -> None:
        for population in chunks:
            for i in range(steps):
                population.step(*batches.at(i % (batches.steps - 1)))

    return run


def jax_population(task: Task, n: int) -> Steps | None:
    """The same network and Adam in JAX with optax: vmap over members, scan over steps. None where they are missing."""
    try:
        import jax  # type: ignore[import-not-found]
        import jax.numpy as jnp  # type: ignore[import-not-found]
        import optax  # type: ignore[import-not-found]
    except ImportError:
        return None
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    x = jax.random.normal(keys[0], (n, 62, task.batch_size, 40))
    y = jax.random.randint(keys[1], (n, 62, task.batch_size), 0, 10)
    weights = {
        "w1": jnp.zeros((n, 40, 256)) + 0.01,
        "b1": jnp.zeros((n, 256)),
        "w2": jnp.zeros((n, 256, 10)) + 0.01,
        "b2": jnp.zeros((n, 10)),
    }

    def one(weights: Any, rate: Any, xs: Any, ys: Any) -> Any:
        adam = optax.adam(rate)

        def loss(w: Any, x: Any, y: Any) -> Any:
            outputs = jax.nn.relu(x @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]
            return optax.softmax_cross_entropy_with_integer_labels(outputs, y).mean()

        def step(carry: Any, batch: Any) -> Any:
            w, state = carry
            value, gradient = jax.value_and_grad(loss)(w, *batch)
            updates, state = adam.update(gradient, state, w)
            return (optax.apply_updates(w, updates), state), (
                value,
                optax.global_norm(gradient),
                optax.global_norm(updates),
            )

        return jax.lax.scan(step, (weights, adam.init(weights)), (xs, ys))

    train = jax.jit(jax.vmap(one))
    rates = jnp.linspace(1e-3, 8e-3, n)

    def run(steps: int) -> None:
        jax.block_until_ready(train(weights, rates, x[:, :steps], y[:, :steps]))

    return run


def seconds(run: Steps, steps: int) -> float:
    started = time.perf_counter()
    run(steps)
    return time.perf_counter() - started


def quartiles(values: list[float]) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:7.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--model", choices=tuple(MODELS), default="mlp")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--width", type=int, default=8, help="members in a compiled chunk")
    parser.add_argument("--contender", default="adam")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = mnist1d_mlp()
    if options.model != "mlp":
        task = replace(task, name=f"mnist1d-{options.model}", model=MODELS[options.model])
    (arm,) = contenders([options.contender])
    alone = Batches(task, members(1), numerics(False, 1))
    alone.shuffle()
    print(f"µs for one member's step; {options.contender} on {task.name}, torch {torch.__version__}, one thread\n")
    for n in options.members:
        width = min(n, options.width)
        rows: dict[str, tuple[Steps, int]] = {
            "plain script": (plain_script(task, arm), 1),
            "tuned loop": (tuned_loop(task, arm, alone), 1),
            "engine, eager": (engine(Population, task, arm, n, n), n),
            "engine, compiled": (engine(Compiled, task, arm, n, width), n // width * width),
        }
        if options.model == "mlp":
            rows = {"floor": (floor(task, width), width), **rows}
        jax_row = jax_population(task, n) if options.model == "mlp" else None
        if jax_row is not None:
            rows["JAX + optax"] = (jax_row, n)
        measure(n, rows, options.rounds)
    if options.model == "mlp" and jax_row is None:
        print("JAX + optax: not measured, for jax and optax aren't installed")


def measure(n: int, rows: dict[str, tuple[Steps, int]], rounds: int) -> None:
    steps = {name: max(4, min(60, 240 // size)) for name, (_, size) in rows.items()}
    times: dict[str, list[float]] = {name: [] for name in rows}
    for round_ in range(rounds + 1):
        for name, (run, size) in rows.items():
            taken = seconds(run, steps[name]) / steps[name] / size * 1e6
            if round_:  # the first is to warm up
                times[name].append(taken)
    print(f"{n} members{'':14}      µs            × floor                 tuned loop ÷")
    for name, values in times.items():
        over = [v / f for v, f in zip(values, times.get("floor", values), strict=True)]
        gain = [t / v for v, t in zip(values, times["tuned loop"], strict=True)]
        floors = quartiles(over) if "floor" in times else "-"
        print(f"  {name:18} {np.median(values):10.0f}   {floors:>26}   {quartiles(gain):>26}")
    print()


if __name__ == "__main__":
    main()
