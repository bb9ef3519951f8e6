"""Does the verdict hold its level, when each of two equal contenders has a range that a pilot of its own found?

    python benchmarks/pilot_level.py        (a few minutes)

Given their pilots, the replicates of a run are independent; but pilots differ by luck, all replicates of a run share them, and
two copies of one optimizer that were tuned in different ranges are no longer equal. On each recorded curve (`curves.json`, as in
`regret.py`) pilots are simulated, and K studies in the range of each. A comparison is two of the pilots with their studies, and
the noise of final runs: normal, with the spread of recorded test scores at the curve's best places, over the square root of r,
and a fraction of that, as where seeds that are shared make differences smaller. Printed is how often the t interval leaves 0
out; before that, in margins, the standard deviations of what is expected of a choice, between pilots and in all, and of noise.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from regret import Curve, by_pilot, second

from assay.driver.protocol import USUAL
from assay.judge import pilot

LEVEL = 0.05
REPLICATES = (4, 14, 50)
NOISES = (1.0, 0.5)  # of the spread of independent final runs


def studies(curve: Curve, pilots: int, each: int, trials: int) -> np.ndarray:
    """What is expected of the choices (pilots, each) of studies in the ranges of so many pilots, in text units."""
    found = np.empty((pilots, each))
    for p in range(pilots):
        rng = np.random.default_rng(p)
        low, high = by_pilot(10**6 + p, curve.drawn(rng))
        for s in range(each):
            place = second(low, high, trials, p * each + s, curve.drawn(rng))
            found[p, s] = -curve.regret(place)
    return found


def claimed(values: np.ndarray, noise: float, replicates: int, comparisons: int) -> float:
    """The share of simulated comparisons of equals that claim a difference."""
    rng = np.random.default_rng(replicates)
    pairs = np.array([rng.choice(len(values), 2, replace=False) for _ in range(comparisons)])
    drawn = values[pairs, :replicates]
    differences = drawn[:, 0] - drawn[:, 1] + rng.normal(0, noise, (comparisons, replicates))
    means, errors = differences.mean(axis=1), differences.std(axis=1, ddof=1) / replicates**0.5
    return float((np.abs(means) > scipy.stats.t.ppf(1 - LEVEL / 2, replicates - 1) * errors).mean())


def line(recorded: dict[str, Any], pilots: int, comparisons: int) -> str:
    """One pair's row."""
    curve, usual, each = Curve(recorded), USUAL["honest"], max(REPLICATES)
    values = studies(curve, pilots, each, usual["trials"])
    good = np.argsort(curve.scores.mean(axis=1))[-8:]
    final = 2**0.5 * curve.finals[good].std(axis=1, ddof=1).mean() / usual["final_seeds"] ** 0.5
    margin = recorded["scale"] * recorded["margin"]
    between = np.sqrt(max(values.mean(axis=1).var(ddof=1) - values.var(axis=1, ddof=1).mean() / each, 0.0))
    cells = [f"{100 * claimed(values, n * final, k, comparisons):.1f}" for n in NOISES for k in REPLICATES]
    name = ", ".join((recorded["task"], recorded["optimizer"]))
    return f"| {name} | {between / margin:.3f} | {values.std() / margin:.3f} | {final / margin:.2f} | {' | '.join(cells)} |"


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("curves", type=Path, nargs="?", default=Path(__file__).parent / "curves.json")
    options.add_argument("--pilots", type=int, default=400)
    options.add_argument("--comparisons", type=int, default=4000)
    options.add_argument("--pilot-trials", type=int, default=pilot.TRIALS)
    asked = options.parse_args()
    pilot.TRIALS = asked.pilot_trials
    heads = [f"K = {k}, noise × {n:g}: %" for n in NOISES for k in REPLICATES]
    print(f"| task, optimizer | between pilots | of a choice | of a difference | {' | '.join(heads)} |")
    print("|---" * (4 + len(heads)) + "|")
    for recorded in json.loads(asked.curves.read_text())["curves"]:
        if len(recorded["places"]) == 1:
            print(line(recorded, asked.pilots, asked.comparisons), flush=True)


if __name__ == "__main__":
    main()
