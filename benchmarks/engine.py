"""What one member's training step costs: the plain script's inner loop, the tuned loop, this engine, and the floor.

Side by side, in turns, so that a noisy machine disturbs all alike; the figures are medians over rounds, the ratios
medians of each round's ratio, with their quartiles. Every row runs as one process a core, each on its own core with one
thread and its share of the members; joblib, and JAX with the threads it takes by itself, share out the work themselves.

    python benchmarks/engine.py [--task mnist1d-mlp …] [--members 1 8 32 128 512 1024] [--rounds 9] [--cores 2] [--width W]

The floor is the step's contractions alone (`floors`). JAX with optax, under vmap and scan, is measured of mnist1d-mlp,
where both are installed. MiB a member is how far a process's peak memory grows from
before its row is built to the end, by its members (torch and JAX themselves, and the data set, count in it: read it
where there are many).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from engine_rows import ROWS, Setting, own_width

from assay.tasks import TASKS
from assay.workers.local import THREAD_VARIABLES, cores

LIMITS = {"× floor": 1.7, "of JAX": 1 / 2, "of the tuned loop": 1 / 1.8, "from 32 to 1,024 members": 1.15}
MLP_ONLY = ("JAX + optax", "JAX, own threads")
SHARES_OUT = ("joblib, tuned loop", "JAX, own threads")  # one process, every core
WANTED_SECONDS = 0.15  # of one call of a row


class Row:
    """A row's processes: they build, then take steps whenever they are told."""

    def __init__(self, name: str, setting: Setting, processes: int) -> None:
        self.name, self.times = name, list[float]()
        count = 1 if name in SHARES_OUT else max(1, min(processes, setting.members))
        members = setting.members if count == 1 else -(-setting.members // count)
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes: list[Any] = []
        with _environment(name):
            for i in range(count):
                ours, theirs = context.Pipe()
                own = Setting(setting.task, setting.contender, members, min(members, setting.width), processes)
                place = None if name in SHARES_OUT else i
                process = context.Process(target=_serve, args=(theirs, name, own, place), daemon=name not in SHARES_OUT)
                process.start()
                self.pipes.append(ours)
                self.processes.append(process)
        built = [pipe.recv() for pipe in self.pipes]
        self.missing = next((b for b in built if isinstance(b, str)), None)
        if self.missing is None:
            self.members, self.least = sum(b[0] for b in built), built[0][1]
            self.steps = self.least
            seconds = self.seconds()  # the first call pays for what is made on first use
            seconds = self.seconds()
            self.steps = max(self.least, min(240, int(WANTED_SECONDS / max(seconds / self.steps, 1e-6))))
            self.seconds()

    def seconds(self) -> float:
        """Of one call, by the clock on the wall."""
        started = time.perf_counter()
        for pipe in self.pipes:
            pipe.send(self.steps)
        for pipe in self.pipes:
            pipe.recv()
        return time.perf_counter() - started

    def take(self) -> None:
        """One round: µs for one member's step."""
        self.times.append(self.seconds() / self.steps / self.members * 1e6)

    def close(self) -> float:
        """End the processes; MiB a member."""
        for pipe in self.pipes:
            pipe.send(0)
        grown = sum(pipe.recv() for pipe in self.pipes) if self.missing is None else 0.0
        for process in self.processes:
            process.join()
        return grown / getattr(self, "members", 1)


def _serve(pipe: Connection, name: str, setting: Setting, place: int | None) -> None:
    """In a process of a row: build, take steps, tell the memory."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if place is not None and allowed:
        os.sched_setaffinity(0, {allowed[place % len(allowed)]})
    torch.set_num_threads(1)
    before = _peak_mib()
    try:
        built = ROWS[name](setting)
    except ImportError as error:
        pipe.send(f"{name}: not measured ({error})")
        pipe.recv()
        return
    pipe.send((built.members, built.least))
    while steps := pipe.recv():
        built.steps(steps)
        pipe.send(True)
    pipe.send(_peak_mib() - before)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _environment(name: str) -> Iterator[None]:
    """One thread a process, for torch and for XLA."""
    wanted: dict[str, str] = {name: "1" for name in THREAD_VARIABLES}
    if name == "JAX + optax":
        wanted["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


# ---------------------------------------------------------------------------------------------------- the table


def measure(setting: Setting, processes: int, rounds: int, left_out: Sequence[str]) -> dict[str, list[float]]:
    """Every row in turns; prints the table. The times (rounds,) of each row in µs."""
    rows: list[Row] = []
    try:
        for name in ROWS:
            if name in left_out or (name in MLP_ONLY and setting.task != "mnist1d-mlp"):
                continue
            if name in SHARES_OUT and processes == 1:
                continue
            row = Row(name, setting, processes)
            if row.missing:
                print(f"  {row.missing}")
                row.close()
            else:
                rows.append(row)
        for _ in range(rounds):
            for row in rows:
                row.take()
    finally:
        memory = {row.name: row.close() for row in rows}
    times = {row.name: row.times for row in rows}
    width = min(setting.width, setting.members)
    print(
        f"{setting.members} members, chunks of {width:<8} µs {'× floor':>22} {'tuned loop ÷':>24} {'MiB a member':>14}"
    )
    for name, values in times.items():
        over = quartiles(ratios(values, times["floor"])) if "floor" in times else "-"
        gain = quartiles(ratios(times["tuned loop"], values)) if "tuned loop" in times else "-"
        print(f"  {name:22} {np.median(values):9.0f}   {over:>22} {gain:>24} {memory[name]:12.1f}")
    print(flush=True)
    return times


def ratios(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [x / y for x, y in zip(a, b, strict=True)]


def quartiles(values: Sequence[float]) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def checks(found: dict[int, dict[str, list[float]]]) -> None:
    """What is asked of the engine, at the largest population of 32 to 512 members that was measured."""
    sizes = [n for n in found if 32 <= n <= 512 and {"floor", "engine, compiled"} <= found[n].keys()]
    if not sizes:
        return
    times = found[sizes[-1]]
    ours = times["engine, compiled"]
    print(f"Asked of a compiled step, at {sizes[-1]} members:")
    _check("× floor", ratios(ours, times["floor"]))
    jax = [name for name in ("JAX + optax", "JAX, own threads") if name in times]
    if jax:
        _check("of JAX", ratios(ours, times[min(jax, key=lambda name: np.median(times[name]))]))
    if "tuned loop" in times:
        _check("of the tuned loop", ratios(ours, times["tuned loop"]))
    if {32, 1024} <= found.keys():
        over = [ratios(found[n]["engine, compiled"], found[n]["floor"]) for n in (32, 1024)]
        _check("from 32 to 1,024 members", ratios(over[1], [float(np.median(over[0]))] * len(over[1])))


def _check(what: str, values: list[float]) -> None:
    word = "met" if np.median(values) <= LIMITS[what] else "MISSED"
    print(f"  {what:26} {quartiles(values):>22}   at most {LIMITS[what]:.2f}: {word}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 32, 128, 512, 1024])
    parser.add_argument("--task", choices=tuple(TASKS), nargs="+", default=["mnist1d-mlp"])
    parser.add_argument("--contender", default="adam")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cores", type=int, default=cores(), help="processes, one a core")
    parser.add_argument("--width", type=int, help="members in a compiled chunk; by default the engine's own choice")
    parser.add_argument("--without", nargs="*", default=[], choices=tuple(ROWS), help="rows to leave out")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.contender}, torch {torch.__version__}, {options.cores} cores\n")
    for task in options.task:
        print(task)
        found: dict[int, dict[str, list[float]]] = {}
        for n in options.members:
            width = options.width or own_width(task, options.contender, max(1, n // options.cores))
            left_out = [*options.without, *(["engine, eager"] if n > 512 else [])]
            setting = Setting(task, options.contender, n, width)
            found[n] = measure(setting, options.cores, options.rounds, left_out)
        checks(found)


if __name__ == "__main__":
    main()
