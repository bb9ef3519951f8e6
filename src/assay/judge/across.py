"""Across tasks: one interval decides, everything else describes.

In the first edition it is that over data sources, from the second on that over these tasks; there the one over sources, on
tasks like these, is looked at where that decides (statistics, second edition, section 4).

A difference in margins is a task's mean difference over its margin, so that 1 is the smallest difference that matters on
each. Tasks on the same data are one source: they are averaged first, for they would count one data set several times.
Interquartile mean, performance profile and probability of improvement are those of Agarwal et al. (2021, "Deep
reinforcement learning at the edge of the statistical precipice"), with their stratified bootstrap; none of them decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from assay.core.verdict import Flip
from assay.judge.decide import Interval, level_of, paired_interval
from assay.judge.special import scipy

Ends = tuple[float, float, float]  # value, low, high
DRAWS, LEVEL = 2000, 0.95  # of the bootstrap


def by_source(values: Sequence[float], sources: Sequence[str]) -> dict[str, float]:
    """The mean of the tasks' values (T,) within each data source, in the order of first appearance."""
    return {
        s: float(np.mean([v for v, of in zip(values, sources, strict=True) if of == s])) for s in dict.fromkeys(sources)
    }


def headline(values: Sequence[float], sources: Sequence[str], alpha: float, candidates: int = 1) -> Interval:
    """The mean difference in margins with its t interval at 1 − α/c over data sources, from the tasks' means (T,).

    One source gives no interval (NaN). The sources are taken for a sample of the data one could have tried.
    """
    return paired_interval(np.array(list(by_source(values, sources).values())), alpha, candidates)


class Part(NamedTuple):
    """A candidate on one task: differences (K,) in margins, and what their spread is at least.

    `first`: of two stages, the replicates that the spread is taken from, which decided how many there are.
    """

    differences: np.ndarray
    least_sd: float
    first: int | None = None


def these(parts: Sequence[Part], sources: Sequence[str], alpha: float, candidates: int = 1) -> Interval:
    """The mean difference in margins on these tasks (T,), with its interval at 1 − α/c over their replicates.

    Tasks of one source share its data, so they are averaged within the replicate first, as many as all of them have. Then
    SE² = Σ s²/(K·S²) over S sources, and t has the degrees of freedom of Welch (1947) and Satterthwaite (1946). NaN ends
    where a source has one replicate.
    """
    found = [_source([p for p, of in zip(parts, sources, strict=True) if of == s]) for s in dict.fromkeys(sources)]
    mean, level = float(np.mean([p.differences.mean() for p in found])), level_of(alpha, candidates)
    counts = np.array([p.first or len(p.differences) for p in found])
    if counts.min() < 2 or not math.isfinite(mean):
        return Interval(mean, math.nan, math.nan, math.nan, math.nan, math.nan, level)
    spreads = [max(_sd(p.differences[:k]), p.least_sd) for p, k in zip(found, counts, strict=True)]
    variances = np.array([s**2 / len(p.differences) for s, p in zip(spreads, found, strict=True)]) / len(found) ** 2
    se = math.sqrt(variances.sum())
    if se == 0:
        return Interval(mean, mean, mean, 1.0 if mean == 0 else 0.0, math.nan, 0.0, level)
    freedom = se**4 / float((variances**2 / (counts - 1)).sum())
    half = -float(scipy.special.stdtrit(freedom, alpha / candidates / 2)) * se
    p_value = 2 * float(scipy.special.stdtr(freedom, -abs(mean / se)))
    return Interval(mean, mean - half, mean + half, p_value, math.nan, se, level)


def mean_of_intervals(found: Sequence[Ends], sources: Sequence[str]) -> Ends:
    """The mean over data sources of values with intervals of one level (value, low, high), which needn't lie in their middle.

    Each side by itself: the square of its half width is the mean's share of the sum of the sources' squares (Zou and Donner 2008,
    "Construction of confidence intervals about effect measures: a general approach", Statistics in Medicine 27). Of tasks on one
    source half widths are averaged, as if their errors were the same. Of one value it is its own interval.
    """
    each = np.array(found, dtype=float)  # (T, 3)
    halves = np.array([each[:, 0], each[:, 0] - each[:, 1], each[:, 2] - each[:, 0]])  # value, below, above
    value, below, above = (np.array(list(by_source(side.tolist(), sources).values())) for side in halves)
    mean, number = float(value.mean()), len(value)
    return mean, mean - math.hypot(*below) / number, mean + math.hypot(*above) / number


def _sd(values: np.ndarray) -> float:
    return 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))  # of equal ones not 1e-17


def _source(parts: Sequence[Part]) -> Part:
    """The tasks of one source as one."""
    common = min(len(p.differences) for p in parts)
    least = math.sqrt(sum(p.least_sd**2 for p in parts)) / len(parts)
    first = min((p.first for p in parts if p.first is not None), default=None)
    return Part(np.mean([p.differences[:common] for p in parts], axis=0), least, first)


def interquartile_mean(values: np.ndarray) -> float:
    """The mean of the middle half: ⌊n/4⌋ values (n,) are left out at each end. NaN if there are none."""
    ordered = np.sort(np.asarray(values, dtype=float).ravel())
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean()) if len(ordered) else math.nan


def profile(scores: Sequence[np.ndarray], thresholds: np.ndarray) -> np.ndarray:
    """The share of runs above each threshold (P,): within each task's scores (n_t,), then the mean over tasks."""
    shares = [(np.ravel(task)[:, None] > np.asarray(thresholds)).mean(axis=0) for task in scores]
    return np.mean(shares, axis=0)


def improvement(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> float:
    """P(a run of the candidate on a task drawn at random beats one of the baseline): Mann–Whitney's U/(n·m), tasks averaged.

    Turned scores of each task, (n_t,) and (m_t,); ties count half.
    """
    gaps = [np.ravel(a)[:, None] - np.ravel(b) for a, b in zip(ours, theirs, strict=True)]
    return float(np.mean([((gap > 0) + 0.5 * (gap == 0)).mean() for gap in gaps]))


def stratified(
    statistic: Callable[[list[np.ndarray]], float], values: Sequence[np.ndarray], seed: int
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a statistic of all tasks' replicates: (K_t, …) each, drawn anew within a task.

    2,000 draws with `seed`. Few replicates make it too short: it describes, and decides nothing.
    """
    rng = np.random.default_rng(seed)
    found = [statistic([v[rng.integers(0, len(v), len(v))] for v in values]) for _ in range(DRAWS)]
    low, high = np.quantile(found, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def flips(intervals: Sequence[tuple[str, str, float, float]]) -> list[Flip]:
    """Rank flips among (task, setting, low, high): pairs of one task's settings whose intervals leave out 0 on opposite sides.

    One interval that holds 0 is no half of a flip: it says that the sign isn't known there.
    """
    above = [(task, setting) for task, setting, low, _ in intervals if low > 0]
    below = [(task, setting) for task, setting, _, high in intervals if high < 0]
    return [Flip(task, better, worse) for task, better in above for other, worse in below if other == task]
