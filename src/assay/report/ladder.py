"""The ladder in the report: the figure that the speed-up is read off."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from assay.judge.decide import critical
from assay.judge.sentence import listed
from assay.judge.speedup import Ladder
from assay.judge.speedup_sentence import factor, seconds_sentence
from assay.report.figures import Card, data
from assay.report.figures.ladder import Level, Rungs, ladder
from assay.report.reading import Reading

POINTS = 80  # of the curve


def card(reading: Reading) -> Card | None:
    """None where there is no ladder."""
    if "ladder" not in reading.content:
        return None
    task, scale = reading.plan.science.task, reading.units.scale
    rungs = reading.content["ladder"]["rungs"]
    factors, scores = np.array([r["factor"] for r in rungs]), np.array([r["scores"] for r in rungs]).T
    curve = Ladder(factors, task.sign * scores)
    logs = np.linspace(curve.logs[0], curve.logs[-1], POINTS)
    at = scale * task.sign * np.array([curve.at(log) for log in logs])  # (P, K)
    base, alpha = reading.arms[0], 1 - reading.content["verdicts"][0]["details"]["level"]  # of the intervals: 1 − α/c
    drawn = Rungs(base.name, base.look, factors, scale * scores, np.exp(logs), at.mean(axis=1), _bands(at.T, alpha))
    levels: list[Level] = []
    for arm, v in reading.pairs:
        own = scale * arm.scores("test")[:, :, -1].mean(axis=1)[:, None]
        low, high = (float(end[0]) for end in _bands(own, alpha))
        pieces = [(a, b) for a, b in v["details"].get("speedup", {}).get("pieces", [])]
        tried = v["details"].get("speedup", {})
        gone_on = (
            bool(pieces) and pieces[0][0] == tried["shortest"],
            bool(pieces) and pieces[-1][1] == tried["longest"],
        )
        levels.append(Level(arm.name, arm.look, float(own.mean()), (low, high), pieces, gone_on, v.get("speedup")))
    return Card(
        "speedup",
        f"How many of {base.name}'s steps is it worth?",
        f"{listed([said(v) for _, v in reading.pairs])}. A dot a replicate of {base.name}, tuned and trained at that length; "
        "the level is the candidate's score at its own. Where the curve crosses the level, the steps are worth the same; the bar "
        f"{'above' if task.sign < 0 else 'below'} is the interval: it holds 1 just where that of the difference holds 0.",
        ladder(drawn, levels, f"test {reading.units.axis}", task.sign < 0),
        data.laddered(drawn, levels, f"test {reading.units.axis}"),
    )


def _bands(values: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """The t interval of the mean over replicates, of values (K, P), at 1 − α."""
    replicates = len(values)
    half = float(critical(replicates, alpha)) * values.std(axis=0, ddof=1) / replicates**0.5
    return values.mean(axis=0) - half, values.mean(axis=0) + half


def said(verdict: Mapping[str, object]) -> str:
    """What a verdict says of the speed-up, in a word or two, its interval in brackets."""
    name, middle, low, high = (verdict.get(key) for key in ("candidate", "speedup", "speedup_low", "speedup_high"))
    if isinstance(middle, float):
        ends = (f"{end:.2f}" if isinstance(end, float) else "open" for end in (low, high))
        return f"{name} {factor(middle)} ({' to '.join(ends)})"
    if isinstance(low, float) and isinstance(high, float):
        return f"{name} {factor(low)} to {factor(high)}"
    if isinstance(low, float):
        return f"{name} {factor(low)} at least"
    return f"{name} {factor(high)} at most" if isinstance(high, float) else f"{name} can't be told"


def spent(reading: Reading) -> tuple[int, int] | None:
    """Trainings and steps at the lengths that are the ladder's own; None where there is none."""
    if "ladder" not in reading.content:
        return None
    trainings, rungs = reading.content["ladder"]["trainings"], reading.content["ladder"]["rungs"]
    epochs = [rung["epochs"] for rung in rungs if rung["trained"]]
    each = trainings // max(1, len(epochs))
    return trainings, each * sum(epochs) * reading.arms[0].arrays.steps_per_epoch


def in_seconds(reading: Reading) -> list[str]:
    """What the speed-ups are in seconds, a sentence each, as far as steps were timed."""
    found = reading.timings.get("speedup", {})
    return [seconds_sentence(v, found[v["candidate"]]) for _, v in reading.pairs if v["candidate"] in found]
