"""How far do replicates lie apart, by the first and the second edition of the tuning, at equal budgets on real runs?

    python benchmarks/replicate_sd.py --to DIR        (about half an hour on 2 cores; goes on where it was interrupted)

Adam against another optimizer, ranges as each edition has them where nobody gives one. A replicate's number is the difference
of the two tuned optimizers' scores, in margins of the task. Printed are the standard deviations over the replicates, the ratio
of the second edition's to the first's with its 95 % interval (F distribution, as for two independent normal samples), and what
the final runs' seeds alone make of it, which no tuning can take away: √(Σ s²/r) over both optimizers, s² their variance within a
replicate.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.stats

from assay.driver.compare import Result, compare

TASKS = ("mnist1d-mlp", "digits", "friedman1", "char-attention")
EDITIONS = {"first": "honest-1", "second": "honest"}


def differences(result: Result) -> np.ndarray:
    """(replicates,) candidate − baseline, in margins."""
    verdict = result.content["verdicts"][0]
    return np.array(verdict["details"]["differences"]) / verdict["margin"]


def of_seeds(result: Result) -> float:
    """What the final runs' seeds alone make of the standard deviation, in margins."""
    finals = result.frame().filter(pl.col("phase") == "final")
    within = finals.group_by("contender", "replicate").agg(pl.col("test_score").var() / pl.len())
    each = within.group_by("contender").agg(pl.col("test_score").mean())
    return math.sqrt(float(each["test_score"].sum())) / result.content["verdicts"][0]["margin"]


def row(task: str, candidate: str, sizes: dict[str, int], to: Path) -> str:
    """One task's row."""
    found: list[Result] = []
    for name, protocol in EDITIONS.items():
        budget: dict[str, Any] = {**sizes, "protocol": protocol}
        found.append(compare("adam", candidate, task=task, out=to / f"{task}-{candidate}-{name}", **budget))
    first, second = (float(differences(result).std(ddof=1)) for result in found)
    ratio, degrees = second / first, sizes["replicates"] - 1
    low, high = (ratio / scipy.stats.f.ppf(q, degrees, degrees) ** 0.5 for q in (0.975, 0.025))
    between = f"{ratio:.2f} ({low:.2f} to {high:.2f})"
    return f"| {task}, {candidate} | {first:.2f} | {second:.2f} | {between} | {of_seeds(found[1]):.2f} |"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--to", type=Path, required=True, help="folder of the run folders")
    options.add_argument("--tasks", nargs="+", default=TASKS)
    options.add_argument("--candidate", default="nadam")
    options.add_argument("--replicates", type=int, default=20)
    options.add_argument("--trials", type=int, default=10)
    options.add_argument("--final-seeds", type=int, default=2)
    asked = options.parse_args()
    sizes = {"replicates": asked.replicates, "trials": asked.trials, "final_seeds": asked.final_seeds}
    rows = [row(task, asked.candidate, sizes, asked.to) for task in asked.tasks]
    print("| task, candidate | first edition, margins | second | ratio (95 %) | of the second, final seeds alone |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
