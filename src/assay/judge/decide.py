"""The deciding interval and the decision (the honest protocol, point 5), and single runs beside their twins (point 6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import numpy as np

from assay.core import Outcome, Protocol, plain
from assay.judge.special import scipy

Real = TypeVar("Real", float, Decimal)


class Interval(NamedTuple):
    """A mean of K values with its two-sided interval. Fields that cannot be given are NaN.

    `p_value` belongs to the hypothesis of a mean of 0 and is not adjusted for several candidates: it is below
    1 − `level` exactly where the interval leaves 0 out.
    """

    mean: float
    low: float
    high: float
    p_value: float
    sd: float  # spread of the K values, with K − 1 in the denominator
    se: float
    level: float

    @property
    def exists(self) -> bool:
        """Whether both ends are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def recorded(self) -> dict[str, Any]:
        """What a verdict has of it; None for what can't be given."""
        return plain({"difference": self.mean, "ci_low": self.low, "ci_high": self.high, "p_value": self.p_value})


def level_of(alpha: float, candidates: int = 1) -> float:
    """1 − α/c: the level of each of c simultaneous intervals (Bonferroni). ValueError on α outside (0, 1) or c < 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha:g}")
    if candidates < 1:
        raise ValueError(f"there must be 1 candidate at least, got {candidates}")
    return 1 - alpha / candidates


def error_factor(replicates: int | np.ndarray, test_fraction: float | None = None) -> float | np.ndarray:
    """What the standard deviation is multiplied by to give the standard error: √(1/K), or √(1/K + n_test/n_train).

    The second is for replicates that repartition one data set, which overlap (Nadeau & Bengio 2003, "Inference for
    the generalization error"). ValueError if `test_fraction` is not above 0.
    """
    if test_fraction is not None and not 0 < test_fraction < math.inf:
        raise ValueError(f"test_fraction is n_test/n_train and must be above 0, got {test_fraction:g}")
    return np.sqrt(1 / replicates + (test_fraction or 0.0))


def critical(replicates: int | np.ndarray, alpha: float, candidates: int = 1) -> float | np.ndarray:
    """The t quantile that the standard error is multiplied by: t at 1 − α/(2c), K − 1 degrees of freedom."""
    level_of(alpha, candidates)
    return -scipy.special.stdtrit(replicates - 1, alpha / candidates / 2)  # the lower tail keeps its digits


def resolution(scores: Sequence[np.ndarray], step: float = 0.0) -> float:
    """What the mean of r runs is rounded to: the smallest step between any two different scores, each (K, r), over r.

    An accuracy is a whole number of test samples. `step`: that of a score where it is known, 0 or infinity where not; what is
    seen may be a coarser one.
    """
    steps = np.diff(np.unique(np.concatenate([np.ravel(s) for s in scores])))
    seen = float(steps.min()) if len(steps) else step
    return min(seen, step or seen) / scores[0].shape[1]


def rounding_sd(resolution: float) -> float:
    """The spread of what rounding to steps of `resolution` takes away, in its unit: that of a uniform step, 1/√12 of it."""
    return resolution / math.sqrt(12)


def paired_interval(
    differences: np.ndarray,
    alpha: float,
    candidates: int = 1,
    test_fraction: float | None = None,
    resolution: float = 0.0,
) -> Interval:
    """The two-sided paired t interval of differences (K,) at level 1 − α/c.

    mean ± t·se with se = s·√(1/K), or s·√(1/K + n_test/n_train) where `test_fraction` is given. Fewer than two
    differences, any that is not finite, or a resolution that isn't, give no interval: NaN fields, no exception. s is
    resolution/√12 at least, the spread of what rounding takes away: else two replicates that happen to differ by the same
    number of test samples would pass for certainty, and an eighth of equal contenders for different
    (benchmarks/coarse_scores.py). Constant differences give a point only where the resolution is 0, with p 1 if they are 0, and
    else 0. ValueError on anything but one axis, and on bad α, c or `test_fraction`.
    """
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"differences must have one axis, (replicates,), got the shape {values.shape}")
    level, factor = level_of(alpha, candidates), error_factor(max(len(values), 1), test_fraction)
    if len(values) < 2 or not np.isfinite(values).all() or math.isinf(resolution):
        with np.errstate(invalid="ignore"):
            mean = float(values.mean()) if len(values) else math.nan
        return Interval(mean, math.nan, math.nan, math.nan, math.nan, math.nan, level)
    if (values == values[0]).all() and resolution == 0:
        value = float(values[0])
        return Interval(value, value, value, 1.0 if value == 0 else 0.0, 0.0, 0.0, level)
    exponent = np.frexp(np.abs(values).max())[1]  # a power of two costs no digit, and no square leaves the range
    near_one = np.ldexp(values, -exponent)
    mean = float(near_one.mean())
    sd = max(float(near_one.std(ddof=1)), float(np.ldexp(rounding_sd(resolution), -exponent)))
    se = sd * float(factor)
    half = float(critical(len(values), alpha, candidates)) * se
    p_value = float(2 * scipy.special.stdtr(len(values) - 1, -abs(mean / se)))
    with np.errstate(over="ignore"):
        mean, low, high, sd, se = (float(x) for x in np.ldexp([mean, mean - half, mean + half, sd, se], exponent))
    return Interval(mean, low, high, p_value, sd, se, level)


def superiority(
    candidate: np.ndarray,
    baseline: np.ndarray,
    protocol: Protocol,
    candidates: int = 1,
    test_fraction: float | None = None,
) -> Interval:
    """P(a run of the candidate beats its paired run of the baseline), by the rule of the protocol's edition."""
    if protocol.second:
        return wilson_superior(candidate, baseline, protocol.alpha, candidates)
    return p_superior(candidate, baseline, protocol.alpha, candidates, test_fraction)


def p_superior(
    candidate: np.ndarray, baseline: np.ndarray, alpha: float, candidates: int = 1, test_fraction: float | None = None
) -> Interval:
    """P(a run of the candidate beats its paired run of the baseline), from turned scores (K, r) each.

    The mean over the K replicates of (wins + ½ ties)/r, with their t interval cut to [0, 1]; `p_value` belongs to ½,
    `sd` and `se` are those of the K rates. Infinite scores are allowed (equal ones tie). ValueError on shapes that
    differ or are not (K, r), and on NaN.
    """
    found = paired_interval(_wins(candidate, baseline) - 0.5, alpha, candidates, test_fraction)
    mean, low, high = (float(np.clip(0.5 + x, 0.0, 1.0)) for x in (found.mean, found.low, found.high))
    return found._replace(mean=mean, low=low, high=high)


def wilson_superior(candidate: np.ndarray, baseline: np.ndarray, alpha: float, candidates: int = 1) -> Interval:
    """`p_superior` in the second edition, whose interval has a width where all pairs are won, too.

    Wilson's interval (1927) of the share p of N/d pairs, N = K·r, with the t quantile of K − 1 degrees of freedom for the
    normal one. The design effect d is what replicates that differ take from the number (Kish 1965): s²r/(p(1 − p)), s the
    spread of their shares; but 1 at least, and 1 + (r − 1)·max(ρ/2, 2ρ − 1), ρ the intraclass correlation of the differences
    in score, which is seen where nearly all pairs are won. Less than all of ρ: shares are alike by less than what they are
    shares of. Covers 94.9 % and more of normal scores with ρ up to 0.6, and 92 % up to 0.9, where without it 63 % can be
    (benchmarks/judge_simulation.py). `se` is √(p(1 − p)·d/N).
    """
    found = p_superior(candidate, baseline, alpha, candidates)
    share, pairs, runs = found.mean, np.size(candidate), np.shape(candidate)[1]
    if not found.exists:
        return found
    variance = share * (1 - share)
    by_shares = found.sd**2 * runs / variance if variance else 1.0
    alike = intraclass(candidate, baseline)
    effect = max(1.0, by_shares, 1 + (runs - 1) * max(alike / 2, 2 * alike - 1))
    t = float(critical(np.shape(candidate)[0], alpha, candidates))
    weight = t**2 * effect / pairs
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(variance * weight + weight**2 / 4) / (1 + weight)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return found._replace(low=low, high=high, se=math.sqrt(variance * effect / pairs))


def intraclass(candidate: np.ndarray, baseline: np.ndarray) -> float:
    """The share of replicates in the variance of differences in score (K, r) each: the one-way estimate, 0 at least.

    ρ = b/(b + w), w the variance within replicates and b that of their means less w/r (Fisher 1925). 0 where there is
    one run a replicate, where nothing differs, and where a score is infinite.
    """
    with np.errstate(invalid="ignore"):
        differences = np.asarray(candidate, dtype=float) - np.asarray(baseline, dtype=float)
    runs = differences.shape[1]
    if min(differences.shape) < 2 or not np.isfinite(differences).all():
        return 0.0
    differences = differences / (np.abs(differences).max() or 1.0)  # no square leaves the range
    within = float(differences.var(axis=1, ddof=1).mean())
    between = max(0.0, float(differences.mean(axis=1).var(ddof=1)) - within / runs)
    return between / (between + within) if between else 0.0


def _wins(candidate: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """(K,) the share of pairs that the candidate wins, ties half."""
    ours, theirs = np.asarray(candidate, dtype=float), np.asarray(baseline, dtype=float)
    if ours.ndim != 2 or ours.shape != theirs.shape or ours.shape[1] == 0:
        raise ValueError(f"both must have the same shape (replicates, seeds), got {ours.shape} and {theirs.shape}")
    if np.isnan(ours).any() or np.isnan(theirs).any():
        raise ValueError("a score is NaN: give diverged runs the floor first")
    return ((ours > theirs) + 0.5 * (ours == theirs)).mean(axis=1)


def outcome(low: Real, high: Real, margin: Real) -> Outcome:
    """The outcome of the interval [low, high] for a smallest difference that matters; all three in the same unit.

    The first that holds: an end is not finite → inconclusive; −m < low and high < m → equivalent if low ≤ 0 ≤ high,
    else negligible; low > 0 → better; high < 0 → worse; else inconclusive. ValueError if the margin is not a finite
    number above 0, or if low > high.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"the margin, the smallest difference that matters, must be above 0, got {margin}")
    if not (math.isfinite(low) and math.isfinite(high)):
        return "inconclusive"
    if low > high:
        raise ValueError(f"the interval's lower end {low} lies above its upper end {high}")
    if -margin < low and high < margin:
        return "equivalent" if low <= 0 <= high else "negligible"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "inconclusive"


def by_the_margin(low: Real, high: Real, margin: Real) -> bool:
    """Whether the whole interval lies at the margin or beyond it: better, or worse, "by at least the margin"."""
    return bool(low >= margin or high <= -margin)
