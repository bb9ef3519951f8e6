"""Epochs to a target: descriptive, never deciding. A run that never gets there takes infinitely many."""

from __future__ import annotations

import math

import numpy as np
from msgspec.structs import asdict

from assay.core import Protocol, plain
from assay.core.verdict import Chance, Speed, ToTarget
from assay.judge.decide import superiority


def target_of(baseline: np.ndarray, margin: float = 0.0) -> float | None:
    """The target: the median of the tuned baseline's validation scores, turned, of any shape, less a margin.

    A diverged run (NaN) counts as worse than all; None if the median run diverged.
    """
    scores = np.asarray(baseline, dtype=float)
    median = float(np.median(np.where(np.isnan(scores), -math.inf, scores)))
    return median - margin if math.isfinite(median) else None


def epochs_to(curves: np.ndarray, target: float) -> np.ndarray:
    """Epochs (K, r), counted from 1, until turned curves (K, r, E) first reach the target; infinity where they don't.

    NaN, after a divergence, reaches nothing. ValueError if the target is NaN or the curves have no epoch.
    """
    values = np.asarray(curves, dtype=float)
    if math.isnan(target):
        raise ValueError("the target is NaN: there is nothing to reach")
    if values.ndim != 3 or values.shape[2] == 0:
        raise ValueError(f"curves must be (replicates, seeds, epochs), got the shape {values.shape}")
    reached = values >= target
    return np.where(reached.any(axis=2), reached.argmax(axis=2) + 1.0, math.inf)


def to_target(target: float, ours: np.ndarray, theirs: np.ndarray) -> ToTarget:
    """What the candidate's and the baseline's epochs, or steps, to a target come to; any shape, infinity is a miss."""
    return ToTarget(
        target=target,
        candidate_median=float(np.median(ours)),
        baseline_median=float(np.median(theirs)),
        candidate_reached=float(np.isfinite(ours).mean()),
        baseline_reached=float(np.isfinite(theirs).mean()),
    )


def compare(
    candidate: np.ndarray, baseline: np.ndarray, target: float, protocol: Protocol, candidates: int = 1,
    test_fraction: float | None = None,
) -> Speed:  # fmt: skip
    """The speed of two contenders from their turned curves (K, r, E); two misses tie (½), see `superiority`."""
    ours, theirs = epochs_to(candidate, target), epochs_to(baseline, target)
    faster = superiority(-ours, -theirs, protocol, candidates, test_fraction)
    return Speed(**asdict(to_target(target, ours, theirs)), faster=Chance(**plain(faster._asdict())))
