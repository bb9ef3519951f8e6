"""Each task of the suite on both engines: does it pass the parity probe, and is the vectorized engine quicker?

    python benchmarks/tasks.py [--tasks mnist1d-mlp digits …] [--contender adam] [--rounds 5]

Whole steps of one member, evaluation left out, on one thread: the loop's with torch's fused kernels against a chunk's in
the vectorized engine, eager and compiled, at the width that assay would choose. In turns, so that a noisy machine
disturbs all alike; times are medians, ratios medians of each round's ratio. Compiling a step that isn't cached takes
about half a minute. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from assay.contenders import contenders
from assay.core import Contender, Numerics, Run, Task
from assay.engine.compiled.population import Compiled
from assay.engine.eager.batches import Batches
from assay.engine.eager.population import Population
from assay.engine.refusal import NotVectorizable
from assay.engine.select.measure import evenly, largest_on_cpu
from assay.engine.select.parity import members, probe
from assay.tasks import TASKS, find
from assay.training.numerics import loop_here
from assay.training.step import Step

STEPS, LOCKSTEP = 10, 12  # in a round; replicates that train together, as by default


def numerics(width: int, compiled: bool) -> Numerics:
    plain = loop_here()
    return Numerics("vectorized", compiled, width, plain.dtype, "cpu", 1, plain.torch, plain.cpu)


def looped(task: Task, arm: Contender, batches: Batches) -> Callable[[int], None]:
    run = Run(batches.run.total_steps, task.epochs, batches.steps, fused=True)
    model = task.model()
    optimizer = arm.make(model, run, **{**arm.fixed, **members(arm, 0)[0].hyperparameters})
    step = Step(task, arm, model, optimizer, run)

    def take(steps: int) -> None:
        for i in range(steps):
            step(*batches.of_member(0, i % max(1, batches.steps - 1)))
        step.epoch_means()

    return take


def chunked(kind: type[Population], task: Task, arm: Contender, width: int) -> Callable[[int], None]:
    chunk = [members(arm, 0)[i % 3] for i in range(width)]
    batches = Batches(task, chunk, numerics(width, kind is Compiled))
    with torch.random.fork_rng(devices=[]):
        population = kind(task, arm, chunk, numerics(width, kind is Compiled), batches)

    def take(steps: int) -> None:
        for i in range(steps):
            population.step(*batches.at(i % max(1, batches.steps - 1)))

    return take


def measured(task: Task, arm: Contender, rounds: int) -> str:
    first = members(arm, 0)[0]
    width = evenly(min(LOCKSTEP, largest_on_cpu(task, arm, first, numerics(1, False))), LOCKSTEP)
    parity = probe(task, arm, numerics(width, False)) or "passed"
    batches = Batches(task, [first], loop_here())
    ways = {"loop": looped(task, arm, batches), "eager": chunked(Population, task, arm, width)}
    try:
        ways["compiled"] = chunked(Compiled, task, arm, width)
        compiled_parity = probe(task, arm, numerics(width, True)) or "passed"
        parity = parity if parity == compiled_parity else f"{parity}; compiled: {compiled_parity}"
    except NotVectorizable as error:
        parity += f"; not compiled: {error}"
    times = {name: np.full(rounds, np.nan) for name in ways}
    for take in ways.values():
        take(2)
    for r in range(rounds):
        for name, take in ways.items():
            started = time.perf_counter()
            take(STEPS)
            times[name][r] = (time.perf_counter() - started) / STEPS / (1 if name == "loop" else width)
    cells = [f"{1e6 * np.median(times[name]):.0f}" if name in times else "–" for name in ("loop", "eager", "compiled")]
    ratios = [
        f"{np.median(times['loop'] / times[name]):.2f}" if name in times else "–" for name in ("eager", "compiled")
    ]
    return f"| {task.name} | {parity} | {width} | {' | '.join(cells)} | {' | '.join(ratios)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--contender", default="adam")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    (arm,) = contenders([options.contender])
    print(f"µs for one member's step, {options.contender}, one thread; torch {torch.__version__}\n")
    print("| task | parity probe | width | loop | eager | compiled | loop ÷ eager | loop ÷ compiled |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.tasks:
        print(measured(find(name), arm, options.rounds), flush=True)


if __name__ == "__main__":
    main()
