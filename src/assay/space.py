"""Search spaces: what of a contender is tuned, and over which range. Plain frozen data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec


class Float(msgspec.Struct, frozen=True, tag="float", tag_field="kind"):
    """A real hyperparameter in [low, high], uniform, or uniform in its logarithm. ValueError on an empty range.

    Example:
        >>> lr = assay.Float(1e-4, 1e-2, log=True)
        >>> lr.from_unit(0.5)  # the middle of the range, as the space measures it
        0.001
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)

    def to_unit(self, value: float) -> float:
        """The value's place in the range as the space measures it: 0 at `low`, 1 at `high`."""
        if self.log:
            return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (value - self.low) / (self.high - self.low)

    def from_unit(self, unit: float) -> float:
        """The inverse of `to_unit`."""
        if self.log:
            return self.low * (self.high / self.low) ** unit
        return self.low + unit * (self.high - self.low)

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}" + (":log" if self.log else "")


class Int(msgspec.Struct, frozen=True, tag="int", tag_field="kind"):
    """A whole-number hyperparameter in [low, high], both included. ValueError on an empty range.

    Example:
        >>> str(assay.Int(2, 8))
        '2..8'
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)

    to_unit = Float.to_unit
    from_unit = Float.from_unit
    __str__ = Float.__str__


class Choice(msgspec.Struct, frozen=True, tag="choice", tag_field="kind"):
    """An unordered hyperparameter: one of its options. ValueError unless two differ, and all numbers are finite.

    Example:
        >>> str(assay.Choice((0.9, 0.99)))
        '0.9|0.99'
    """

    options: tuple[float | int | str | bool, ...]

    def __post_init__(self) -> None:
        if len(set(self.options)) < 2:
            raise ValueError(f"a choice needs two different options at least, got {list(self.options)}")
        if not all(math.isfinite(option) for option in self.options if isinstance(option, float)):
            raise ValueError(f"the numbers of a choice must be finite, got {list(self.options)}")

    def to_unit(self, value: Any) -> float:
        """The option's number. Distances between options mean nothing: different is simply far (see judge.select)."""
        return float(self.options.index(value))

    def __str__(self) -> str:
        return "|".join(map(str, self.options))


Dimension = Float | Int | Choice
Space = Mapping[str, Dimension]


def midpoint(dimension: Dimension) -> Any:
    """A value in the middle of the range as the space measures it; of a choice, the first option."""
    if isinstance(dimension, Choice):
        return dimension.options[0]
    middle = dimension.from_unit(0.5)
    return round(middle) if isinstance(dimension, Int) else middle


def _check_range(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"the bounds {low:g}..{high:g} must be finite")
    if low >= high:
        raise ValueError(f"the lower bound {low:g} must be below the upper bound {high:g}")
    if log and low <= 0:
        raise ValueError(f"on a log scale both bounds must be above 0, got {low:g}..{high:g}")
