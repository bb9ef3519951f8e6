"""SciPy's functions that the judge uses, with types: SciPy ships none. Arguments and values are numbers or arrays alike.

SciPy loads its parts when they are first asked for, so that importing the judge costs little.
"""

# pyright: reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy


def ndtr(x: Any) -> Any:
    """P(Z ≤ x), Z standard normal."""
    return scipy.special.ndtr(x)


def ndtri(p: Any) -> Any:
    """The inverse of `ndtr`."""
    return scipy.special.ndtri(p)


def stdtr(freedom: Any, t: Any) -> Any:
    """P(T ≤ t), T with the t distribution."""
    return scipy.special.stdtr(freedom, t)


def stdtrit(freedom: Any, p: Any) -> Any:
    """The inverse of `stdtr` in t."""
    return scipy.special.stdtrit(freedom, p)


def chdtri(freedom: Any, p: Any) -> Any:
    """The χ² that is exceeded with probability p."""
    return scipy.special.chdtri(freedom, p)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function is 0 between two points at which its signs differ, to 1e-12 (Brent's method)."""
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-12))  # type: ignore[arg-type]
