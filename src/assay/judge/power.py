"""What K replicates can see, before and after: power, width, and what would have settled it."""

from __future__ import annotations

import math

import numpy as np

from assay.judge.decide import critical, error_factor
from assay.judge.special import scipy

MOST_REPLICATES = 1000
WANTED = 0.8  # probability, of a detectable difference and of the replicates that settle an answer


def detectable_difference(replicate_sd: float, replicates: int, alpha: float, candidates: int = 1) -> float:
    """The smallest true difference whose interval leaves 0 out with 80 % probability; unit of `replicate_sd`.

    By the power of the two-sided one-sample t test: P(|T| > t), T noncentral t with K − 1 degrees of freedom and
    noncentrality difference/se. NaN for K < 2. ValueError if the spread is below 0 or not finite.
    """
    _check_spread(replicate_sd)
    if replicates < 2:
        return math.nan
    t, freedom = float(critical(replicates, alpha, candidates)), replicates - 1
    enough = t * math.sqrt(scipy.special.chdtri(freedom, 1e-15) / freedom) + 9
    noncentrality = scipy.optimize.brentq(_lacking, 0.0, enough, (t, freedom), xtol=1e-12)
    return noncentrality * replicate_sd * float(error_factor(replicates))


def expected_half_width(replicate_sd: float, replicates: int, alpha: float, candidates: int = 1) -> float:
    """The expected half width t·E[s]·√(1/K) of the deciding interval; E[s] = σ·√(2/ν)·Γ((ν+1)/2)/Γ(ν/2), ν = K − 1.

    NaN for K < 2.
    """
    _check_spread(replicate_sd)
    if replicates < 2:
        return math.nan
    freedom = replicates - 1
    shrunk = math.sqrt(2 / freedom) * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2))
    return float(critical(replicates, alpha, candidates)) * replicate_sd * shrunk * float(error_factor(replicates))


def spread_range(replicate_sd: float, replicates: int) -> tuple[float, float]:
    """The 95 % interval of a spread that was measured on that many replicates: s·√(ν/χ²), ν = K − 1.

    ValueError for fewer than 2 of them, or a spread below 0 or not finite.

        >>> low, high = spread_range(1.0, 14)
        >>> f"{low:.2f} to {high:.2f}"
        '0.72 to 1.61'
    """
    _check_spread(replicate_sd)
    if replicates < 2:
        raise ValueError(f"{replicates} replicates have no spread")
    freedom = replicates - 1
    low, high = (replicate_sd * math.sqrt(freedom / scipy.special.chdtri(freedom, q)) for q in (0.025, 0.975))
    return low, high


def settling_margin(low: float, high: float) -> float:
    """max(|low|, |high|): with any larger margin the interval would have been equivalent or negligible."""
    return max(abs(low), abs(high))


def settling_replicates(
    sd: float, replicates: int, margin: float, alpha: float, candidates: int = 1, test_fraction: float | None = None
) -> int | None:
    """The smallest K′ ≥ 2 with 2·t·s_U·√(1/K′) ≤ margin, or None if that is above 1000 or the spread is unknown.

    An interval no wider than the margin leaves 0 out or lies within the margin: it is never inconclusive. s_U, the
    upper limit of the spread with 80 % assurance, is s·√((K−1)/χ²), χ² the 20 % quantile at K − 1 degrees of freedom;
    `sd` is s, measured on K = `replicates`. `test_fraction` as in `paired_interval`. ValueError if the margin is not
    above 0.
    """
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin:g}")
    if replicates < 2 or not math.isfinite(sd):
        return None
    upper = sd * math.sqrt((replicates - 1) / scipy.special.chdtri(replicates - 1, WANTED))
    counts = np.arange(2, MOST_REPLICATES + 1)
    widths = 2 * critical(counts, alpha, candidates) * upper * error_factor(counts, test_fraction)
    narrow = np.flatnonzero(widths <= margin)
    return int(counts[narrow[0]]) if len(narrow) else None


def _check_spread(replicate_sd: float) -> None:
    if not 0 <= replicate_sd < math.inf:
        raise ValueError(f"the spread of a replicate's difference must be 0 or more, got {replicate_sd:g}")


def _lacking(noncentrality: float, t: float, freedom: int) -> float:
    """What P(|T| > t) lacks of 80 %: T = (Z + δ)/√(χ²/ν), noncentral t; the mean over Z + δ of P(χ² < ν·((Z + δ)/t)²).

    scipy.special.nctdtr gives NaN far out, where a plan for many replicates asks.
    """

    def density(z: float) -> float:
        normal = math.exp(-(z**2) / 2) + math.exp(-((z + 2 * noncentrality) ** 2) / 2)  # Z + δ on either side of 0
        return scipy.special.chdtr(freedom, freedom * ((z + noncentrality) / t) ** 2) * normal / math.sqrt(2 * math.pi)

    found = scipy.integrate.quad(density, max(-noncentrality, -9.0), 9.0, epsabs=1e-13, epsrel=1e-13, limit=200)
    return WANTED - float(min(found[0], 1.0))
