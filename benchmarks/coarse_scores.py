"""How often equal contenders pass for different, and different ones for equal, where scores are coarse: exact, case by case.

    python benchmarks/coarse_scores.py

A difference of K replicates is a whole number of test samples (over the final seeds): rounded normal, with a spread given in
such steps. Its mean is 0, or the margin. Each row is judged by the deciding interval without and with its floor on the spread,
step/√12.
"""

from __future__ import annotations

import itertools

import numpy as np
import scipy.stats

from assay.judge.decide import critical, paired_interval

ALPHA = 0.05
SPREADS = (0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0)


def error_rate(spread: float, replicates: int, resolution: float, margin: float = 0.0) -> float:
    """P(the interval leaves 0 out), or lies within a margin though that is the mean; differences in whole steps, this spread."""
    widest = int(np.ceil(6 * spread + margin)) + 1
    steps = np.arange(-widest, widest + 1)
    chance = np.diff(scipy.stats.norm.cdf((np.arange(-widest, widest + 2) - 0.5 - margin) / spread))
    chance /= chance.sum()
    grid = np.meshgrid(*[steps] * replicates, indexing="ij")
    weight = np.ones(grid[0].shape)
    for axis in range(replicates):
        weight = weight * chance.reshape([-1 if i == axis else 1 for i in range(replicates)])
    values = np.stack([g.ravel() for g in grid]).astype(float)
    constant = (values == values[0]).all(axis=0)
    sd = np.where(constant, 0.0, values.std(axis=0, ddof=1))
    half = critical(replicates, ALPHA) * np.maximum(sd, resolution / np.sqrt(12)) / np.sqrt(replicates)
    mean = values.mean(axis=0)
    wrong = np.abs(mean) + half < margin if margin else (np.abs(mean) > half) & (mean != 0)
    return float(weight.ravel()[wrong].sum())


def agrees_with_the_judge(replicates: int = 2, resolution: float = 1.0) -> bool:
    """That the arrays above say what `paired_interval` says."""
    for values in itertools.product(range(-4, 5), repeat=replicates):
        found = paired_interval(np.array(values, dtype=float), ALPHA, resolution=resolution)
        sd = max(float(np.std(values, ddof=1)), resolution / 12**0.5)
        beyond = abs(np.mean(values)) > critical(replicates, ALPHA) * sd / replicates**0.5
        if beyond != (found.low > 0 or found.high < 0):
            return False
    return True


def main() -> None:
    assert agrees_with_the_judge()
    for what, margin in (("different though equal", 0), *(("equal though apart by the margin", m) for m in (1, 2))):
        of = ", that of " + ("a step" if margin == 1 else f"{margin} steps") if margin else ""
        print(f"Called {what}{of}, %: without, with the floor.\n")
        print("| spread, in steps | K = 2 | K = 3 | K = 4 |\n|---:|---|---|---|")
        for spread in SPREADS:
            cells = [
                ", ".join(f"{100 * error_rate(spread, k, floor, margin):.1f}" for floor in (0.0, 1.0))
                if (12 * spread + 2 * margin) ** k < 3e6
                else "–"
                for k in (2, 3, 4)
            ]
            print(f"| {spread:g} | " + " | ".join(cells) + " |")
        print()


if __name__ == "__main__":
    main()
