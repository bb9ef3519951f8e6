"""SciPy's functions that the judge uses, with types: SciPy ships none. Arguments and values are numbers or arrays alike."""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.optimize
import scipy.special

Function = Callable[..., Any]

ndtr: Function = scipy.special.ndtr  # P(Z ≤ x), Z standard normal
ndtri: Function = scipy.special.ndtri  # its inverse
stdtr: Function = scipy.special.stdtr  # P(T ≤ t) by degrees of freedom, t
stdtrit: Function = scipy.special.stdtrit  # its inverse in t
chdtri: Function = scipy.special.chdtri  # the χ² that is exceeded with a probability, by degrees of freedom


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function is 0 between two points at which its signs differ, to 1e-12 (Brent's method)."""
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-12))  # type: ignore[arg-type]
