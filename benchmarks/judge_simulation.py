"""What the deciding interval delivers: coverage, error rate and power by number of replicates and shape of differences.

    python benchmarks/judge_simulation.py

Each row is 40,000 made-up experiments of K paired differences with mean 0 and standard deviation 1, judged by the
paired t interval at 95 %. "power" is at the difference that normal differences would detect 80 % of the time, once in
each direction. "BCa" and "Hall" are the coverage of the second opinions that reports print, in the first edition and from
the second on (1,500 and 8,000 experiments).

The second table: coverage of Wilson's interval of how often a single run wins, from normal differences whose replicates have the
intraclass correlation ρ: by the design effect of the shares alone, and by that of the scores, too, as it is.
"""

from __future__ import annotations

import time
from statistics import NormalDist

import numpy as np

from assay.judge import decide
from assay.judge.decide import critical, error_factor
from assay.judge.power import detectable_difference, expected_half_width
from assay.judge.second_opinion import bca_interval, hall_interval

ALPHA = 0.05
EXPERIMENTS = 40_000
BCA_EXPERIMENTS, HALL_EXPERIMENTS, WILSON_EXPERIMENTS = 1_500, 8_000, 2_000


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(0, 1, shape)


def skewed_alike(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Two contenders with the same skew: their difference is symmetric."""
    return (rng.exponential(1, shape) - rng.exponential(1, shape)) / np.sqrt(2)


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Exponential: skewness 2."""
    return rng.exponential(1, shape) - 1


def lognormal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Lognormal of unit shape: skewness 6."""
    return (rng.lognormal(0, 1, shape) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e)


def collapsing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Normal, and one replicate in ten falls by six standard deviations: tuning that sometimes picks a bad value."""
    spread = np.sqrt(1 + 36 * 0.1 * 0.9)
    return (rng.normal(0, 1, shape) - 6 * (rng.uniform(size=shape) < 0.1) + 0.6) / spread


def interval_ends(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the paired t interval for each row of samples (experiments, K)."""
    replicates = samples.shape[1]
    means = samples.mean(axis=1)
    half = critical(replicates, ALPHA) * error_factor(replicates) * samples.std(axis=1, ddof=1)
    return means - half, means + half


def row(draw, replicates: int, rng: np.random.Generator) -> str:
    samples = draw(rng, (EXPERIMENTS, replicates))
    low, high = interval_ends(samples)
    difference = detectable_difference(1.0, replicates, ALPHA)
    up = np.mean((low + difference > 0) | (high + difference < 0))
    down = np.mean((low - difference > 0) | (high - difference < 0))
    bca = np.array([bca_interval(sample, ALPHA, seed) for seed, sample in enumerate(samples[:BCA_EXPERIMENTS])])
    hall = np.array([hall_interval(sample, ALPHA) for sample in samples[:HALL_EXPERIMENTS]])
    figures = [
        np.mean((low <= 0) & (high >= 0)),
        np.mean(low > 0),
        np.mean(high < 0),
        up,
        down,
        *(np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0)) for ends in (bca, hall)),
    ]
    return f"| {replicates:>2} | {draw.__name__:<12} | " + " | ".join(f"{100 * x:5.1f}" for x in figures) + " |"


def shares_row(replicates: int, runs: int, share: float) -> str:
    rng, cells, kept = np.random.default_rng(replicates), list[str](), decide.intraclass
    for rho in (0.0, 0.1, 0.3, 0.6, 0.9, 1.0):
        own = rng.normal(size=(WILSON_EXPERIMENTS, replicates, runs)) * np.sqrt(1 - rho)
        alike = rng.normal(size=(WILSON_EXPERIMENTS, replicates, 1)) * np.sqrt(rho)
        scores, nothing, held = NormalDist().inv_cdf(share) + own + alike, np.zeros((replicates, runs)), list[float]()
        for correlation in (lambda *_: 0.0, kept):
            decide.intraclass = correlation
            ends = [decide.wilson_superior(one, nothing, ALPHA) for one in scores]
            held.append(float(np.mean([end.low <= share <= end.high for end in ends])))
        cells.append(", ".join(f"{100 * x:.1f}" for x in held))
    decide.intraclass = kept
    return f"| {replicates:>2} | {runs:>2} | {share:g} | " + " | ".join(cells) + " |"


def main() -> None:
    started = time.perf_counter()
    print(
        "|  K | differences  | coverage % | false better % | false worse % | power up % | power down % | BCa coverage % "
        "| Hall coverage % |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for replicates in (4, 12, 30):
        for draw in (normal, skewed_alike, skewed, lognormal, collapsing):
            print(row(draw, replicates, np.random.default_rng(replicates)), flush=True)
    print(
        "\nIn theory, for normal differences: coverage 95.0, false better 2.5, false worse 2.5, power 80.0. Detectable:"
    )
    for replicates in (4, 12, 30):
        difference = detectable_difference(1.0, replicates, ALPHA)
        print(
            f"K = {replicates:>2}: {difference:.3f} standard deviations of a replicate's difference, half width "
            f"{expected_half_width(1.0, replicates, ALPHA):.3f}"
        )
    print("\n|  K |  r | share | ρ = 0 | 0.1 | 0.3 | 0.6 | 0.9 | 1 |\n|---:|---:|---:|---|---|---|---|---|---|")
    for replicates, runs in ((4, 12), (6, 8), (14, 2), (14, 12), (24, 12)):
        for share in (0.5, 0.9, 0.97, 0.99):
            print(shares_row(replicates, runs, share), flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
