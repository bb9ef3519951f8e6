"""Numbers for readers: as few digits as possible, as many as it takes for the text never to contradict the outcome."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import NamedTuple

from assay.core import Outcome
from assay.judge.decide import Real, by_the_margin, outcome

EXACT = Context(prec=2500)  # the product of any two floats, without rounding
PLAIN = 18  # decimals more than usual before scientific notation: enough to tell a float from its neighbour


class Printed(NamedTuple):
    """A mean, its interval and the margin in text units, without unit; all but the margin have `digits` decimals.

    Where an interval is far too close to 0 for that, they are in scientific notation.
    """

    mean: str
    low: str
    high: str
    margin: str
    digits: int


def printed(mean: float, low: float, high: float, margin: float, scale: float = 1.0) -> Printed:
    """Texts of an interval and a margin, given in file units, that say what the numbers say.

    Starts one decimal finer than the margin's first digit and adds decimals until the printed interval and margin have
    the outcome of the exact ones, and the same answer to "by at least the margin". Without an interval (NaN ends) the
    first try stands, and the ends are empty. ValueError if scale or margin is not above 0 or the mean is not finite.
    """
    if not (0 < scale < math.inf and math.isfinite(mean)):
        raise ValueError(f"scale must be above 0 and the mean finite, got {scale:g} and {mean:g}")
    with localcontext(EXACT):
        bar = Decimal(margin) * Decimal(scale)
        first = digits = _decimals(bar)
        exact = [Decimal(x) * Decimal(scale) for x in (mean, low, high) if math.isfinite(x)]
        said = _said(low, high, margin) if len(exact) == 3 else None
        while True:
            plain = digits <= first + PLAIN
            texts = [_fixed(x, digits) if plain else _scientific(x, digits - first - PLAIN) for x in exact]
            bar_text = _significant(bar, 6 + digits - first)
            if said is None or _said(Decimal(texts[1]), Decimal(texts[2]), Decimal(bar_text)) == said:
                break
            digits += 1
        digits = digits if plain else first
    shown = [minus(text) for text in texts] if said else [minus(texts[0]), "", ""]
    return Printed(shown[0], shown[1], shown[2], bar_text, digits)


def ceiling(value: float, digits: int, scale: float = 1.0) -> str:
    """The value, given in file units, in text units and rounded up at `digits` decimals."""
    with localcontext(EXACT):
        exact = Decimal(value) * Decimal(scale)
        return minus(_fixed(Decimal(_significant(exact, 12)), digits, ROUND_CEILING))  # 1.4 is 1.4, not a bit more


def step(digits: int) -> str:
    """One unit of the last of `digits` decimals: 1, 0.1, 0.01, …"""
    return f"{Decimal(1).scaleb(-digits):f}"


def percent(share: float) -> str:
    """A share in [0, 1] in whole per cent; never 0 or 100 unless it is exactly that."""
    rounded = round(100 * share)
    if rounded == 0 and share > 0:
        return "less than 1 %"
    return "more than 99 %" if rounded == 100 and share < 1 else f"{rounded} %"


def times(ratio: float) -> str:
    """A ratio with one decimal, more where it would otherwise print as 1.0 or 0.0 without being that: 2.0×, 1.004×."""
    for digits in range(1, 17):
        text = f"{ratio:.{digits}f}"
        if (float(text) == 1) == (ratio == 1) and (float(text) == 0) == (ratio == 0):
            return f"{text}×"
    return f"{ratio!r}×"


def minus(text: str) -> str:
    """The text with the true minus sign."""
    return text.replace("-", "−")


def _said(low: Real, high: Real, margin: Real) -> tuple[Outcome, bool]:
    return outcome(low, high, margin), by_the_margin(low, high, margin)


def _decimals(margin: Decimal) -> int:
    if not margin > 0:
        raise ValueError(f"the margin must be above 0, got {margin}")
    return max(0, 1 - Decimal(_significant(margin, 6)).adjusted())


def _fixed(value: Decimal, digits: int, rounding: str = ROUND_HALF_EVEN) -> str:
    text = f"{value.quantize(Decimal(1).scaleb(-digits), rounding=rounding):f}"
    return text.removeprefix("-") if not Decimal(text) else text  # no −0.0


def _scientific(value: Decimal, digits: int) -> str:
    if not value:
        return "0"
    return _significant(value, digits + 1) if value.adjusted() > -6 else f"{value:.{digits}e}"


def _significant(value: Decimal, digits: int) -> str:
    rounded = value.quantize(Decimal(1).scaleb(value.adjusted() - digits + 1))
    return f"{rounded.normalize():f}"
