"""How often is a claim marked that was picked as the best of many runs, or forged in part, and what does that cost? Numbers only.

    python benchmarks/open_board.py [--boards 1000]        (some seconds)

`picked`: of an optimizer that is worth nothing, the best of so many runs at different root seeds is handed in (K replicates,
their differences normal, in margins). The board asks the question anew with so many replicates at a seed that it draws, and
marks the claim where it is more than that bears out (Welch, one-sided, 5 %). One run of one is an honest claim: it is marked by
chance. The last lines are of an honest claim by an optimizer that is worth a margin. Cost: the board's trainings for each of
the claimant's.

`forged`: a share of the members was changed and all that follows from them made anew, so that computing finds nothing. The board
trains so many again, drawn at random; one that isn't the same refuses the whole.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

from assay.judge.contradiction import exceeds
from assay.judge.decide import paired_interval
from assay.openboard.claims import ALPHA

K = 14
SPREAD = 1.0  # of a replicate's difference, in margins
TRIES = (1, 5, 20, 100)
ANEW = (6, 14, 28)


class Picked(NamedTuple):
    """Over many boards."""

    better: float  # share of the claims whose interval lies above 0
    claimed: float  # their mean, in margins
    marked: float  # share that the board marks
    found: float  # mean of what the board finds itself
    again: float  # share of these whose interval lies above 0


def picked(tries: int, anew: int, true: float, boards: int, seed: int = 0) -> Picked:
    """One claimant's runs on each board, the best of which is handed in."""
    rng = np.random.default_rng([seed, tries, anew, round(100 * true)])
    claims, founds, better, marked, again = [], [], 0, 0, 0
    for _ in range(boards):
        runs = true + SPREAD * rng.standard_normal((tries, K))
        claim = runs[runs.mean(axis=1).argmax()]
        found = true + SPREAD * rng.standard_normal(anew)
        better += paired_interval(claim, 0.05).low > 0
        again += paired_interval(found, 0.05).low > 0
        marked += exceeds(claim, found) < ALPHA
        claims.append(claim.mean())
        founds.append(found.mean())
    return Picked(better / boards, float(np.mean(claims)), marked / boards, float(np.mean(founds)), again / boards)


def forged(share: float, retrained: int, members: int = 616) -> float:
    """The probability that one of the members trained again is one of those forged (drawn without replacement)."""
    sound = members - round(share * members)
    return 1 - float(np.prod([max(sound - i, 0) / (members - i) for i in range(retrained)]))


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--boards", type=int, default=1000)
    boards = options.parse_args().boards
    print(
        "| runs | true, margins | claimed, mean | says better | asked anew, K | marked | found anew, mean | says better | cost |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for tries, true in [*((tries, 0.0) for tries in TRIES), (1, 1.0)]:
        for anew in ANEW:
            p = picked(tries, anew, true, boards)
            print(
                f"| {tries} | {true:g} | {p.claimed:+.2f} | {p.better:.1%} | {anew} | {p.marked:.1%} | "
                f"{p.found:+.2f} | {p.again:.1%} | {anew / K / tries:.2g} |"
            )
    print("\n| members forged | 1 trained again | 5 | 20 | 60 |\n|---|---|---|---|---|")
    for share in (0.01, 0.05, 0.2, 0.5):
        print(f"| {share:.0%} | " + " | ".join(f"{forged(share, n):.0%}" for n in (1, 5, 20, 60)) + " |")


if __name__ == "__main__":
    main()
