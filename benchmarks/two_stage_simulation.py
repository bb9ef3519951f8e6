"""What `--replicates auto` delivers: how many replicates it takes, and the coverage and error rates of its interval.

    python benchmarks/two_stage_simulation.py

Each row is 20,000 made-up experiments: 12 paired differences, from their spread alone K (48 at most), then the other
differences and the interval, all by the functions that judge a run. "sd" is the true spread in margins. "misses low" and
"misses high" are the shares of intervals that lie wholly above and wholly below the true difference, each 2.5 % where
the level is exact: at no difference they are false claims of better and of worse, at a difference of one margin the second
is the share that is called equivalent or negligible by mistake. "settled" is the share of intervals no wider than the
margin. "pooled" is the coverage of the usual t interval with the spread of all K, which the second stage may not use: its
number was chosen by a part of it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from assay.driver.protocol import STAGES
from assay.judge.decide import paired_interval
from assay.judge.two_stage import reached, two_stage_interval, wanted

sys.path.insert(0, str(Path(__file__).parent))
from judge_simulation import collapsing, lognormal, normal, skewed, skewed_alike

ALPHA, MARGIN = 0.05, 1.0
EXPERIMENTS = 20_000


def experiment(differences: np.ndarray) -> tuple[int, float, float, float, float]:
    """K, the two ends, and the two ends of the pooled interval, from as many differences as there could be."""
    sd = float(differences[: STAGES.first].std(ddof=1))
    k = reached([wanted(sd, STAGES.first, MARGIN, ALPHA)], STAGES.first, STAGES.most)
    found, pooled = two_stage_interval(differences[:k], STAGES.first, ALPHA), paired_interval(differences[:k], ALPHA)
    return k, found.low, found.high, pooled.low, pooled.high


def figures(draw, sd: float, rng: np.random.Generator, experiments: int = EXPERIMENTS) -> dict[str, float]:
    """Mean K, and shares of the experiments, for differences around 0."""
    k, low, high, pooled_low, pooled_high = np.array(
        [experiment(d) for d in sd * draw(rng, (experiments, STAGES.most))]
    ).T
    return {
        "K": float(k.mean()),
        "maximum": float(np.mean(k == STAGES.most)),
        "coverage": float(np.mean((low <= 0) & (high >= 0))),
        "misses low": float(np.mean(low > 0)),
        "misses high": float(np.mean(high < 0)),
        "settled": float(np.mean(high - low <= MARGIN * (1 + 1e-9))),
        "pooled": float(np.mean((pooled_low <= 0) & (pooled_high >= 0))),
    }


def main() -> None:
    started = time.perf_counter()
    print(
        "| sd | differences  | mean K | at the maximum % | coverage % | misses low % | misses high % | settled % | pooled % |"
    )
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    for sd in (0.25, 0.5, 0.75, 1.0, 2.0):
        for i, draw in enumerate((normal, skewed_alike, skewed, lognormal, collapsing)):
            found = figures(draw, sd, np.random.default_rng([int(100 * sd), i]))
            shares = [f"{100 * value:5.1f}" for name, value in found.items() if name != "K"]
            print(f"| {sd} | {draw.__name__:<12} | {found['K']:.1f} | " + " | ".join(shares) + " |", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
