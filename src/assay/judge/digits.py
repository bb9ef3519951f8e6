"""Numbers for readers: as few digits as possible, as many as it takes for the text never to contradict the outcome."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context, Decimal
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
    if not (0 < scale < math.inf and margin > 0 and math.isfinite(mean)):
        raise ValueError(f"scale and margin must be above 0, the mean finite: {scale:g}, {margin:g}, {mean:g}")
    bar, *exact = [_scaled(x, scale) for x in (margin, mean, low, high) if math.isfinite(x)]
    first, more, exists = max(0, 1 - _rounded(bar, 6).adjusted()), 0, len(exact) == 3
    while True:
        form = f"z.{first + more}f" if more <= PLAIN else f".{more - PLAIN + 1}g"
        texts, shown = [format(x or Decimal(), form) for x in exact], _rounded(bar, 6 + more)
        if not exists or _said(Decimal(texts[1]), Decimal(texts[2]), shown) == _said(low, high, margin):
            break
        more += 1
    mean_text, low_text, high_text = (minus(text) for text in (texts if exists else (texts[0], "", "")))
    return Printed(mean_text, low_text, high_text, f"{shown:f}", first + more if more <= PLAIN else first)


def ceiling(value: float, digits: int, scale: float = 1.0) -> str:
    """The value, given in file units, in text units and rounded up at `digits` decimals."""
    rounded = _rounded(_scaled(value, scale), 12)  # 1.4 is 1.4, not a bit more
    return minus(f"{rounded.quantize(Decimal(1).scaleb(-digits), ROUND_CEILING, EXACT):zf}")


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
    texts = (f"{ratio:.{digits}f}" for digits in range(1, 17))
    return next((t for t in texts if (float(t) == 1, float(t) == 0) == (ratio == 1, ratio == 0)), repr(ratio)) + "×"


def minus(text: str) -> str:
    """The text with the true minus sign."""
    return text.replace("-", "−")


def _said(low: Real, high: Real, margin: Real) -> tuple[Outcome, bool]:
    return outcome(low, high, margin), by_the_margin(low, high, margin)


def _scaled(value: float, scale: float) -> Decimal:
    return EXACT.multiply(Decimal(value), Decimal(scale))


def _rounded(value: Decimal, digits: int) -> Decimal:
    """So many significant digits, without zeros at the end."""
    return value.normalize(Context(prec=digits))
