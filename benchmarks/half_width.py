"""How wide is the default's interval, by the first and the second edition, each with the trainings that it takes by itself?

    python benchmarks/half_width.py --to DIR        (about 25 minutes on 2 quiet cores; goes on where it was interrupted)

`assay run adam gns-adam` with nothing else said, by either edition in turn, over root seeds. Printed are the mean half width of
95 % intervals, the standard deviation of a replicate's difference pooled over the seeds, the trainings, the median seconds of
a run, all caches warm; then the ratios, that of the spreads with its 95 % interval (F distribution).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Literal

import numpy as np
import scipy.stats

from assay.driver.compare import Result, compare

Named = Literal["honest", "honest-1"]
EDITIONS: dict[str, Named] = {"first": "honest-1", "second": "honest"}


@dataclass
class Edition:
    """What the runs by one edition have shown."""

    half_widths: list[float]
    variances: list[float]
    replicates: int
    trainings: int
    seconds: list[float]  # of runs that found nothing on record

    @property
    def spread(self) -> float:
        return mean(self.variances) ** 0.5

    @property
    def degrees(self) -> int:
        return len(self.variances) * (self.replicates - 1)

    def row(self, name: str) -> str:
        took = f"{median(self.seconds):.0f} s" if self.seconds else "on record"
        return f"| {name} | {self.trainings} | {self.replicates} | {self.spread:.3f} | {mean(self.half_widths):.3f} | {took} |"


def timed(protocol: Named, candidate: str, task: str, seed: int, to: Path) -> tuple[Result, float | None]:
    """The result, and the seconds that it took where it wasn't on record."""
    out, start = to / f"{task}-{candidate}-{protocol}-{seed}", perf_counter()
    fresh = not out.exists()
    result = compare("adam", candidate, task=task, protocol=protocol, seed=seed, out=out)
    return result, perf_counter() - start if fresh else None


def edition(runs: list[tuple[Result, float | None]]) -> Edition:
    """Differences in margins of the task."""
    results = [result for result, _ in runs]
    verdicts = [result.content["verdicts"][0] for result in results]
    differences = [np.array(v["details"]["differences"]) / v["margin"] for v in verdicts]
    return Edition(
        [(v["ci_high"] - v["ci_low"]) / 2 / v["margin"] for v in verdicts],
        [float(d.var(ddof=1)) for d in differences],
        len(differences[0]),
        results[0].frame().height,
        [seconds for _, seconds in runs if seconds is not None],
    )


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--to", type=Path, required=True, help="folder of the run folders")
    options.add_argument("--task", default="mnist1d-mlp")
    options.add_argument("--candidate", default="gns-adam")
    options.add_argument("--seeds", type=int, default=8)
    asked = options.parse_args()
    runs: dict[str, list[tuple[Result, float | None]]] = {name: [] for name in EDITIONS}
    for seed in range(asked.seeds):  # by turns, so that a machine that slows down slows both
        for name, protocol in EDITIONS.items():
            runs[name].append(timed(protocol, asked.candidate, asked.task, seed, asked.to))
    found = {name: edition(of) for name, of in runs.items()}
    print(f"{asked.task}, adam against {asked.candidate}, {asked.seeds} root seeds; in margins")
    print("| edition | trainings | replicates | sd of a replicate | mean half width | seconds, median |")
    print("|---|---|---|---|---|---|")
    for name, of in found.items():
        print(of.row(name))
    first, second = found["first"], found["second"]
    ratio = second.spread / first.spread
    low, high = (ratio / scipy.stats.f.ppf(q, second.degrees, first.degrees) ** 0.5 for q in (0.975, 0.025))
    print(
        f"second to first: spread {ratio:.2f} ({low:.2f} to {high:.2f}), half width "
        f"{mean(second.half_widths) / mean(first.half_widths):.2f}"
    )


if __name__ == "__main__":
    main()
