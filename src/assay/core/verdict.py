"""The answer for one candidate."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Outcome = Literal["better", "worse", "equivalent", "negligible", "inconclusive"]


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one candidate. Differences are candidate − baseline, positive is better, in the metric's unit.

    `published_conclusion` is given under the published protocol only, which never decides more than inconclusive.
    """

    task: str
    candidate: str
    baseline: str
    outcome: Outcome
    sentence: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    p_superior: float | None
    margin: float
    replicates: int
    unit: str
    published_conclusion: str | None = None
    details: dict[str, Any] = {}  # second opinions and descriptive figures, by name
