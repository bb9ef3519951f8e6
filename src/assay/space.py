"""Search spaces: what of a contender is tuned, and over which range. Plain frozen data."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

SMALLEST = sys.float_info.min  # 2.2e-308: smaller floats have fewer digits
LARGEST = 2**53  # whole numbers up to here are exact as floats, too


class Float(msgspec.Struct, frozen=True, tag="float", tag_field="kind"):
    """A real hyperparameter in [low, high], uniform, or uniform in its logarithm. ValueError on an empty range.

    `scale="1-log"`: uniform in the logarithm of 1 − x, for what lies near 1, as β₂ does.

    Example:
        >>> lr = assay.Float(1e-4, 1e-2, log=True)
        >>> lr.from_unit(0.5)  # the middle of the range, as the space measures it
        0.001
        >>> beta2 = assay.Float(0.9, 0.999, scale="1-log")
        >>> round(beta2.from_unit(0.5), 6)
        0.99
    """

    low: float
    high: float
    log: bool = False
    scale: Literal["1-log"] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            _settle(self, name, _number(getattr(self, name)))
        _settle(self, "log", bool(self.log))
        _check_range(self.low, self.high, self.log)
        if self.scale is not msgspec.UNSET:
            _check_scale(self)

    @property
    def near_one(self) -> bool:
        """Whether its scale is that of 1 − x."""
        return self.scale is not msgspec.UNSET

    def to_unit(self, value: float) -> float:
        """The value's place in the range as the space measures it: 0 at `low`, 1 at `high`."""
        if self.near_one:
            return math.log((1 - value) / (1 - self.low)) / math.log((1 - self.high) / (1 - self.low)) + 0.0
        return _to_unit(self, value)

    def from_unit(self, unit: float) -> float:
        """The inverse of `to_unit`."""
        if self.near_one:
            return 1 - (1 - self.low) * ((1 - self.high) / (1 - self.low)) ** unit
        return _from_unit(self, unit)

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{scale_of(self)}"


def scale_of(range_: Float | Int) -> str:
    """How --space writes a range's scale: `:log`, `:1-log`, or nothing for a linear one."""
    return ":1-log" if isinstance(range_, Float) and range_.near_one else ":log" if range_.log else ""


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
        for name in ("low", "high"):
            _settle(self, name, _whole(getattr(self, name)))
        _settle(self, "log", bool(self.log))
        _check_range(self.low, self.high, self.log)

    def to_unit(self, value: float) -> float:
        """The value's place in the range as the space measures it: 0 at `low`, 1 at `high`."""
        return _to_unit(self, value)

    def from_unit(self, unit: float) -> float:
        """The inverse of `to_unit`, not rounded."""
        return _from_unit(self, unit)

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{scale_of(self)}"


def _to_unit(range_: Float | Int, value: float) -> float:
    if range_.log:
        return (math.log(value) - math.log(range_.low)) / (math.log(range_.high) - math.log(range_.low))
    return (value - range_.low) / (range_.high - range_.low)


def _from_unit(range_: Float | Int, unit: float) -> float:
    if range_.log:
        return range_.low * (range_.high / range_.low) ** unit
    return range_.low + unit * (range_.high - range_.low)


class Choice(msgspec.Struct, frozen=True, tag="choice", tag_field="kind"):
    """An unordered hyperparameter: one of its options. ValueError unless two differ, and all numbers are finite.

    Example:
        >>> str(assay.Choice((0.9, 0.99)))
        '0.9|0.99'
    """

    options: tuple[float | int | str | bool, ...]

    def __post_init__(self) -> None:
        _settle(self, "options", tuple(_option(option) for option in self.options))
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


def place_of(space: Space, values: Mapping[str, Any]) -> list[float]:
    """Where these values lie (d,), in the units of the space."""
    return [dimension.to_unit(values[name]) for name, dimension in space.items()]


def at(space: Space, place: Iterable[float]) -> dict[str, Any]:
    """The values at a place (d,) in the units of the space; of a choice, a unit is an option's number."""
    return {name: _at(dimension, float(unit)) for (name, dimension), unit in zip(space.items(), place, strict=True)}


def _at(dimension: Dimension, unit: float) -> Any:
    if isinstance(dimension, Choice):
        return dimension.options[round(unit)]
    value = dimension.from_unit(unit)
    if 0 <= unit <= 1:  # where rounding must not leave the range
        value = min(max(value, dimension.low), dimension.high)
    return round(value) if isinstance(dimension, Int) else value


def holds(dimension: Dimension, value: Any) -> bool:
    """Whether a value, of whatever type, is one that the dimension has."""
    if isinstance(dimension, Choice):
        return any(type(value) is type(option) and value == option for option in dimension.options)
    if isinstance(value, bool | str) or (isinstance(dimension, Int) and not isinstance(value, int)):
        return False
    return math.isfinite(value) and dimension.low <= value <= dimension.high


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
    if high - low < SMALLEST or (log and low < SMALLEST):
        raise ValueError(
            f"the range {low:g}..{high:g} is too near 0: numbers below {SMALLEST:g} have lost their digits, and float32 ends "
            "far above them"
        )
    if not math.isfinite(high - low) or (log and not math.isfinite(high / low)):
        raise ValueError(f"the range {low:g}..{high:g} is wider than a number can tell")


def _check_scale(range_: Float) -> None:
    if range_.scale != "1-log":
        raise ValueError(
            f"the scale {range_.scale!r} is unknown; it is '1-log', or left out (log=True for a logarithmic one)"
        )
    if range_.log:
        raise ValueError("a range has one scale: log=True or scale='1-log'")
    if not 0 < range_.low < range_.high < 1:
        raise ValueError(
            f"on the scale of 1 − x both bounds must lie between 0 and 1, got {range_.low:g}..{range_.high:g}"
        )


def _settle(range_: msgspec.Struct, name: str, value: Any) -> None:
    """Fields are normalised as they are made, so that a range read back from a plan is the one that was written."""
    msgspec.structs.force_setattr(range_, name, value)


def _number(value: Any) -> float:
    if isinstance(value, bool | str | bytes):
        raise ValueError(f"a bound must be a number, not {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"a bound must be a number that a float can hold, not {value!r:.60}") from None


def _whole(value: Any) -> int:
    found = _number(value)
    if math.isfinite(found) and not (found.is_integer() and abs(found) <= LARGEST):
        raise ValueError(f"a bound of whole numbers must be one, of {LARGEST:,} at most, not {value!r:.60}")
    return int(found) if math.isfinite(found) else value


def _option(value: Any) -> float | int | str | bool:
    plain = value.item() if hasattr(value, "item") else value  # NumPy's numbers are Python's then
    if not isinstance(plain, float | int | str):
        raise ValueError(f"an option of a choice must be a number, a text or a truth value, not {plain!r:.60}")
    if isinstance(plain, int) and abs(plain) > LARGEST:
        raise ValueError(f"a whole number among the options of a choice may be {LARGEST:,} at most, not {plain!r:.60}")
    return plain
