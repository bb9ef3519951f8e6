"""Is `--engine auto` ever slower than `--engine loop`? Whole commands in turns, small jobs and larger ones.

Each job runs as `assay run … --engine auto` and as `--engine loop`, round by round, in a fresh run folder; the cache
(data, compiled steps) is shared and warm, but for jobs marked *cold*, which get a cache with the data alone. The order
within a round alternates.

    python benchmarks/auto.py [JOB…] [--rounds 3]

Ratios are medians over rounds of auto ÷ loop, with the least and the largest; at most 1.05 is asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TINY = "--replicates 2 --trials 2 --final-seeds 2"
SMALL = "--replicates 3 --trials 6 --final-seeds 3"
JOBS = {
    "tiny": f"adam gns-adam {TINY}",
    "tiny, short": f"sgd adam --epochs 2 {TINY}",
    "small": f"adam gns-adam {SMALL}",
    "small, rmsprop": f"rmsprop adamw {SMALL}",
    "small, cold": f"adam gns-adam {SMALL}",
    "published": "adam gns-adam --protocol published",
    "tiny task": f"adam sgd --task tests/tiny.py:task {SMALL}",
    "middling": "adam sgd --replicates 6 --trials 10 --final-seeds 4",
    "middling, cold": "adam sgd --replicates 6 --trials 10 --final-seeds 4",
}
ROOT = Path(__file__).parents[1]


def run(job: str, engine: str, cache: Path) -> tuple[float, str]:
    """Seconds of the command, and the engines that were taken."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "assay", "run", *JOBS[job].split(), "--engine", engine]
        command += ["--quiet", "--out", f"{scratch}/run"]
        started = time.perf_counter()
        subprocess.run(
            command, check=True, cwd=ROOT, env={**os.environ, "ASSAY_CACHE": str(cache)}, capture_output=True
        )
        seconds = time.perf_counter() - started
        plan = json.loads(Path(scratch, "run", "plan.json").read_text())
    taken = [n["engine"] + (", compiled" if n["compiled"] else "") for n in plan["numerics"]]
    return seconds, " and ".join(dict.fromkeys(taken))


def measure(job: str, rounds: int, warm: Path) -> None:
    times: dict[str, list[float]] = {"auto": [], "loop": []}
    taken = ""
    run(job, "auto", warm)  # what is made on first use: data, and the steps that are worth compiling
    for round_ in range(rounds):
        for engine in ("auto", "loop") if round_ % 2 else ("loop", "auto"):
            cache = warm
            if job.endswith("cold"):
                cache = Path(tempfile.mkdtemp())
                for data in warm.glob("*.npz"):
                    shutil.copy(data, cache)
            seconds, found = run(job, engine, cache)
            times[engine].append(seconds)
            taken = found if engine == "auto" else taken
            if cache is not warm:
                shutil.rmtree(cache)
    ratios = np.array(times["auto"]) / np.array(times["loop"])
    print(
        f"{job:16} loop {np.median(times['loop']):6.1f} s   auto {np.median(times['auto']):6.1f} s   "
        f"ratio {np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}]   auto took: {taken}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", choices=[*JOBS, []], help="jobs to run; all, if none is named")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as warm:
        for job in options.jobs or JOBS:
            measure(job, options.rounds, Path(warm))


if __name__ == "__main__":
    main()
