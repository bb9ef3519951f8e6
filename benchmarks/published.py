"""The published experiment, by the plain script and by assay, in turn: times, their ratio, tuned rates, accuracies.

    python benchmarks/published.py                    one pair
    python benchmarks/published.py --pairs 3          three, for the spread of the ratio
    python benchmarks/published.py --seeds 10         assay alone over ten seeds: the table of benchmarks/README.md

Both are whole processes, imports and pictures included, and both generate their data: assay is given an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("adam", "gns-adam")


def plain_script(seed: int, folder: str) -> tuple[float, dict[str, tuple[float, float]]]:
    """Seconds, and (learning rate, test accuracy) of each optimizer."""
    started = time.perf_counter()
    command = [sys.executable, str(HERE / "plain_script.py"), "--seed", str(seed), "--out", folder, "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return time.perf_counter() - started, {name: (found[name]["lr"], found[name]["accuracy"]) for name in NAMES}


def assay(seed: int, folder: str, cache: str) -> tuple[float, dict[str, tuple[float, float]]]:
    """The same of assay."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "assay", "run", *NAMES, "--protocol", "published", "--seed", str(seed)]
    environment = {**os.environ, "ASSAY_CACHE": cache}
    done = subprocess.run(
        [*command, "--out", folder, "--json"], check=True, capture_output=True, text=True, env=environment
    )
    contenders = json.loads(done.stdout)["contenders"]
    found = {name: (contenders[name]["hyperparameters"]["lr"], contenders[name]["score_mean"]) for name in NAMES}
    return time.perf_counter() - started, found


def row(what: str, seed: int, seconds: float, found: dict[str, tuple[float, float]]) -> None:
    cells = "   ".join(f"{name}: lr {found[name][0]:.4f}, {100 * found[name][1]:.2f} %" for name in NAMES)
    print(f"{what:<12} seed {seed}   {seconds:6.1f} s   {cells}", flush=True)


def pairs(number: int) -> None:
    ratios = []
    for seed in range(number):
        with tempfile.TemporaryDirectory() as folder:
            theirs, found = plain_script(seed, f"{folder}/plain")
            row("plain script", seed, theirs, found)
            ours, found = assay(seed, f"{folder}/assay", f"{folder}/cache")
            row("assay", seed, ours, found)
            ratios.append(theirs / ours)
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if number > 1 else ""
    print(f"assay is {statistics.median(ratios):.2f} times faster{spread}")


def seeds(number: int) -> None:
    everything: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(number):
            seconds, found = assay(seed, f"{folder}/{seed}", f"{folder}/cache")
            row("assay", seed, seconds, found)
            for name in NAMES:
                everything[name].append(found[name])
            differences.append(found["gns-adam"][1] - found["adam"][1])
    for name, rows in everything.items():
        rates, scores = zip(*rows, strict=True)
        print(
            f"{name:<9} accuracy {100 * statistics.mean(scores):.2f} % (sd {100 * statistics.stdev(scores):.2f}), "
            f"learning rates {min(rates):.4f} to {max(rates):.4f}"
        )
    won = sum(d > 0 for d in differences)
    print(f"gns-adam scored higher in {won} of {number} seeds")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1, help="how many pairs of runs (default 1)")
    parser.add_argument("--seeds", type=int, help="assay alone, over so many seeds (2 at least)")
    arguments = parser.parse_args()
    seeds(arguments.seeds) if arguments.seeds else pairs(arguments.pairs)
