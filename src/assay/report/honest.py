"""The figures of an honest run, each with what to see in it. Numbers come from the judge; nothing is computed here."""

from __future__ import annotations

import math

import numpy as np

from assay.judge import speed
from assay.judge.digits import percent, times
from assay.judge.divergence import floored
from assay.report import controls
from assay.report.figures import Card, Series, lines
from assay.report.figures.rows import strips
from assay.report.figures.scores import scores
from assay.report.norms import norms
from assay.report.panels import panels
from assay.report.reading import Arm, Reading
from assay.report.units import interval, listed


def cards(reading: Reading) -> list[Card]:
    """Every figure that this run has something to show in."""
    found = [
        _differences(reading),
        _learning(reading),
        _scores(reading),
        _tuning(reading),
        _speed(reading),
        _stability(reading),
        norms(reading),
        _curse(reading),
        controls.card(reading),
    ]
    return [card for card in found if card is not None]


def _differences(reading: Reading) -> Card:
    scale, task = reading.units.scale, reading.plan.science.task
    rows = [
        Series(
            f"{arm.name} − {v['baseline']}",
            arm.look,
            scale * np.array(v["details"]["differences"], dtype=float),
            _scaled(v["difference"], scale),
            interval(v, scale),
        )
        for arm, v in reading.pairs
    ]
    ahead = [
        f"{arm.name} {'is ahead in ' if place == 0 else ''}{sum((d or 0) > 0 for d in v['details']['differences'])}"
        for place, (arm, v) in enumerate(reading.pairs)
    ]
    bar = "the bar below the dots is the interval that decides"
    alone = "one replicate has no interval, so nothing is decided"
    return Card(
        "differences",
        "Difference in each replicate",
        f"{listed(ahead)} of {reading.plan.science.protocol.replicates} replicates. Right of the line is better; "
        f"{bar if rows[0].interval else alone}, and differences inside the grey band don't matter.",
        strips(rows, f"difference in {task.metric} ({task.unit})", zero=True, margin=scale * task.margin),
    )


def _learning(reading: Reading) -> Card:
    scale = reading.units.scale
    series = [Series(arm.name, arm.look, scale * _flat(arm.scores("test"))) for arm in reading.arms]
    return Card(
        "comparison_plot",
        f"Test {reading.units.metric} of the final runs",
        "Lines are means over replicates and seeds, and 80 % of the runs stay within the bands: where bands overlap "
        "this much, a single run proves little." if _overlap(series) else
        "Lines are means over replicates and seeds, and 80 % of the runs stay within the bands: they end apart.",
        lines.learning(series, f"test {reading.units.axis}"),
    )  # fmt: skip


def _overlap(series: list[Series]) -> bool:
    """Whether any candidate's band meets the baseline's at the end."""
    ends = [[side[-1] for side in lines.band(s.values)[1:]] for s in series]
    return any(low <= ends[0][1] and high >= ends[0][0] for low, high in ends[1:])


def _scores(reading: Reading) -> Card:
    said = [
        f"{arm.name} in {percent(facts['diverged_tune'])} of its trials (crosses at the foot)"
        for arm, facts in reading.facts
        if facts["diverged_tune"]
    ]
    return Card(
        "score_by_lr",
        "Every trial of every replicate",
        f"{_widths(reading)}{f'Diverged: {listed(said)}' if said else 'No trial diverged'}. The broader the top, the "
        "less the tuning matters; rings are what each replicate chose.",
        scores(panels(reading), f"validation {reading.units.axis}"),
    )


def _widths(reading: Reading) -> str:
    """How wide each contender's good range is: decades of the first hyperparameter that it is known for."""
    said = []
    for arm in reading.arms:
        known = ((name, d, arm.good_range(name)) for name, d in arm.info.space.items())
        name, good = next(((n, g) for n, d, g in known if g is not None and getattr(d, "log", False)), ("", None))
        if good is not None:
            said.append(f"{math.log10(good[1] / good[0]):.1f} decades of {name} for {arm.name}")
    return f"As good as the best over {listed(said)} (bars at the top). " if said else ""


def _tuning(reading: Reading) -> Card:
    floors = reading.findings.floors("test_floor")
    curves = [floored(np.array(arm.came["tuning_curve"], dtype=float), floors) for arm in reading.arms]
    series = [Series(a.name, a.look, reading.units.scale * c) for a, c in zip(reading.arms, curves, strict=True)]
    return Card(
        "tuning_curve",
        "What more trials buy",
        "The test score of the trial that would be chosen so far, mean and band over the replicates: once flat, more "
        "tuning buys nothing.",
        lines.learning(series, f"test {reading.units.axis} of the incumbent", "trial"),
    )


def _speed(reading: Reading) -> Card | None:
    known = [(arm, s) for arm, v in reading.pairs if (s := v["details"].get("speed")) is not None]
    if not known:
        return None
    task = reading.plan.science.task
    target = known[0][1]["target"]
    arrivals = [
        Series(
            arm.name,
            arm.look,
            speed.epochs_to(task.sign * reading.findings.curves(arm.slot, "validation"), task.sign * target).ravel(),
        )
        for arm in reading.arms
    ]
    base = reading.arms[0].name
    said = [
        f"{arm.name} needs {_epochs(s['candidate_median'])}, {base} {_epochs(s['baseline_median'])}, and it is the "
        f"faster one {percent(s['faster']['mean'])} of the time"
        for arm, s in known
    ]
    return Card(
        "speed",
        "Epochs to the target",
        f"To get to {reading.units.score(target)} on the validation split (the baseline's median less one margin), "
        f"in the median {'; '.join(said)}.",
        lines.reach(arrivals, task.epochs),
    )


def _epochs(median: float | None) -> str:
    return "more than all epochs" if median is None else f"{median:g} epochs"


def _stability(reading: Reading) -> Card | None:
    scale = reading.units.scale
    found = [(arm, v["details"]["stability"]) for arm, v in reading.pairs]
    sds = {reading.arms[0].slot: (found[0][1]["baseline_sd"], found[0][1]["baseline_pooled"])}
    sds |= {arm.slot: (s["candidate_sd"], s["candidate_pooled"]) for arm, s in found}
    if all(pooled is None for _, pooled in sds.values()):
        return None
    rows = [
        Series(arm.name, arm.look, scale * np.array(sds[arm.slot][0], dtype=float), _scaled(sds[arm.slot][1], scale))
        for arm in reading.arms
    ]
    base, level = reading.arms[0].name, 100 * reading.content["verdicts"][0]["details"]["level"]
    said = [
        f"between seeds {arm.name} spreads {times(s['ratio'])} as much as {base}"
        + ("" if s["low"] is None else f" ({level:.4g} % interval {s['low']:.2f} to {s['high']:.2f})")
        if s["ratio"] is not None
        else f"no ratio to {base} for {arm.name}: {s['reason']}"
        for arm, s in found
    ]
    return Card(
        "stability",
        "Spread between seeds",
        f"A dot a replicate, far left is steady: {'; '.join(said)}.",
        strips(rows, f"standard deviation over final seeds ({reading.units.unit})", zero=False),
    )


def _curse(reading: Reading) -> Card:
    scale, sign = reading.units.scale, reading.plan.science.task.sign
    curses = [(arm, facts["winners_curse_validation"]) for arm, facts in reading.facts]
    rows = [Series(arm.name, arm.look, scale * sign * lost(arm), scale * curse) for arm, curse in curses]
    said = [
        f"{reading.units.difference(abs(curse))} {'less' if curse >= 0 else 'more'} ({arm.name})"
        for arm, curse in curses
    ]
    return Card(
        "winners_curse",
        "The winner's curse",
        f"Trained again with fresh seeds, the chosen settings score {listed(said)} than they did in tuning: whoever "
        "reports the best trial's own score reports its luck, too.",
        strips(rows, f"tuning score − fresh score ({reading.units.unit})", zero=True),
    )


def lost(arm: Arm) -> np.ndarray:
    """The chosen trial's validation score less that of the final runs, for each replicate (K,), file units."""
    trials = floored(arm.trial_scores[arm.chosen], arm.findings.floors("validation_floor"))
    return trials - arm.scores("validation")[:, :, -1].mean(axis=1)


def _flat(by_replicate: np.ndarray) -> np.ndarray:
    """(K, r, E) → (K·r, E)."""
    return by_replicate.reshape(-1, by_replicate.shape[-1])


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else scale * value
