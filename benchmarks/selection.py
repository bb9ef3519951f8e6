"""What the selection rule loses: regret of the honest rule and of the raw best trial, on recorded score curves.

    python benchmarks/selection.py RUN_FOLDER [RUN_FOLDER …]

For each contender of a finished honest run, all trials of all replicates give the curve of the expected score against
the learning rate (a Gaussian smoother over log lr, of test scores, which no selection saw). Then studies are drawn: n
of the recorded trials of one replicate at random, in their order; each rule chooses one; its regret is the curve's top
less the curve at what it chose. Trials are drawn from a replicate at random because that is what a study is: scores with
luck in them, at places a sampler picked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from assay.answer.arrays import RecordArrays
from assay.judge import select
from assay.record import RunFolder

DRAWS = 2000
BANDWIDTHS = (0.015, 0.03, 0.06)


def expected(positions: np.ndarray, scores: np.ndarray, at: np.ndarray, width: float = 0.02) -> np.ndarray:
    """The smoothed score at unit positions, from all recorded ones."""
    weights = np.exp(-0.5 * ((at[:, None] - positions[None, :]) / width) ** 2)
    return (weights * scores).sum(axis=1) / weights.sum(axis=1)


def main(folders: list[Path]) -> None:
    rng = np.random.default_rng(0)
    print(f"{'contender':<14}{'trials':>7}  {'rule':<16}{'mean regret':>12}{'sd':>8}{'worst 5 %':>11}   points")
    for path in folders:
        folder = RunFolder.open(path)
        arrays = RecordArrays(folder.plan, folder.frame())
        scale = folder.plan.science.task.scale
        for slot, info in enumerate(folder.plan.science.contenders):
            studies = [arrays.study(slot, k) for k in range(arrays.protocol.replicates)]
            everywhere = np.concatenate([s.positions[:, 0] for s in studies])
            tests = np.concatenate([s.sign * np.where(np.isfinite(s.test), s.test, s.floor) for s in studies])
            grid = np.linspace(0, 1, 400)
            curve = expected(everywhere, tests, grid)
            for n in (10, 20):
                chosen: dict[str, list[float]] = {}
                for _ in range(DRAWS):
                    study = studies[rng.integers(len(studies))]
                    drawn = np.sort(rng.choice(len(study.turned), size=min(n, len(study.turned)), replace=False))
                    x, s = study.positions[drawn], study.turned[drawn]
                    chosen.setdefault("raw best", []).append(x[select.raw(s), 0])
                    for h in BANDWIDTHS:  # a wider kernel is the rule's own on a narrower range
                        place = select.select(x * select.BANDWIDTH / h, s)
                        chosen.setdefault(f"smoothed {100 * h:g} %", []).append(x[place, 0])
                for rule, places in chosen.items():
                    regret = scale * (curve.max() - np.interp(places, grid, curve))
                    worst = np.sort(regret)[-len(regret) // 20 :].mean()
                    print(f"{info.name:<14}{n:>7}  {rule:<16}{regret.mean():>12.3f}{regret.std():>8.3f}{worst:>11.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    main(parser.parse_args().folders)
