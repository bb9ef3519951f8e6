"""What tuning costs: how far below the best rate a study's choice scores, by the first edition's rules and the second's.

    assay run adam gns-adam --out RUN            # whose trials give the curve: scores over learning rates, and their noise
    python benchmarks/regret.py RUN --draws 800

The curve is a kernel mean of all of the baseline's trials (bandwidth 0.025 of the range); a simulated trial scores what it says
at its place, and normal noise of the spread that a run has between seeds. Regret is the curve's maximum less its value at what
is chosen, in the unit of the scores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.judge import design, select
from assay.judge.process import Process
from assay.record import RunFolder

BANDWIDTH = 0.025
Score = Callable[[np.ndarray], np.ndarray]  # of places (n,)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("run", type=Path)
    options.add_argument("--draws", type=int, default=800)
    asked = options.parse_args()
    folder = RunFolder.open(asked.run)
    arrays = RecordArrays(reached(folder.plan, folder.frame()), folder.frame())
    studies = [arrays.study(0, k) for k in range(arrays.protocol.replicates)]
    places = np.concatenate([s.positions[:, 0] for s in studies])
    scale = arrays.task.scale
    grid = np.linspace(0, 1, 801)
    curve = scale * kernel_mean(grid, places, np.concatenate([s.turned for s in studies]))
    noise = scale * float(np.sqrt(arrays.scores(0).var(axis=1, ddof=1).mean()))
    print(f"{arrays.plan.science.contenders[0].name} on {arrays.task.name}, noise {noise:.2f}; regret, mean (sd)")
    print("| n | TPE's start-up + kernel | stratified, best score | second edition |\n|---|---|---|---|")
    for n in (8, 10, 12, 20):
        cells = [regrets(rule, n, grid, curve, noise, asked.draws) for rule in (random_and_kernel, stratified, second)]
        print(f"| {n} | " + " | ".join(f"{r.mean():.2f} ({r.std():.2f})" for r in cells) + " |")


def kernel_mean(grid: np.ndarray, places: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The expected score on a grid (m,) from trials at places (n,)."""
    weights = np.exp(-0.5 * ((grid[:, None] - places) / BANDWIDTH) ** 2)
    return (weights * scores).sum(axis=1) / weights.sum(axis=1)


def regrets(
    rule: Callable[[int, int, Score], float], n: int, grid: np.ndarray, curve: np.ndarray, noise: float, draws: int
) -> np.ndarray:
    """Of `draws` simulated studies of n trials."""
    found: list[float] = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        place = rule(n, seed, lambda x, rng=rng: np.interp(x, grid, curve) + noise * rng.normal(size=len(x)))
        found.append(float(curve.max() - np.interp(place, grid, curve)))
    return np.array(found)


def random_and_kernel(n: int, seed: int, score: Score) -> float:
    """Random places, of which the kernel rule chooses: the first edition, as long as TPE has not begun (n ≤ 10)."""
    x = np.random.default_rng(10**6 + seed).random((n, 1))
    return float(x[select.select(x, score(x[:, 0])), 0])


def stratified(n: int, seed: int, score: Score) -> float:
    """One trial in each cell; the best score is chosen."""
    x = design.spread(n, [0], seed)
    return float(x[np.argmax(score(x[:, 0])), 0])


def second(n: int, seed: int, score: Score) -> float:
    """Two thirds spread, one third refined, and the process's maximum."""
    first = design.first_round(n)
    x = design.spread(first, [0], seed)
    s = score(x[:, 0])
    if n > first:
        more = design.refined(Process(x, s), n - first, first, seed)
        x, s = np.concatenate([x, more]), np.concatenate([s, score(more[:, 0])])
    return float(Process(x, s).maximum()[0])


if __name__ == "__main__":
    main()
