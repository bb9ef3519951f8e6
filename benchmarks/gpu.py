"""Thousands of trainings on one GPU: how many a second, and how many times the plain script's rate on the same card?

    python benchmarks/gpu.py [--trainings 10000] [--workers 4] [--contender adam] [--plain 8] [--profile]

The trainings are trials of the original MLP on MNIST-1D as a plan would ask for them (each with its own rate, weights
and batch order; a data set for every 100), in chunks as the engine chooses them, on worker processes that are there. The
clock runs from the first chunk's start to the last curve's arrival: weights, data transfer, training, and scoring after
every epoch are in it. The plain script's inner loop (`plain_script.py`: DataLoader, model, optimizer) trains on the same
card one model at a time, with its data there from the start, before and after; its rate is the quicker one.
`--profile` shows where the time of one epoch of one chunk goes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import plain_script
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from assay import seeds
from assay.contenders import contenders
from assay.core import Contender, EngineOptions, Member, Numerics, Task, WorkerOptions
from assay.engine import train as vectorized
from assay.engine.select.choose import choose_engine
from assay.space import Float
from assay.tasks.mnist1d import mnist1d_mlp
from assay.training.numerics import Demand
from assay.workers import jobs
from assay.workers.choose import open_workers
from assay.workers.local import cores

SHARING = 100  # trainings on one data set


def plain_rate(task: Task, trainings: int, optimizer: str) -> float:
    """Trainings a second of the plain script's loop, its data on the card."""
    x, y = (torch.from_numpy(a).cuda() for a in task.draw(0).train)
    loader = DataLoader(TensorDataset(x.float(), y), batch_size=task.batch_size, shuffle=True)
    test_x, test_y = (torch.from_numpy(a).cuda() for a in task.draw(0).test)
    times = []
    for i in range(trainings + 1):
        started = time.perf_counter()
        torch.manual_seed(i)
        model = nn.Sequential(nn.Linear(40, 256), nn.ReLU(), nn.Linear(256, 10)).cuda()
        made = plain_script.OPTIMIZERS[optimizer](model, 0.01)
        for _ in range(task.epochs):
            plain_script.train_epoch(model, made, loader)
        plain_script.accuracy(model, test_x.float(), test_y)
        times.append(time.perf_counter() - started)
    return 1 / float(np.median(times[1:]))


def trials(contender: Contender, count: int) -> list[Member]:
    """As a plan's: rates drawn over the space, seeds by place."""
    (name, rate), *_ = contender.space.items()
    assert isinstance(rate, Float)
    draws = np.random.default_rng(0).uniform(np.log(rate.low), np.log(rate.high), count)
    return [
        Member(0, "tune", i // SHARING, i % SHARING, {name: float(np.exp(draws[i]))},
               **seeds.of_member(0, "honest", i // SHARING, "tune", i % SHARING))
        for i in range(count)
    ]  # fmt: skip


def population_rate(task: Task, contender: Contender, members: list[Member], numerics: Numerics, count: int) -> float:
    """Trainings a second, on `count` workers that have begun."""
    packed = jobs.pack(task), jobs.pack(contender)
    short = jobs.pack(replace(task, epochs=1))
    chunks = [members[i : i + numerics.chunk_size] for i in range(0, len(members), numerics.chunk_size)]
    with open_workers(WorkerOptions(workers=count), "cuda") as workers:
        begun = [workers.submit(jobs.train_chunk, short, packed[1], members[:2], numerics) for _ in range(4 * count)]
        for future in begun:
            future.result()
        for split in {m.split for m in members}:
            task.draw(split)
        started = time.perf_counter()
        futures = [workers.submit(jobs.train_chunk, *packed, chunk, numerics) for chunk in chunks]
        curves = [future.result() for future in futures]
        seconds = time.perf_counter() - started
    final = np.concatenate([c.validation[:, -1] for c in curves])
    kept = sum(not reason for c in curves for reason in c.fallback or ("",) * len(c.diverged))
    print(
        f"{len(members):,} trainings of {contender.name} in {seconds:.1f} s on {count} workers, chunks of {numerics.chunk_size}:"
        f" {len(members) / seconds:,.0f} a second; best validation accuracy {np.nanmax(final):.3f}, median "
        f"{np.nanmedian(final):.3f}, {kept:,} vectorized",
        flush=True,
    )
    return len(members) / seconds


def profile(task: Task, contender: Contender, members: list[Member], numerics: Numerics) -> None:
    """The operations that one epoch of one chunk spends its time on."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watch

    training = vectorized._Training(vectorized.Population, task, contender, members, numerics, {})
    for epoch in range(2):
        training.epoch(epoch)
    torch.cuda.synchronize()
    started = time.perf_counter()
    training.epoch(2)
    print(f"an epoch of {len(members)}: {time.perf_counter() - started:.3f} s")
    with watch(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        training.epoch(3)
        torch.cuda.synchronize()
    print(seen.key_averages().table(sort_by="self_device_time_total", row_limit=22, max_name_column_width=60))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=10_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[4])
    parser.add_argument("--contender", default="adam", choices=tuple(plain_script.OPTIMIZERS))
    parser.add_argument("--plain", type=int, default=8, help="trainings of the plain script's loop, before and after")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    task = mnist1d_mlp()
    contender, _ = contenders([options.contender, "adam" if options.contender != "adam" else "gns-adam"])
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {cores()} cores", flush=True)
    before = plain_rate(task, options.plain, options.contender)
    members = trials(contender, options.trainings)
    rates: list[float] = []
    for count in options.workers:
        started = time.perf_counter()
        demand = Demand(len(members), at_once=len(members), processes=count, split=members[0].split)
        found = choose_engine(task, contender, EngineOptions(engine="vectorized", device="cuda"), demand)
        print(f"engine chosen in {time.perf_counter() - started:.1f} s: {found.numerics.reason}", flush=True)
        torch.cuda.empty_cache()
        rates.append(population_rate(task, contender, members, found.numerics, count))
        if options.profile and count == options.workers[0]:
            profile(task, contender, members[: found.numerics.chunk_size], found.numerics)
    plain = max(before, plain_rate(task, options.plain, options.contender))
    print(
        f"plain script on this card: {plain:.2f} trainings a second; the population: {max(rates) / plain:,.0f} times that"
    )


if __name__ == "__main__":
    main()
