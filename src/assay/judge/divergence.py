"""Which runs diverged, and what they count for (the honest protocol, point 7). One that did has a score that is not finite."""

from __future__ import annotations

from typing import Literal

import numpy as np

from assay.errors import NoVerdict

BLOWN_UP = 10.0  # times the constant predictor's loss


def without_blown_up(losses: np.ndarray, floor: float | np.ndarray) -> np.ndarray:
    """Losses (K, …) with NaN for those of a model that has blown up, though it is finite: ten times the floor, or more.

    Else one run at 10⁸ would decide, or hide, what all others say, while one that reached infinity counts as a constant
    prediction. `floor` as in `floored`; nothing is ten times one that isn't above 0.
    """
    values, floors = np.asarray(losses, dtype=float), _beside(losses, floor)
    return np.where((floors > 0) & (values >= BLOWN_UP * floors), np.nan, values)


def floored(scores: np.ndarray, floor: float | np.ndarray) -> np.ndarray:
    """Scores (K, …) with the floor, the constant predictor's score, in place of all that are not finite.

    `floor` is one number, or one for each replicate (K,). ValueError if a floor that is needed is not finite, or if
    the shapes differ.
    """
    values = np.asarray(scores, dtype=float)
    filled = np.where(np.isfinite(values), values, _beside(scores, floor))
    if not np.isfinite(filled).all():
        raise ValueError("a run diverged and the floor it should score is not finite")
    return filled


def _beside(scores: np.ndarray, floor: float | np.ndarray) -> np.ndarray:
    """The floor in a shape that goes with scores (K, …)."""
    floors = np.asarray(floor, dtype=float)
    if not floors.ndim:
        return floors
    if floors.shape != np.shape(scores)[:1]:
        raise ValueError(f"the floor must be one number or one for each replicate, got the shape {floors.shape}")
    return floors.reshape(-1, *[1] * (np.ndim(scores) - 1))


def survivor_differences(candidate: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Mean differences (at most K,) over the pairs of runs that both survived, from turned scores (K, r) each.

    A replicate without such a pair is left out.
    """
    ours, theirs = np.asarray(candidate, dtype=float), np.asarray(baseline, dtype=float)
    both = np.isfinite(ours) & np.isfinite(theirs)
    pairs = zip(ours, theirs, both, strict=True)
    return np.array([(a[alive] - b[alive]).mean() for a, b, alive in pairs if alive.any()])


def loser(
    candidate: np.ndarray, baseline: np.ndarray, candidate_name: str, baseline_name: str
) -> Literal["candidate", "baseline"] | None:
    """The contender all of whose final runs (K, r) diverged, and which therefore loses; None where both have survivors.

    NoVerdict if nothing survived on either side.
    """
    dead = [not np.isfinite(np.asarray(scores, dtype=float)).any() for scores in (candidate, baseline)]
    if all(dead):
        raise NoVerdict(
            f"every final run of {baseline_name} and of {candidate_name} diverged, so there is nothing to compare; "
            "give both a space that reaches to smaller learning rates (--space NAME.lr=lo..hi:log)"
        )
    return "candidate" if dead[0] else "baseline" if dead[1] else None
