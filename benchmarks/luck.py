"""Is any place, or any root seed, favoured? Adam against an Adam whose rates are 0.86 as large, over many root seeds.

    python benchmarks/luck.py --to DIR        (goes on where it was interrupted)

The two are one optimizer, so every "better" and "worse" is an error. Each finds its range by itself.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import scipy.stats
import torch

from assay.driver.compare import compare


class Slower(torch.optim.Adam):
    """Adam at 0.86 of the rate that it is given."""

    def __init__(self, params, lr=1e-3):  # type: ignore[no-untyped-def]
        super().__init__(params, lr=0.86 * lr)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--to", type=Path, required=True, help="folder of the run folders")
    options.add_argument("--task", default="mnist1d-mlp")
    options.add_argument("--seeds", type=int, default=50)
    options.add_argument("--protocol", default="honest")
    options.add_argument("--replicates", type=int, default=6)
    options.add_argument("--trials", type=int, default=8)
    asked = options.parse_args()
    sizes = {"replicates": asked.replicates, "trials": asked.trials, "protocol": asked.protocol}
    sides: Counter[str] = Counter()
    for seed in range(asked.seeds):
        out = asked.to / f"{asked.task}-{asked.protocol}-{seed}"
        verdict = compare("adam", Slower, task=asked.task, seed=seed, out=out, **sizes).content["verdicts"][0]
        apart = verdict["ci_low"] is not None and (verdict["ci_low"] > 0 or verdict["ci_high"] < 0)
        sides[("for" if verdict["difference"] > 0 else "against") if apart else "neither"] += 1
        sides["above" if verdict["difference"] > 0 else "below"] += 1
    errors = sides["for"] + sides["against"]
    least, most = (int(scipy.stats.binom.ppf(q, asked.seeds, 0.05)) for q in (0.025, 0.975))
    above = scipy.stats.binomtest(sides["above"], sides["above"] + sides["below"]).pvalue
    print(
        f"{asked.task}, {asked.protocol}: called different in {errors} of {asked.seeds} ({least} to {most} by chance at 5 %), "
        f"{sides['for']} for it and {sides['against']} against it; it scores more than Adam in {sides['above']} "
        f"(p = {above:.2f} if neither place is favoured)"
    )


if __name__ == "__main__":
    main()
