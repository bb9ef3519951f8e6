"""What it costs that a process serves one contender only: a process kept for its contender, or a fresh one for each chunk.

    python -m benchmarks.isolation --task mnist1d-mlp

Seconds of the processor, which other work on the machine changes little, that one training takes in a process that has
just been forked from the preloaded server, and the next ones in the same process; and what noting and putting back the
settings of the process takes, once a chunk.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

from assay.contenders import contenders, guard
from assay.core import Member
from assay.space import midpoint
from assay.tasks import find
from assay.training.numerics import loop_here
from assay.workers import jobs
from assay.workers.local import LocalWorkers


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--task", default="mnist1d-mlp")
    options.add_argument("--contender", default="adam")
    options.add_argument("--repeats", type=int, default=5)
    asked = options.parse_args()
    task, (contender,) = find(asked.task).under("honest"), contenders([asked.contender])
    chosen = {name: midpoint(dimension) for name, dimension in contender.space.items()}
    packed = jobs.pack(task), jobs.pack(contender)
    chunks = [[Member(0, "tune", 0, i, chosen, 1, i, i, i)] for i in range(2)]
    first, later = list[float](), list[float]()
    for _ in range(asked.repeats):
        workers = LocalWorkers(1)
        for chunk, seconds in zip(chunks, (first, later), strict=True):
            seconds.append(workers.submit(measured, *packed, chunk, loop_here()).result())
        workers.end()
    watched = [timed_guard() for _ in range(10 * asked.repeats)]
    print(f"a training in a fresh process, its start included   {statistics.median(first):.3f} s")
    print(f"the next one in the same process                    {statistics.median(later):.3f} s")
    print(f"settings noted and put back, once a chunk           {statistics.median(watched):.4f} s")


def measured(*arguments: Any) -> float:
    """Seconds of this process's, its own start included where it is the first call."""
    global _before
    jobs.train_chunk(*arguments)
    before, _before = _before, time.process_time()
    return _before - before


def timed_guard() -> float:
    """Seconds of the processor."""
    started = time.process_time()
    with guard.kept():
        pass
    return time.process_time() - started


_before = 0.0

if __name__ == "__main__":
    from benchmarks.isolation import main as imported  # so that workers find `measured` by name

    imported()
