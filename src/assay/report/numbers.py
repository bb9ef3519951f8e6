"""The verdict in numbers, the second opinions with it: a list for each candidate."""

from __future__ import annotations

from typing import Any

from assay.judge.digits import ceiling, minus, percent, printed, times
from assay.judge.sentence import amount
from assay.report.facts import Facts
from assay.report.reading import Reading
from assay.report.units import MISSING, number, p_text


def numbers(reading: Reading) -> list[Facts]:
    """What the judge found, beyond the sentence. Nothing under the published protocol, which finds nothing."""
    if reading.plan.science.protocol.name == "published":
        return []
    return [Facts(f"{v['candidate']} against {v['baseline']}", _rows(reading, v)) for _, v in reading.pairs]


def _rows(reading: Reading, verdict: dict[str, Any]) -> list[tuple[str, str]]:
    task, d = reading.plan.science.task, verdict["details"]
    level = f"{100 * d['level']:.4g} %"

    def span(mean: float | None, low: float | None, high: float | None) -> str:
        if mean is None:
            return MISSING
        if low is None or high is None:
            return f"{amount(minus(f'{task.scale * mean:.4g}'), task.unit)}, without an interval"
        text = printed(mean, low, high, task.margin, task.scale)
        return f"{amount(text.mean, task.unit)} ({text.low} to {text.high})"

    def share(mean: float | None, low: float | None, high: float | None) -> str:
        if mean is None:
            return MISSING
        return percent(mean) if low is None or high is None else f"{percent(mean)} ({percent(low)} to {percent(high)})"

    stable, fast, left = d["stability"], d.get("speed"), d["survivors"]
    rows = [
        ("outcome", verdict["outcome"] + (", by at least the margin" if d["by_the_margin"] else "")),
        (f"difference, {level} interval", span(verdict["difference"], verdict["ci_low"], verdict["ci_high"])),
        ("p value of no difference", p_text(verdict["p_value"])),
        ("beats its twin, a single run", share(verdict["p_superior"], d["p_superior_low"], d["p_superior_high"])),
        ("smallest margin that settles it", _settles(verdict, task)),
        ("replicates that settle it, 80 % assurance", number(d["settling_replicates"])),
        ("second opinion: sign-flip p value", p_text(d["sign_flip_p"])),
        ("second opinion: BCa bootstrap interval", span(verdict["difference"], d["bca_low"], d["bca_high"])),
        ("second opinion: Holm p value", p_text(d["holm_p"])),
        ("survivors only", _survivors(left, span) if left else MISSING),
        ("gradients for each step, relative", MISSING if d["gradient_ratio"] is None else times(d["gradient_ratio"])),
        ("spread between seeds, relative", _ratio(stable)),
        ("gets to the target faster", share(*_interval(fast["faster"])) if fast else MISSING),
    ]
    return [(name, value) for name, value in rows if value != MISSING]


def _settles(verdict: dict[str, Any], task: Any) -> str:
    """The settling margin, to as many digits as the sentence gives it."""
    margin = verdict["details"]["settling_margin"]
    if margin is None:
        return MISSING
    digits = printed(verdict["difference"], verdict["ci_low"], verdict["ci_high"], task.margin, task.scale).digits
    return amount(ceiling(margin, digits, task.scale), task.unit)


def _survivors(left: dict[str, Any], span: Any) -> str:
    return f"{left['outcome']}, {span(left['difference'], left['ci_low'], left['ci_high'])}"


def _ratio(stable: dict[str, Any]) -> str:
    if stable["ratio"] is None:
        return stable["reason"] or MISSING
    text = times(stable["ratio"])
    return text if stable["low"] is None else f"{text} ({stable['low']:.2f} to {stable['high']:.2f})"


def _interval(found: dict[str, Any]) -> tuple[Any, Any, Any]:
    return found["mean"], found["low"], found["high"]
