"""What diverged runs count for (the honest protocol, point 7). A run that diverged has a score that is not finite."""

from __future__ import annotations

from typing import Literal

import numpy as np

from assay.errors import NoVerdict


def floored(scores: np.ndarray, floor: float | np.ndarray) -> np.ndarray:
    """Scores (K, …) with the floor, the constant predictor's score, in place of all that are not finite.

    `floor` is one number, or one for each replicate (K,). ValueError if a floor that is needed is not finite, or if
    the shapes differ.
    """
    values, floors = np.asarray(scores, dtype=float), np.asarray(floor, dtype=float)
    if floors.ndim:
        if floors.shape != values.shape[:1]:
            raise ValueError(f"the floor must be one number or one for each replicate, got the shape {floors.shape}")
        floors = floors.reshape(-1, *[1] * (values.ndim - 1))
    filled = np.where(np.isfinite(values), values, floors)
    if not np.isfinite(filled).all():
        raise ValueError("a run diverged and the floor it should score is not finite")
    return filled


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
