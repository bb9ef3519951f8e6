"""Does the interval of a speed-up cover the true one, and how far is the estimate off? On curves that are known; no training.

    python benchmarks/speedup_simulation.py [--simulations 400] [--suites | --slopes]

A replicate's score of the baseline at budget b is f(b) and noise; the candidate's, at its own budget, is f(s) and noise, s being
the true speed-up. The ladder begins with three rungs and grows as in a run. Scores are in margins. `constant`: as of a constant
rate, where each doubling is worth much; `cosine`: as of a schedule to its end, where it is worth less; `overfitting`: best at
2.2 times the budget, and falling from there.

`--suites`: the geometric mean over tasks that all have the same true speed-up, of which some gain so little by longer training
that it is often not seen (and they are left out), or that what the candidate is worth there is open (and there is no mean).

`--slopes`: the slope of ln(speed-up) over ln(size) at four sizes, each with replicates of its own luck.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from assay.judge import across
from assay.judge.decide import paired_interval
from assay.judge.scale import slope
from assay.judge.speedup import FIRST, FURTHEST, Ladder, Worth, factor_of, log_factors, wanted, worth

Curve = Callable[[float], float]

CURVES: dict[str, Curve] = {
    "constant": lambda b: -9 * b**-0.8,
    "cosine": lambda b: -6 * b**-0.5,
    "overfitting": lambda b: -3.5 * math.log(b / 2.2) ** 2,
}
BETWEEN = 0.45  # sd between replicates, in margins, of what tuning and data do to one contender
SEED = 1.1  # sd of a final run
FINALS = (12, 4)  # final runs at the planned budget, and at the others
TRUE = (0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
KS = (8, 12, 24)


def deciding(differences: np.ndarray):
    """The verdict's interval."""
    return paired_interval(differences, 0.05)


class Run(NamedTuple):
    """What one run would say, and by which ladder."""

    found: Worth
    ladder: Ladder
    differences: np.ndarray  # (K,) candidate − baseline, at the planned budget


def simulated(curve: Curve, true: float, replicates: int, rng: np.random.Generator) -> Run:
    """One run."""

    def scores(budget: float, finals: int) -> np.ndarray:
        sd = math.hypot(BETWEEN, SEED / math.sqrt(finals))
        return curve(budget) + sd * rng.standard_normal(replicates)

    ours = scores(true, FINALS[0])
    rungs = {rung: scores(factor_of(rung), FINALS[0 if rung == 0 else 1]) for rung in FIRST}
    while True:
        known = sorted(rungs)
        ladder = Ladder(np.array([factor_of(r) for r in known]), np.stack([rungs[r] for r in known], axis=1))
        found = worth(ours - rungs[0], ladder, deciding)
        assert found is not None
        ends = {"shorter": known[0] - 1, "longer": known[-1] + 1}
        more = [ends[end] for end in wanted([found], ladder, deciding) if abs(ends[end]) <= FURTHEST]
        if not more:
            return Run(found, ladder, ours - rungs[0])
        rungs |= {rung: scores(factor_of(rung), FINALS[1]) for rung in more}


class Cell(NamedTuple):
    """Of one curve, true speed-up and number of replicates: shares, and medians over those that have a value."""

    coverage: float
    bias: float  # of the median estimate, as a share
    width: float  # ln high − ln low, where both are closed
    open: float  # no end on one side
    rungs: float


def cell(curve: str, true: float, replicates: int, simulations: int, seed: int = 0) -> Cell:
    """Many runs."""
    rng = np.random.default_rng([seed, replicates, round(100 * true), list(CURVES).index(curve)])
    found = [simulated(CURVES[curve], true, replicates, rng).found for _ in range(simulations)]
    widths = [math.log(w.high / w.low) for w in found if w.low is not None and w.high is not None]
    return Cell(
        coverage=float(np.mean([covers(w, true) for w in found])),
        bias=float(np.median([w.factor for w in found if w.factor is not None])) / true - 1,
        width=float(np.median(widths)) if widths else math.nan,
        open=float(np.mean([w.low is None or w.high is None for w in found])),
        rungs=float(np.mean([1 + 2 * math.log2(w.tried[1] / w.tried[0]) for w in found])),
    )


def covers(found: Worth, true: float) -> bool:
    """Whether the true speed-up lies in the set, which goes on beyond an open end."""
    longest, shortest = found.tried[1], found.tried[0]
    ahead = found.empty and found.ahead is True
    beyond = (found.high is None and true > longest and (bool(found.pieces) or ahead)) or (
        found.low is None and true < shortest and bool(found.pieces)
    )
    return beyond or any(low <= true <= high for low, high in found.pieces)


WEAK = 0.45  # of the gain of `cosine`
SUITE: tuple[Curve, ...] = (
    *[CURVES["constant"], CURVES["cosine"]] * 2,
    *[lambda b: WEAK * CURVES["cosine"](b)] * 4,
)


def suite(true: float, replicates: int, rng: np.random.Generator) -> tuple[float, float, float, int] | None:
    """ln of the mean, its ends, and over how many tasks; None where there is no mean."""
    runs = [simulated(curve, true, replicates, rng) for curve in SUITE]
    found = [run.found.settled for run in runs if run.ladder.longer(deciding) == "helps"]
    known = [ends for ends in found if ends is not None]
    if not known or len(known) < len(found):
        return None
    return *across.mean_of_intervals(known, [str(task) for task in range(len(known))]), len(known)


def suites(simulations: int) -> None:
    """A line for each true speed-up."""
    print("| true | K | suites with a mean | tasks in it | coverage | bias |\n|---|---|---|---|---|---|")
    for replicates in (8, 14, 24):
        for true in (0.8, 1.0, 1.2, 1.4):
            rng = np.random.default_rng([1, replicates, round(100 * true)])
            found = [one for _ in range(simulations) if (one := suite(true, replicates, rng)) is not None]
            log = math.log(true)
            covered = np.mean([low <= log <= high for _, low, high, _ in found])
            bias = math.exp(np.median([mean for mean, *_ in found]) - log) - 1
            tasks = np.mean([n for *_, n in found])
            share = len(found) / simulations
            print(f"| {true} | {replicates} | {share:.0%} | {tasks:.1f} | {covered:.1%} | {bias:+.1%} |", flush=True)


SIZES = (32, 64, 128, 256)
SLOPES = (-0.12, 0.0, 0.12)


class Slopes(NamedTuple):
    """Of one curve, true slope and number of replicates."""

    coverage: float
    bias: float  # of the median, in the slope's own unit
    width: float  # of the interval, the median
    known: float  # runs that have a slope: at every size the speed-up is settled, and longer training helps


def slopes(curve: str, true: float, replicates: int, simulations: int, seed: int = 0) -> Slopes:
    """Many runs over four sizes, at the middle of which the candidate is worth 1.2 times the steps."""
    rng = np.random.default_rng([2, seed, replicates, round(100 * true) + 100, list(CURVES).index(curve)])
    middle = math.sqrt(SIZES[0] * SIZES[-1])
    found = []
    for _ in range(simulations):
        runs = [simulated(CURVES[curve], 1.2 * (size / middle) ** true, replicates, rng) for size in SIZES]
        if all(run.found.settled and run.ladder.longer(deciding) == "helps" for run in runs):
            logs = [log_factors(run.differences, run.ladder, run.found) for run in runs]
            found.append(slope(SIZES, logs, 0.05))
    return Slopes(
        coverage=float(np.mean([one.low <= true <= one.high for one in found])),
        bias=float(np.median([one.mean for one in found])) - true,
        width=float(np.median([one.high - one.low for one in found])),
        known=len(found) / simulations,
    )


def over_sizes(simulations: int) -> None:
    """A line for each curve, number of replicates and true slope."""
    print("| curve | K | true slope | coverage | bias | width | runs with a slope |\n|---|---|---|---|---|---|---|")
    for curve in ("constant", "cosine"):
        for replicates in KS:
            for true in SLOPES:
                c = slopes(curve, true, replicates, simulations)
                print(
                    f"| {curve} | {replicates} | {true} | {c.coverage:.1%} | {c.bias:+.3f} | {c.width:.2f} | {c.known:.0%} |",
                    flush=True,
                )


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--simulations", type=int, default=400)
    several = options.add_mutually_exclusive_group()
    several.add_argument("--suites", action="store_true")
    several.add_argument("--slopes", action="store_true")
    asked = options.parse_args()
    if asked.slopes:
        over_sizes(asked.simulations)
        return
    if asked.suites:
        suites(asked.simulations)
        return
    print("| curve | K | true | coverage | bias | width (ln) | open | rungs |\n|---|---|---|---|---|---|---|---|")
    for curve in CURVES:
        for replicates in KS:
            for true in TRUE:
                c = cell(curve, true, replicates, asked.simulations)
                print(
                    f"| {curve} | {replicates} | {true} | {c.coverage:.1%} | {c.bias:+.1%} | {c.width:.2f} | {c.open:.0%} | "
                    f"{c.rungs:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
