"""The figures of the tuning: pilots, every trial with what was read out of them, and what more of them buy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from assay.judge.digits import percent
from assay.judge.divergence import floored
from assay.judge.process import Process
from assay.judge.sentence import listed
from assay.report.figures import Card, Series, data, lines
from assay.report.figures.scores import Fitted, Panel, Trials, scores
from assay.report.reading import Reading
from assay.report.units import number, settings
from assay.space import Choice, Dimension, Float

MOST_PANELS = 4
POINTS = 121  # of a curve


def pilots(reading: Reading) -> list[Card]:
    """The figure of the pilots, where there were any: how the ranges were found that nobody gave."""
    found = [(arm, arm.came["pilot"], reading.pilots[arm.slot]) for arm in reading.arms if "pilot" in arm.came]
    if not found:
        return []
    scale = reading.units.scale
    drawn, tried = [], []
    for arm, came, study in found:
        rates = [float(values["lr"]) for values in study.hyperparameters]
        column = list(study.space).index("lr")
        best = study.process.maximum()
        drawn.append(
            Trials(
                arm.slot,
                arm.name,
                arm.look,
                rates,
                scale * study.validation,
                [study.choice["lr"]],
                study.sign * scale * study.process.mean(best[None]),
                tuple(came["lr"]),
                _along(study.space["lr"], column, [study.process], study.sign * scale),
            )
        )
        tried.append(Float(min(rates), max(rates), log=True))
    ranges = listed([f"{number(came['lr'][0])} to {number(came['lr'][1])} for {arm.name}" for arm, came, _ in found])
    panels = [Panel("lr", union(tried), drawn)]
    card = Card(
        "pilot",
        "How the ranges were found",
        f"Nobody gave a range, so each contender had trials on data that no replicate uses. Lines are what a Gaussian process "
        f"makes of them, with two standard deviations to each side; it takes trials below the median for no worse than that. "
        f"The range is three quarters of a decade to each side of its maximum (bars at the top): lr in {ranges}.",
        scores(panels, f"validation {reading.units.axis}"),
        data.trials(panels, f"validation {reading.units.axis}"),
    )
    return [card]


def _along(dimension: Dimension, column: int, processes: Sequence[Process], scale: float) -> Fitted | None:
    """What processes say along one hyperparameter, the others where each has its maximum; None along options.

    The band of one is what it isn't sure of, two standard deviations to each side; of several, the middle 80 % of them.
    """
    if isinstance(dimension, Choice) or not processes:
        return None
    ends = [p.positions[:, column] for p in processes]
    units = np.linspace(min(e.min() for e in ends), max(e.max() for e in ends), POINTS)
    means, sds = np.empty((len(processes), POINTS)), np.empty((len(processes), POINTS))
    for mean, sd, process in zip(means, sds, processes, strict=True):
        places = np.tile(process.maximum(), (POINTS, 1))
        places[:, column] = units
        mean[:], sd[:] = scale * process.mean(places), abs(scale) * process.sd(places)
    values = np.array([dimension.from_unit(u) for u in units], dtype=float)
    if len(processes) == 1:
        return Fitted(values, means[0], means[0] - 2 * sds[0], means[0] + 2 * sds[0])
    return Fitted(values, *lines.band(means))


def trials(reading: Reading) -> Card:
    """The figure of every trial."""
    published = reading.plan.science.protocol.name == "published"
    panels, axis = _panels(reading), f"{'tuning' if published else 'validation'} {reading.units.axis}"
    picked = listed([f"{settings(arm.came['hyperparameters'])} for {arm.name}" for arm in reading.arms])
    return Card(
        "score_by_lr",
        "Every trial of the tuning" if published else "Every trial of every replicate",
        f"The ringed trials were chosen: {picked}. A peak well inside the range is a tuning one can trust; a curve that "
        "still climbs at an edge is not."
        if published
        else f"{_widths(reading)}{_diverged(reading)}. The broader the top, the less the tuning matters; rings are what "
        f"each replicate chose{_of_processes(reading)}. A number beside a ring: so many replicates' rings "
        "would lie on each other there.",
        scores(panels, axis),
        data.trials(panels, axis),
    )


def _of_processes(reading: Reading) -> str:
    """How it chose, where a process did."""
    if not any(arm.processes for arm in reading.arms):
        return ""
    return (
        ", at the score that it was to expect there: lines are what the replicates' Gaussian processes make of their trials, in "
        "the mean, with a band that holds 80 % of them; they take trials below the median for no worse than that"
    )


def _diverged(reading: Reading) -> str:
    said = [
        f"{arm.name} in {percent(facts['diverged_tune'])} of its trials (crosses at the foot)"
        for arm, facts in reading.facts
        if facts["diverged_tune"]
    ]
    return f"Diverged: {listed(said)}" if said else "No trial diverged"


def _widths(reading: Reading) -> str:
    """How wide each contender's good range is: decades of the first hyperparameter that it is known for."""
    said = []
    for arm in reading.arms:
        known = ((name, arm.good_range(name)) for name, d in arm.info.space.items() if getattr(d, "log", False))
        name, good = next(((name, good) for name, good in known if good), ("", None))
        if good:
            said.append(f"{math.log10(good[1] / good[0]):.1f} decades of {name} for {arm.name}")
    return f"As good as the best over {listed(said)} (bars at the top). " if said else ""


def _panels(reading: Reading) -> list[Panel]:
    """A panel a hyperparameter: those that most contenders tune first, four at most, else in the plan's order."""
    names = list(dict.fromkeys(name for arm in reading.arms for name in arm.info.space))
    names.sort(key=lambda name: -sum(name in arm.info.space for arm in reading.arms))
    found = []
    scale, sign = reading.units.scale, reading.plan.science.task.sign
    for name in names[:MOST_PANELS]:
        tuning = [arm for arm in reading.arms if name in arm.info.space]
        trials = [
            Trials(
                arm.slot,
                arm.name,
                arm.look,
                [trial[name] for trial in arm.trials],
                scale * arm.trial_scores,
                [choice[name] for choice in arm.came["chosen"]],
                scale * arm.promised,
                arm.good_range(name),
                _along(arm.info.space[name], list(arm.info.space).index(name), arm.processes, sign * scale),
            )
            for arm in tuning
        ]
        found.append(Panel(name, union([arm.info.space[name] for arm in tuning]), trials))
    return found


def union(dimensions: Sequence[Dimension]) -> Dimension:
    """The range that holds all of these; logarithmic if one of them is and all are above 0."""
    if choices := [d for d in dimensions if isinstance(d, Choice)]:
        return Choice(tuple(dict.fromkeys(option for d in choices for option in d.options)))
    ranges = [d for d in dimensions if not isinstance(d, Choice)]
    low, high = min(d.low for d in ranges), max(d.high for d in ranges)
    if all(isinstance(d, Float) and d.near_one for d in ranges):
        return Float(low, high, scale="1-log")
    return Float(low, high, log=low > 0 and any(d.log for d in ranges))


def incumbents(reading: Reading) -> Card:
    """The figure of what more trials buy."""
    scale, floors = reading.units.scale, reading.arrays.floors("test_floor")
    curves = [floored(np.array(arm.came["tuning_curve"], dtype=float), floors) for arm in reading.arms]
    series = [Series(arm.name, arm.look, scale * c) for arm, c in zip(reading.arms, curves, strict=True)]
    return Card(
        "tuning_curve",
        "What more trials buy",
        "The test score of the trial that would be chosen so far, mean and band over the replicates: once flat, more "
        "tuning buys nothing.",
        lines.learning(series, f"test {reading.units.axis} of the incumbent", "trial"),
        data.curves(series, "trial", f"test {reading.units.axis}"),
    )
