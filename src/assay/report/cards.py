"""The figures of a run, each with what to see in it. Tests and intervals come from the judge; here are means and ratios."""

from __future__ import annotations

import numpy as np

from assay.judge import speed
from assay.judge.digits import percent, times
from assay.judge.divergence import floored
from assay.judge.sentence import listed
from assay.report import controls, ladder, tuning
from assay.report.figures import Card, Series, compared, data, lines
from assay.report.figures.rows import strips
from assay.report.reading import Arm, Reading
from assay.report.units import number, settings


def cards(reading: Reading) -> list[Card]:
    """Every figure that this run has something to show in."""
    if reading.plan.science.protocol.name == "published":
        return [_single(reading), _training_loss(reading), tuning.trials(reading), _norms(reading)]
    found = [
        _differences(reading),
        _learning(reading),
        _training_loss(reading),
        *tuning.pilots(reading),
        tuning.trials(reading),
        tuning.incumbents(reading),
        _ladder(reading) or _speed(reading),
        _stability(reading),
        _norms(reading),
        _curse(reading),
        controls.card(reading),
    ]
    return [card for card in found if card is not None]


def _differences(reading: Reading) -> Card:
    scale, task = reading.units.scale, reading.plan.science.task
    rows = [
        compared(f"{arm.name} − {v['baseline']}", arm.look, v["details"]["differences"], v, scale)
        for arm, v in reading.pairs
    ]
    ahead = [
        f"{arm.name} {'is ahead in ' if place == 0 else ''}{sum((d or 0) > 0 for d in v['details']['differences'])}"
        for place, (arm, v) in enumerate(reading.pairs)
    ]
    axis = reading.units.of(f"difference in {task.metric}")
    bar = "the bar below the dots is the interval that decides"
    alone = "one replicate has no interval, so nothing is decided"
    return Card(
        "differences",
        "Difference in each replicate",
        f"{listed(ahead)} of {reading.plan.science.protocol.replicates} replicates. Right of the line is better; "
        f"{bar if rows[0].interval else alone}, and differences inside the grey band don't matter.",
        strips(rows, axis, zero=True, margin=scale * task.margin),
        data.marked(rows, "replicate", axis),
    )


def _learning(reading: Reading) -> Card:
    scale, epochs = reading.units.scale, reading.plan.science.task.epochs
    series = [Series(arm.name, arm.look, scale * arm.scores("test").reshape(-1, epochs)) for arm in reading.arms]
    ends = [[side[-1] for side in lines.band(s.values)[1:]] for s in series]
    overlap = any(low <= ends[0][1] and high >= ends[0][0] for low, high in ends[1:])
    return Card(
        "comparison_plot",
        f"Test {reading.units.metric} of the final runs",
        "Lines are means over replicates and seeds, and 80 % of the runs stay within the bands: "
        + ("where bands overlap this much, a single run proves little." if overlap else "they end apart."),
        lines.learning(series, f"test {reading.units.axis}"),
        data.curves(series, "epoch", f"test {reading.units.axis}"),
    )


def _single(reading: Reading) -> Card:
    """The final runs of the published protocol, one of each contender."""
    units = reading.units
    series = [
        Series(f"{arm.name} ({settings(arm.came['hyperparameters'])})", arm.look, units.scale * arm.curves("test"))
        for arm in reading.arms
    ]
    ends = [
        f"{v['candidate']} ends {units.difference(abs(v['difference']))} "
        f"{'ahead of' if v['difference'] >= 0 else 'behind'} {v['baseline']}"
        if v["difference"] is not None
        else f"{v['candidate']} and {v['baseline']} can't be compared: a final run diverged"
        for _, v in reading.pairs
    ]
    return Card(
        "comparison_plot",
        f"Test {units.metric} of the final runs",
        f"{'; '.join(ends)}. Each line is a single run: look at the shapes, not at the gap.",
        lines.learning(series, f"test {units.axis}"),
        data.curves(series, "epoch", f"test {units.axis}"),
    )


def _training_loss(reading: Reading) -> Card:
    series = [Series(arm.name, arm.look, arm.curves("train_loss")) for arm in reading.arms]
    logarithmic = not any((s.values <= 0).any() for s in series)  # NaN, from a divergence on, is neither
    ends = [f"{s.label} ends at {number(_end(s.values, logarithmic))}" for s in series]
    return Card(
        "training_loss",
        "Training loss of the final runs",
        f"The mean over each epoch's batches, in the units of the task's loss: {'; '.join(ends)}. Whoever is lower here and not "
        "on the test set has fitted the training set better, and no more than that.",
        lines.learning(series, "training loss", logarithmic=logarithmic),
        data.curves(series, "epoch", "training loss"),
    )


def _end(values: np.ndarray, logarithmic: bool) -> float | None:
    """The last value of the mean curve, None where no run lived to see it."""
    last = lines.band(values, logarithmic)[0][-1]
    return float(last) if np.isfinite(last) else None


def _speed(reading: Reading) -> Card | None:
    known = [(arm, s) for arm, v in reading.pairs if (s := v["details"].get("speed")) is not None]
    if not known:
        return None
    task, target = reading.plan.science.task, known[0][1]["target"]
    arrivals = []
    for arm in reading.arms:
        turned = task.sign * reading.arrays.curves(arm.slot, "validation")
        arrivals.append(Series(arm.name, arm.look, speed.epochs_to(turned, task.sign * target).ravel()))
    base = reading.arms[0].name

    def epochs(median: float | None) -> str:
        return "more than all epochs" if median is None else f"{median:g} epochs"

    said = [
        f"{arm.name} needs {epochs(s['candidate_median'])}, {base} {epochs(s['baseline_median'])}, and it is the "
        f"faster one {percent(s['faster']['mean'])} of the time"
        for arm, s in known
    ]
    return Card(
        "speed",
        "Epochs to the target",
        f"To get to {reading.units.score(target)} on the validation split (the baseline's median less one margin), "
        f"in the median {'; '.join(said)}. A first crossing favours whoever's curve is noisy, and nobody was tuned for it: "
        "--speedup asks how many steps it is worth.",
        lines.reach(arrivals, task.epochs),
        data.arrivals(arrivals, "epochs to the target"),
    )


def _ladder(reading: Reading) -> Card | None:
    """The figure of the ladder with the scores that it is drawn of."""
    card = ladder.card(reading)
    if card is None:
        return None
    axis, base = f"test {reading.units.axis}", reading.arms[0].name
    known = [(base, rung["factor"], rung["scores"]) for rung in reading.content["ladder"]["rungs"]]
    known += [(arm.name, 1.0, arm.scores("test")[:, :, -1].mean(axis=1)) for arm, _ in reading.pairs]
    rows = [
        {"contender": name, "length": factor, "replicate": k, axis: reading.units.scale * score}
        for name, factor, scores in known
        for k, score in enumerate(scores)
    ]
    return card._replace(data=rows)


def _stability(reading: Reading) -> Card | None:
    scale = reading.units.scale
    found = [(arm, v["details"]["stability"]) for arm, v in reading.pairs]
    base, first = reading.arms[0], found[0][1]
    spreads = [(base, first["baseline_sd"], first["baseline_pooled"])]
    spreads += [(arm, s["candidate_sd"], s["candidate_pooled"]) for arm, s in found]
    if all(pooled is None for _, _, pooled in spreads):
        return None
    rows = [
        Series(arm.name, arm.look, scale * np.array(each, dtype=float), None if pooled is None else scale * pooled)
        for arm, each, pooled in spreads
    ]
    axis = reading.units.of("standard deviation over final seeds")
    level = 100 * reading.content["verdicts"][0]["details"]["level"]
    said = [
        f"between seeds {arm.name} spreads {times(s['ratio'])} as much as {base.name}"
        + ("" if s["low"] is None else f" ({level:.4g} % interval {s['low']:.2f} to {s['high']:.2f})")
        if s["ratio"] is not None
        else f"no ratio to {base.name} for {arm.name}: {s['reason']}"
        for arm, s in found
    ]
    return Card(
        "stability",
        "Spread between seeds",
        f"A dot a replicate, far left is steady: {'; '.join(said)}.",
        strips(rows, axis, zero=False),
        data.marked(rows, "replicate", axis),
    )


def _norms(reading: Reading) -> Card:
    """Gradient and update norms of the final runs, by epoch."""
    gradient, update = (
        [Series(arm.name, arm.look, arm.curves(name)) for arm in reading.arms] for name in ("grad_norm", "update_norm")
    )
    said = [
        f"{g.label}'s gradients {_change(g.values)} and its updates {_change(u.values)}"
        for g, u in zip(gradient, update, strict=True)
    ]
    return Card(
        "norms",
        "Gradient norm and update norm",
        f"From the first epoch to the last {'; '.join(said)}.",
        lines.norms(gradient, update),
        [
            {**one, "update norm": other["update norm"]}
            for one, other in zip(
                data.curves(gradient, "epoch", "gradient norm"),
                data.curves(update, "epoch", "update norm"),
                strict=True,
            )
        ],
    )


def _change(values: np.ndarray) -> str:
    """How the mean curve's last value compares with its first."""
    mean = lines.band(values, logarithmic=True)[0]
    alive = mean[np.isfinite(mean)]
    if len(alive) < 2:
        return "can't be followed"
    factor = alive[-1] / alive[0]
    if factor >= 2:
        return f"grow {factor:.1f}-fold"
    share = f"{100 * factor:.0f}"
    return "keep their size" if share == "100" else f"{'grow' if factor > 1 else 'shrink'} to {share} %"


def _curse(reading: Reading) -> Card:
    units, sign = reading.units, reading.plan.science.task.sign
    curses = [(arm, facts["winners_curse_validation"]) for arm, facts in reading.facts]
    rows = [Series(arm.name, arm.look, units.scale * sign * _lost(arm), units.scale * curse) for arm, curse in curses]
    axis = units.of("tuning score − fresh score")
    said = [f"{units.difference(abs(curse))} {'less' if curse >= 0 else 'more'} ({arm.name})" for arm, curse in curses]
    return Card(
        "winners_curse",
        "The winner's curse",
        f"Trained again with fresh seeds, the chosen settings score {listed(said)} than they did in tuning: whoever "
        "reports the best trial's own score reports its luck, too.",
        strips(rows, axis, zero=True),
        data.marked(rows, "replicate", axis),
    )


def _lost(arm: Arm) -> np.ndarray:
    """The choice's validation score in tuning less that of the final runs, for each replicate (K,), file units."""
    trials = floored(arm.promised, arm.arrays.floors("validation_floor"))
    return trials - arm.scores("validation")[:, :, -1].mean(axis=1)
