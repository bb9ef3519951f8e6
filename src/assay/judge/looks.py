"""Looks at the answer that are planned beforehand: the error is spent over them, and none is had for nothing.

Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials" (Biometrika 70), with their spending function like
O'Brien and Fleming's: at the share τ = K_j/K_max of the replicates, each side has spent

    a*(τ) = 2 − 2·Φ(z_{a/2}/√τ)  of its a = α/(2c),   c candidates,

and the boundary b_j is what makes P(|Z_1| < b_1, …, |Z_j| ≥ b_j) what is newly spent, where Z_j has the joint distribution
of the standardized means of K_1 < K_2 < … normal values, found by the recursive integration of Armitage, McPherson & Rowe
1969. The spread is estimated from the differences, so b_j is turned into the t quantile of the same nominal level with
K_j − 1 degrees of freedom (the significance-level approach: Pocock 1977; Jennison & Turnbull 2000, section 3.8). *That is
an approximation*: its overall error, simulated at looks of 12 and 24, is 0.05 to the second digit (`tests/judge/test_looks`).

The intervals mean ± t_j·se_j are repeated confidence intervals (Jennison & Turnbull 1989, "Interim analyses: the repeated
confidence interval approach"): all of them hold at once with probability 1 − α/c, whatever makes one stop.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from assay.judge.decide import Interval, level_of, paired_interval
from assay.judge.special import scipy

NODES = 96  # of the quadrature between the boundaries: eight digits at ten looks


def spent(share: float, alpha: float) -> float:
    """The two-sided error spent at a share τ in (0, 1] of the replicates; `alpha` is the whole of it."""
    if not 0 < share <= 1:
        raise ValueError(f"a look is at a share of the replicates above 0 and at most 1, got {share:g}")
    return float(4 * scipy.special.ndtr(scipy.special.ndtri(alpha / 4) / math.sqrt(share)))


def boundaries(shares: Sequence[float], alpha: float) -> list[float]:
    """The boundary of |Z| at each look; two-sided error `alpha` over them all. ValueError unless 0 < τ₁ < τ₂ < … ≤ 1."""
    level_of(alpha)
    if not shares or any(b <= a for a, b in zip((0.0, *shares), shares, strict=False)):
        raise ValueError(f"the looks must be at growing shares of the replicates, got {list(shares)}")
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    found: list[float] = []
    before, density, points = 0.0, np.ones(1), np.zeros(1)  # of W = Z·√τ, at points that stand for an integral
    for share in shares:
        new = spent(share, alpha) - (spent(before, alpha) if before else 0.0)
        step, scale = math.sqrt(share - before), math.sqrt(share)
        found.append(scipy.optimize.brentq(_beyond, 1e-9, 40.0, (new, density, points, step, scale), xtol=1e-12))
        edge = found[-1] * scale
        at = edge * nodes
        arrived = np.exp(-0.5 * ((at[:, None] - points) / step) ** 2) @ density / (step * math.sqrt(2 * math.pi))
        before, density, points = share, arrived * edge * weights, at
    return found


def _beyond(b: float, new: float, density: np.ndarray, points: np.ndarray, step: float, scale: float) -> float:
    """P(not stopped before, and |W| ≥ b·√τ), less what is to be spent."""
    outside = scipy.special.ndtr((points - b * scale) / step) + scipy.special.ndtr((-points - b * scale) / step)
    return float(density @ outside) - new


def nominal(looks: Sequence[int], look: int, alpha: float, candidates: int = 1) -> float:
    """The two-sided level of the t interval at `looks[look]` replicates; `looks` are all that are planned."""
    shares = [k / looks[-1] for k in looks[: look + 1]]
    return 2 * float(scipy.special.ndtr(-boundaries(shares, alpha / candidates)[-1]))


def look_interval(
    differences: np.ndarray, looks: Sequence[int], alpha: float, candidates: int = 1, resolution: float = 0.0
) -> Interval:
    """The repeated interval of differences (K,), K being one of the looks, at level 1 − α/c over all looks together.

    `resolution`: as for `paired_interval`.

    `p_value` is the repeated p-value: the smallest α at which the interval leaves 0 out.
    """
    level = level_of(alpha, candidates)
    look = list(looks).index(len(differences))
    found = paired_interval(differences, nominal(looks, look, alpha, candidates), resolution=resolution)
    p_value = _repeated_p(found.p_value, looks, look) if found.exists else found.p_value
    return found._replace(level=level, p_value=p_value)


def _repeated_p(p: float, looks: Sequence[int], look: int) -> float:
    """The overall error at which the nominal level of this look is `p`."""
    low, high = 1e-12, 1 - 1e-9
    if p <= nominal(looks, look, low):
        return low if p else 0.0
    if p >= nominal(looks, look, high):
        return 1.0

    def beyond(alpha: float) -> float:
        return nominal(looks, look, alpha) - p

    return scipy.optimize.brentq(beyond, low, high, xtol=1e-12)
