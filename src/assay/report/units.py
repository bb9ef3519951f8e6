"""Numbers as text: scores in the metric's text unit, hyperparameters, durations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from assay.judge.digits import minus
from assay.judge.sentence import amount

MISSING = "–"


class Units(NamedTuple):
    """How the metric's file units read: accuracies are fractions in files, per cent and points in text."""

    metric: str
    unit: str
    scale: float

    @property
    def axis(self) -> str:
        """The metric and its unit, as an axis is labelled."""
        return f"{self.metric} ({'%' if self._percent else self.unit})" if self.unit else self.metric

    def of(self, what: str) -> str:
        """Something that is measured in the metric's unit, as an axis is labelled: difference in accuracy (points)."""
        return f"{what} ({self.unit})" if self.unit else what

    def score(self, value: float | None, spread: float | None = None) -> str:
        """0.70712, 0.0103 → 70.71 ± 1.03 %."""
        if value is None or not math.isfinite(value):
            return MISSING
        form = ".2f" if self._percent else ".4g"
        beside = "" if spread is None else f" ± {self.scale * spread:{'.2f' if self._percent else '.2g'}}"
        return (minus(f"{self.scale * value:{form}}") + f"{beside} {'%' if self._percent else self.unit}").rstrip()

    def difference(self, value: float | None) -> str:
        """−0.0103 → −1.03 points."""
        if value is None or not math.isfinite(value):
            return MISSING
        return amount(minus(f"{self.scale * value:{'.2f' if self._percent else '.3g'}}"), self.unit)

    @property
    def _percent(self) -> bool:
        return self.scale == 100


def number(value: Any) -> str:
    """Three significant digits, thousands apart, for a measured number; anything else as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and 1000 <= abs(value) < 1e15):
        return minus(f"{int(value):,}")
    return minus(f"{value:.3g}")


def settings(hyperparameters: Mapping[str, Any]) -> str:
    """{"lr": 0.02159, "beta": 0.9} → lr 0.0216, beta 0.9."""
    return ", ".join(f"{name} {number(value)}" for name, value in hyperparameters.items())


def p_text(value: float | None) -> str:
    """A p value: 0.0132 → 0.013."""
    return MISSING if value is None else "below 0.001" if value < 0.001 else f"{value:.3f}"


def per_cent(share: float) -> str:
    """0.99687 → 99.69 %."""
    return f"{100 * share:.4g} %"


def signed(value: float | None) -> str:
    """A difference in margins: −0.26 → −0.3, 3.0 → +3.0, 312.4 → +312."""
    return MISSING if value is None else minus(f"{value:+.1f}") if abs(value) < 99.95 else minus(f"{value:+.0f}")


def span(found: Mapping[str, Any]) -> str:
    """The interval of a verdict or a cell, in margins."""
    return "no interval" if found["ci_low"] is None else f"{signed(found['ci_low'])} to {signed(found['ci_high'])}"


def duration(seconds: float | None) -> str:
    """0.00157 → 1.57 ms; 48.38 → 48 s; 130 → 2.2 min; 8000 → 2 h 13 min."""
    if seconds is None:
        return MISSING
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms" if seconds >= 0.001 else f"{1e6 * seconds:.3g} µs"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"


def unbroken(text: str) -> str:
    """The text, with no line break between a number and its per cent sign."""
    return text.replace(" %", "\u00a0%")
