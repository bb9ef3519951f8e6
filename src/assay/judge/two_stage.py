"""How many replicates, decided by the spread of the first few alone: Stein's two stages.

Stein 1945, "A two-sample test for a linear hypothesis whose power is independent of the variance" (Annals of
Mathematical Statistics 16). The first n₀ differences give s₁, with n₀ − 1 degrees of freedom; their mean isn't looked at.
With t the quantile of that many degrees of freedom at 1 − α/(2c), for c candidates,

    K = the smallest number, n₀ at least, with 2·t·s₁·√(1/K) ≤ m,    that is max(n₀, ⌈(2·t·s₁/m)²⌉),

and the interval is mean(all K) ± t·s₁·√(1/K). *Its level is exact for normal differences*: s₁ and the mean of the first n₀
are independent, and so are the later differences of both; hence, given s₁ (and with it K), √K·(mean − δ)/σ is standard
normal, whatever s₁ was, so that √K·(mean − δ)/s₁ has the t distribution with n₀ − 1 degrees of freedom. A spread taken
from all K would not be independent of K. With several candidates K is the largest that any of them asks for: the means
are independent of all the spreads together. A maximum of K bounds the width's promise, not the level.

The *whole* interval, not its half, is to be no wider than the margin m: only then is the answer never inconclusive. (An
interval of half width m could call two equal contenders equivalent only if the means agreed exactly.)

On repartitioned data 1/K becomes 1/K + n_test/n_train (see `decide.error_factor`); where that alone is too wide, no K will
do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from assay.judge.decide import Interval, critical, error_factor, paired_interval, rounding_sd
from assay.judge.special import scipy

MOST_ASKED = 1_000_000_000


def wanted(
    sd: float, first: int, margin: float, alpha: float, candidates: int = 1, test_fraction: float | None = None
) -> int | None:
    """K, as the head of this file defines it, from s₁ = `sd` of `first` differences; None where no number will do.

    ValueError if the margin is not above 0, there are fewer than two differences, or their spread is NaN or below 0.
    """
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin:g}")
    if first < 2 or not sd >= 0:
        raise ValueError(f"a first stage needs 2 differences or more and a spread of 0 or more, got {first} and {sd:g}")
    error_factor(first, test_fraction)
    unit = 2 * float(critical(first, alpha, candidates)) * sd / margin
    if unit == 0:
        return first
    room = 1 / unit**2 - (test_fraction or 0.0)
    if room <= 1 / MOST_ASKED:
        return None
    return max(first, math.ceil(1 / room * (1 - 1e-12)))  # a whole number is not pushed over by its last bit


def asked(
    differences: Sequence[np.ndarray],
    first: int,
    margin: float,
    alpha: float,
    test_fraction: float | None = None,
    least: float | Sequence[float] = 0.0,
) -> list[int | None]:
    """What each candidate asks for, from its differences (K,), of which the `first` count; arguments as in `wanted`.

    `least`: what each one's spread is at least.
    """
    spreads = np.maximum([float(np.std(d[:first], ddof=1)) for d in differences], least)
    return [wanted(sd, first, margin, alpha, len(differences), test_fraction) for sd in spreads.tolist()]


def reached(asked: Iterable[int | None], first: int, most: int) -> int:
    """How many replicates there are when the candidates ask for these: the largest number, `most` at most."""
    return min(most, max((most if n is None else n for n in asked), default=first))


def two_stage_interval(
    differences: np.ndarray,
    first: int,
    alpha: float,
    candidates: int = 1,
    test_fraction: float | None = None,
    resolution: float = 0.0,
) -> Interval:
    """The interval of differences (K,) whose number was decided by the spread of the `first`.

    Around the mean of all, with that spread and its degrees of freedom; for K = `first` the paired t interval. `sd` is s₁,
    resolution/√12 at least, as in `paired_interval`: first differences that happen to be equal are no certainty. Where
    the resolution is 0, too, later ones that differ from them leave no interval: nothing says how wide it should be.
    """
    values = np.asarray(differences, dtype=float)
    stage = paired_interval(values[:first], alpha, candidates, test_fraction, resolution)
    if len(values) <= first:
        return stage
    mean = float(values.mean())
    if (values == values[0]).all() and resolution == 0:
        return paired_interval(values, alpha, candidates, test_fraction)
    sd = max(stage.sd, rounding_sd(resolution))
    se = sd * float(error_factor(len(values), test_fraction))
    if not (stage.exists and np.isfinite(values).all() and se > 0):
        return Interval(mean, math.nan, math.nan, math.nan, math.nan, math.nan, stage.level)
    half = float(critical(first, alpha, candidates)) * se
    p_value = float(2 * scipy.special.stdtr(first - 1, -abs(mean / se)))
    return Interval(mean, mean - half, mean + half, p_value, sd, se, stage.level)
