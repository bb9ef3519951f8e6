"""What tuning costs: how far below the best place a study's choice scores, by the first edition's rules and the second's.

    python benchmarks/curves.py --to benchmarks/curves.json     # made anew: the curves, with their noise
    python benchmarks/regret.py                                 # the table from them (a minute and a half)

A curve is the kernel mean of recorded test scores over a grid (bandwidth 0.025 of the six decades; 0.08 of either range of
two); scores below the lower quartile of the grid count as that, for where training explodes they say nothing of the rest. A
simulated trial has the validation score of a recorded training at the nearest place. Regret is the test curve's maximum less its
value at what was chosen, in text units, as mean (standard deviation) over the studies; the last lines are the means of all pairs,
in margins. All rules have the same range, four decades around the class's default rate, but for the last column: there the second
edition looks for a range itself, by a pilot of 18 trials more in the six decades (which doesn't go on beyond them here).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from scipy.interpolate import RegularGridInterpolator

from assay.core.plan import SAMPLER_OPTIONS
from assay.judge import design, pilot, select
from assay.judge.process import Process

BANDWIDTHS = {1: 0.025, 2: 0.08}  # by dimensions
TRIALS = {1: (8, 10, 12, 20), 2: (20,)}
USUAL = (1 / 6, 5 / 6)  # four of six decades
LEAST = 0.25  # quantile

Score = Callable[[np.ndarray], np.ndarray]  # of places (n, d): validation scores (n,), turned, in text units


class Rules(NamedTuple):
    """What each rule chose after n trials (d,), in units of the grid."""

    first: np.ndarray
    random: np.ndarray
    stratified: np.ndarray
    second: np.ndarray
    with_pilot: np.ndarray | None


HEADS = ("first edition", "random, kernel", "stratified, best", "second edition", "second, own range")


class Curve:
    """A recorded grid: what trials score there (places, seeds), and what is expected at any place."""

    def __init__(self, recorded: dict[str, Any]) -> None:
        self.places = tuple(recorded["places"])
        self.dimensions = len(self.places)
        axes = [np.linspace(0, 1, n) for n in self.places]
        turned = recorded["sign"] * recorded["scale"]
        self.scores, self.finals = (turned * np.array(recorded[name]) for name in ("validation", "test"))
        points = np.array(list(product(*axes)))
        apart = ((points[:, None] - points[None]) / BANDWIDTHS[self.dimensions]) ** 2
        weights = np.exp(-0.5 * apart.sum(axis=-1))
        weights /= weights.sum(axis=1, keepdims=True)
        smooth = weights @ np.maximum(self.finals, np.quantile(self.finals, LEAST)).mean(axis=1)
        self.test = RegularGridInterpolator(axes, smooth.reshape(self.places))
        self.low = np.zeros(self.dimensions) if self.dimensions > 1 else np.array([USUAL[0]])
        self.high = np.ones(self.dimensions) if self.dimensions > 1 else np.array([USUAL[1]])
        inside = ((points >= self.low - 1e-9) & (points <= self.high + 1e-9)).all(axis=1)
        self.best = float(smooth[inside].max())

    def drawn(self, rng: np.random.Generator) -> Score:
        """Trials' scores, each with noise of its own."""

        def score(places: np.ndarray) -> np.ndarray:
            near = np.rint(np.clip(places, 0, 1) * (np.array(self.places) - 1)).astype(int)
            rows = np.asarray(np.ravel_multi_index(tuple(near.T), self.places))
            return self.scores[rows, rng.integers(0, self.scores.shape[1], len(rows))]

        return score

    def regret(self, place: np.ndarray) -> float:
        """Of a choice (d,)."""
        return self.best - float(self.test(np.clip(place, 0, 1)[None])[0])


def chosen(curve: Curve, seed: int) -> dict[int, Rules]:
    """What the rules choose in one simulated study, by its number of trials."""
    rng, numbers = np.random.default_rng(seed), TRIALS[curve.dimensions]
    score = curve.drawn(rng)
    most = max(numbers)
    sampled, random = (
        sampled_by_tpe(curve, seed, most, score),
        curve.low + (curve.high - curve.low) * rng.random((most, curve.dimensions)),
    )
    sampled_scores, random_scores = score(sampled), score(random)
    found: dict[int, Rules] = {}
    for n in numbers:
        spread = curve.low + (curve.high - curve.low) * design.spread(n, [0] * curve.dimensions, seed)
        found[n] = Rules(
            by_kernel(curve, sampled[:n], sampled_scores[:n]),
            by_kernel(curve, random[:n], random_scores[:n]),
            spread[np.argmax(score(spread))],
            second(curve.low, curve.high, n, seed, score),
            with_pilot(n, seed, score) if curve.dimensions == 1 else None,
        )
    return found


def sampled_by_tpe(curve: Curve, seed: int, trials: int, score: Score) -> np.ndarray:
    """Where the first edition's sampler has its trials (n, d)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, **SAMPLER_OPTIONS),  # type: ignore[arg-type]
    )
    names = [str(k) for k in range(curve.dimensions)]
    places: list[np.ndarray] = []
    for _ in range(trials):
        trial = study.ask({n: optuna.distributions.FloatDistribution(0, 1) for n in names})
        places.append(curve.low + (curve.high - curve.low) * np.array([trial.params[n] for n in names]))
        study.tell(trial, float(score(places[-1][None])[0]))
    return np.array(places)


def by_kernel(curve: Curve, places: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The first edition's choice."""
    return places[select.select((places - curve.low) / (curve.high - curve.low), scores)]


def second(low: np.ndarray, high: np.ndarray, n: int, seed: int, score: Score) -> np.ndarray:
    """The second edition's choice in a range: two thirds spread, one third refined, and the process's maximum."""
    process = _process(low, high, n, seed, score)
    return low + (high - low) * process.maximum()


def _process(low: np.ndarray, high: np.ndarray, n: int, seed: int, score: Score) -> Process:
    first = design.first_round(n)
    x = design.spread(first, [0] * len(low), seed)
    s = score(low + (high - low) * x)
    if n > first:
        more = design.refined(Process(x, s), n - first, first, seed)
        x, s = np.concatenate([x, more]), np.concatenate([s, score(low + (high - low) * more)])
    return Process(x, s)


def with_pilot(n: int, seed: int, score: Score) -> np.ndarray:
    """The second edition's choice in the range that its pilot finds in the six decades."""
    return second(*by_pilot(10**6 + seed, score), n, seed, score)


def by_pilot(seed: int, score: Score) -> tuple[np.ndarray, np.ndarray]:
    """The ends, (1,) each, of the range that a pilot finds in the six decades."""
    best = pilot.best_of(_process(np.zeros(1), np.ones(1), pilot.TRIALS, seed, score), 0)
    return np.array([best - pilot.HALF_WIDTH]), np.array([best + pilot.HALF_WIDTH])


def table(curves: Sequence[dict[str, Any]], draws: int) -> list[str]:
    """A line each pair and number of trials, with the last rule's ratio to the first's; then all pairs' means, in margins."""
    lines = [
        f"| task, optimizer, unit | n | {' | '.join(HEADS)} | ratio |",
        "|---|---|" + "---|" * (len(HEADS) + 1),
    ]
    in_margins: dict[
        tuple[int, int], list[np.ndarray]
    ] = {}  # by dimensions and trials: every rule's mean, of each pair
    for recorded in curves:
        curve = Curve(recorded)
        studies = [chosen(curve, seed) for seed in range(draws)]
        name = ", ".join(filter(None, (recorded["task"], recorded["optimizer"], recorded["unit"])))
        for n in TRIALS[curve.dimensions]:
            columns = zip(*(s[n] for s in studies), strict=True)
            regrets = [np.array([curve.regret(p) for p in places if p is not None]) for places in columns]
            means = np.array([r.mean() for r in regrets if len(r)])
            in_margins.setdefault((curve.dimensions, n), []).append(means / (recorded["scale"] * recorded["margin"]))
            cells = [f"{r.mean():.3g} ({r.std():.3g})" if len(r) else "–" for r in regrets]
            lines.append(f"| {name} | {n} | {' | '.join(cells)} | {means[-1] / means[0]:.2f} |")
    for (dimensions, n), pairs in in_margins.items():
        means = np.mean(pairs, axis=0)
        cells = [f"{m:.2f}" for m in means] + ["–"] * (len(HEADS) - len(means))
        name = f"**{len(pairs)} pairs, {dimensions} tuned, margins**"
        lines.append(f"| {name} | {n} | {' | '.join(cells)} | {means[-1] / means[0]:.2f} |")
    return lines


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("curves", type=Path, nargs="?", default=Path(__file__).parent / "curves.json")
    options.add_argument("--draws", type=int, default=200)
    asked = options.parse_args()
    print("\n".join(table(json.loads(asked.curves.read_text())["curves"], asked.draws)))


if __name__ == "__main__":
    main()
