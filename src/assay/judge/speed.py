"""Epochs to a target: descriptive, never deciding. A run that never gets there takes infinitely many."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from assay.judge.decide import Interval
from assay.judge.superiority import p_superior


class Speed(NamedTuple):
    """Two contenders on their way to a target. Medians count misses as infinite; `faster` is P(candidate is faster)."""

    target: float
    candidate_median: float
    baseline_median: float
    candidate_reached: float  # fraction of its runs
    baseline_reached: float
    faster: Interval


def target_of(baseline_final: np.ndarray, margin: float) -> float | None:
    """The target: the median of the tuned baseline's final validation scores (K, r), turned, less one margin.

    A diverged run (NaN) counts as worse than all; None if the median run diverged.
    """
    scores = np.asarray(baseline_final, dtype=float)
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


def compare(
    candidate: np.ndarray, baseline: np.ndarray, target: float, alpha: float, candidates: int = 1,
    test_fraction: float | None = None,
) -> Speed:  # fmt: skip
    """The speed of two contenders from their turned curves (K, r, E); two misses tie (½), see `p_superior`."""
    ours, theirs = epochs_to(candidate, target), epochs_to(baseline, target)
    return Speed(
        target,
        float(np.median(ours)),
        float(np.median(theirs)),
        float(np.isfinite(ours).mean()),
        float(np.isfinite(theirs).mean()),
        p_superior(-ours, -theirs, alpha, candidates, test_fraction),
    )
