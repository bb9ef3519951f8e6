"""Two runs of one question, with data, tuning and seeds of their own: do they say the same?"""

from __future__ import annotations

import math

import numpy as np

from assay.judge.special import scipy


def exceeds(claim: np.ndarray, other: np.ndarray) -> float:
    """The one-sided p-value of Welch's t test that a claim's differences (K,) lie above another run's (L,) in the mean.

    Small where the claim is more than the other run bears out: so it is where the luckiest of many runs was handed in. NaN for
    fewer than two differences in either, or any that isn't finite.

    Source: Welch 1947, doi:10.1093/biomet/34.1-2.28.

    Example:
        >>> round(exceeds(np.array([2.0, 2.2, 1.8, 2.1]), np.array([0.1, -0.2, 0.3, 0.0])), 6)
        4e-06
    """
    if min(len(claim), len(other)) < 2 or not (np.isfinite(claim).all() and np.isfinite(other).all()):
        return math.nan
    apart = float(claim.mean() - other.mean())
    a, b = (float(x.var(ddof=1)) / len(x) for x in (claim, other))
    if a + b == 0:
        return 0.5 if apart == 0 else float(apart < 0)
    degrees = (a + b) ** 2 / (a**2 / (len(claim) - 1) + b**2 / (len(other) - 1))
    return float(scipy.special.stdtr(degrees, -apart / math.sqrt(a + b)))
