"""The engine and the loop, twins at full length: one plan trained by both, on a real task, over many seeds.

Over the first epochs the numbers are equal; then rounding acts like another seed, and only the distributions are: the
paired differences of the final test scores must not favour either. Every seed has its own data, weights and batches.

    python benchmarks/twins.py [--contenders adam gns-adam] [--rates 0.02 0.02] [--seeds 30] [--compile on]

p is of a paired t test (scipy); the interval is its own, in points; KS compares the two distributions.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, cast

import msgspec
import numpy as np
from scipy import stats

from assay import seeds
from assay.contenders import contenders
from assay.core import Contender, Curves, Member, Numerics, Task, WorkerOptions
from assay.driver.scheduler import chunked, gather
from assay.tasks import find
from assay.training.numerics import loop_here
from assay.workers import jobs
from assay.workers.choose import open_workers
from assay.workers.interface import Workers


def trained(workers: Workers, task: Task, arm: Contender, plan: list[Member], numerics: Numerics) -> Curves:
    packed = jobs.pack(task), jobs.pack(arm)
    chunks = chunked(plan, numerics.chunk_size)
    calls = [(jobs.train_chunk, (*packed, chunk, numerics)) for chunk in chunks]
    return Curves.concatenate([replace(c, weights=None) for c in gather(workers, calls)])


def compare(name: str, engine: Curves, loop: Curves, scale: float) -> None:
    assert engine.test is not None
    assert loop.test is not None
    fell = sum(map(bool, engine.fallback))
    apart = np.abs(engine.train_loss / loop.train_loss - 1)
    first = ", ".join(f"{np.nanmax(apart[:, e]):.0e}" for e in range(min(3, apart.shape[1])))
    print(f"{name}: {len(loop)} seeds, {apart.shape[1]} epochs" + (f"; {fell} FELL BACK to the loop" if fell else ""))
    print(f"  training loss of epochs 1, 2, 3 differs by {first} at most; of the last by {np.nanmax(apart[:, -1]):.0e}")
    ours, theirs = scale * engine.test[:, -1], scale * loop.test[:, -1]
    differences = ours - theirs
    if not differences.any():
        print("  every final test score is the same")
        return
    test, ks = stats.ttest_rel(ours, theirs), cast(Any, stats.ks_2samp(ours, theirs))
    low, high = test.confidence_interval(0.95)
    print(
        f"  final test score, engine − loop: {differences.mean():+.3f} points, 95 % interval {low:+.3f} to {high:+.3f}, "
        f"p = {test.pvalue:.2f}; KS p = {ks.pvalue:.2f}"
    )
    print(
        f"  {np.mean(differences != 0):.0%} of the seeds score differently, by {differences.std(ddof=1):.2f} points (sd); "
        f"between seeds it is {theirs.std(ddof=1):.2f} in the loop and {ours.std(ddof=1):.2f} in the engine",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="mnist1d-mlp")
    parser.add_argument("--contenders", nargs="+", default=["adam", "gns-adam"])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.02], help="learning rate of each")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--width", type=int, default=4, help="members in a chunk of the engine")
    parser.add_argument("--compile", choices=("on", "off"), default="on")
    options = parser.parse_args()
    task = find(options.task).under("honest")
    arms = contenders(options.contenders if len(options.contenders) > 1 else [*options.contenders, "sgd"])
    by_loop = loop_here()
    by_engine = msgspec.structs.replace(
        by_loop, engine="vectorized", compiled=options.compile == "on", chunk_size=options.width
    )
    with open_workers(WorkerOptions()) as workers:
        for arm, rate in zip(arms, options.rates, strict=False):
            plan = [
                Member(0, "final", k, 0, {"lr": rate}, **seeds.of_member(0, "honest", k, "final", 0))
                for k in range(options.seeds)
            ]
            loop = trained(workers, task, arm, plan, by_loop)
            compare(f"{arm.name} at {rate:g}", trained(workers, task, arm, plan, by_engine), loop, task.metric.scale)


if __name__ == "__main__":
    main()
