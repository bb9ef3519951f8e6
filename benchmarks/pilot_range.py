"""Does a pilot's range hold the best rate, of so many hyperparameters tuned at once, with so many trials? Numbers only.

    python benchmarks/pilot_range.py [--pilots 200]        (half a minute)

A training's noise is 1. A decade beside the best rate costs 10, a sixth of its range beside the best of any other hyperparameter
1, both with the square of the distance; the best place is drawn anew for each pilot. `cliff`: rates above the best one by a third
of a decade or more score as badly as any. Printed is how often the best rate lies outside the 1.5 decades that the pilot chooses
of six, and what the nearest end of that range costs then, on average.
"""

from __future__ import annotations

import argparse

import numpy as np

from assay.judge import design, pilot
from assay.judge.process import Process

DIMENSIONS = (1, 2, 3, 5)
TRIALS = (pilot.TRIALS, 2 * pilot.TRIALS)
COST = 10.0, 1.0  # of a sixth of the range: of the rate, of another
CLIFF = 1 / 3 / pilot.DECADES


def outside(dimensions: int, trials: int, cliff: bool, seed: int) -> float:
    """What the nearest end of one pilot's range costs, 0 where the best rate lies in it; it doesn't go on beyond an end."""
    rng = np.random.default_rng([seed, dimensions, trials, cliff])
    best = rng.uniform(0.3, 0.7, dimensions)
    costs = np.array([COST[0], *[COST[1]] * (dimensions - 1)]) * 6**2
    worst = -float(costs.sum())

    def scores(places: np.ndarray) -> np.ndarray:
        clean = -((places - best) ** 2 @ costs)
        lost = cliff & (places[:, 0] > best[0] + CLIFF)
        return np.where(lost, worst, clean + rng.standard_normal(len(places)))

    first = design.spread(design.first_round(trials), [0] * dimensions, seed)
    found = scores(first)
    then = design.refined(Process(first, found), trials - len(first), len(first), seed)
    process = Process(np.concatenate([first, then]), np.concatenate([found, scores(then)]))
    apart = max(0.0, abs(pilot.best_of(process, 0) - best[0]) - pilot.HALF_WIDTH)
    return float(costs[0]) * apart**2


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--pilots", type=int, default=200)
    pilots = options.parse_args().pilots
    print("| tuned | " + " | ".join(f"{kind}, {n} trials" for kind in ("smooth", "cliff") for n in TRIALS) + " |")
    print("|---" * (1 + 2 * len(TRIALS)) + "|")
    for dimensions in DIMENSIONS:
        cells: list[str] = []
        for cliff in (False, True):
            for n in TRIALS:
                lost = np.array([outside(dimensions, n, cliff, seed) for seed in range(pilots)])
                some = f" ({lost[lost > 0].mean():.1f})" if lost.any() else ""
                cells.append(f"{np.mean(lost > 0):.1%}{some}")
        print(f"| {dimensions} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
