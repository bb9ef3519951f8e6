"""What a candidate is worth in steps of the baseline, in a sentence that follows the verdict's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.judge.speedup import Longer, Worth


def sentence(found: Worth, candidate: str, baseline: str, level: float, longer: Longer | None) -> str:
    """`level`: of the interval. `longer`: what longer training is to the baseline; None where it isn't known."""
    shortest, longest = (factor(end) for end in found.tried)
    said = _said(found, candidate, baseline, f"{100 * level:.4g} %", shortest, longest)
    if longer == "untold":
        said += f" Longer training isn't seen to help {baseline} here, so that steps say little."
    if longer == "hurts":
        said += f" Longer training makes {baseline} worse here, so that steps say little: ask with fewer --epochs."
    return said


def _said(found: Worth, candidate: str, baseline: str, level: str, shortest: str, longest: str) -> str:
    steps = f"{baseline}'s steps"
    if found.empty:
        side = "better" if found.ahead else "worse"
        tried = f"any number of steps that was tried, {shortest} to {longest} its own"
        return f"{candidate} is {side} than {baseline} trained for {tried}."
    low, high = (None if end is None else factor(end) for end in (found.low, found.high))
    stretches = _stretches(found)
    if found.open("shorter") and found.open("longer"):
        possible = f"{shortest} as many and {longest} as many are both possible"
        if len(found.pieces) > 1:
            possible = f"anything {stretches} is possible"
        return f"How many of {steps} {candidate} is worth can't be told: {possible}."
    if found.factor is None and found.ahead is True and low:
        why = f"in the mean it is ahead of {baseline} at {longest}, too, the longest that was tried"
        return f"{candidate} is worth {low} {steps} at least ({level}); no upper end is known, for {why}."
    if found.factor is None and found.ahead is False and high:
        why = f"in the mean it is behind {baseline} at {shortest}, too, the shortest that was tried"
        return f"{candidate} is worth {high} {steps} at most ({level}); no lower end is known, for {why}."
    if found.factor is None:
        side = "ahead of" if found.ahead else "behind"
        return (
            f"In the mean {candidate} is {side} {baseline} at every length that was tried, {shortest} to {longest}; they can't "
            f"be told apart {stretches} ({level})."
        )
    if len(found.pieces) > 1:
        ends = f"anywhere {stretches}"
    elif low is None:
        ends = f"up to {high}; {shortest} is the shortest that was tried"
    elif high is None:
        ends = f"from {low}; {longest} is the longest that was tried"
    else:
        ends = f"{low[:-1]} to {high[:-1]}"
    return f"{candidate} is worth {factor(found.factor)} {steps} ({level} interval {ends})."


def _stretches(found: Worth) -> str:
    """In 0.50 to 0.60 or from 1.20 on: the set in words, where its ends are the ladder's they are open."""
    last = len(found.pieces) - 1
    words: list[str] = []
    for place, (a, b) in enumerate(found.pieces):
        if place == 0 and found.open("shorter"):
            words.append(f"up to {b:.2f}")
        elif place == last and found.open("longer"):
            words.append(f"from {a:.2f} on")
        else:
            words.append(f"in {a:.2f} to {b:.2f}")
    return " or ".join(words)


def factor(value: float) -> str:
    """1.18×."""
    return f"{value:.2f}×"


def across_sentence(candidate: str, baseline: str, ends: tuple[float, float, float], level: float, over: str) -> str:
    """The geometric mean. `ends`: factor, low, high; `over`: so many tasks or settings."""
    middle, low, high = ends
    interval = f"{100 * level:.4g} % interval {low:.2f} to {high:.2f}"
    return f"{candidate} is worth {middle:.2f}× {baseline}'s steps ({interval}), the geometric mean over {over}."


def seconds_sentence(verdict: Mapping[str, Any], timed: Mapping[str, Any]) -> str:
    """What it is worth in seconds. `timed`: what `timings.json` has of the verdict's candidate."""
    name, baseline, ratio = verdict["candidate"], verdict["baseline"], timed["step_ratio"]
    slower = f"a step of {name} takes {ratio:.2f} times as long as one of {baseline}"
    middle, low, high = (timed[key] for key in ("speedup", "speedup_low", "speedup_high"))
    if middle is None and low is None and high is None:
        return f"{slower[0].upper()}{slower[1:]}."
    least, most = low is not None, high is not None
    ends = f"{low:.2f} to {high:.2f}" if least and most else f"from {low:.2f}" if least else f"up to {high:.2f}"
    if middle is not None:
        worth = f"{factor(middle)} {baseline}'s seconds ({ends if least or most else 'open'})"
    elif least and most:
        worth = f"{ends} of {baseline}'s seconds"
    else:
        worth = f"{factor(low or high)} {baseline}'s seconds at {'least' if least else 'most'}"
    return f"{name} is worth {worth}, for {slower} here."
