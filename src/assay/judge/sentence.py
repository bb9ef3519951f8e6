"""The sentence: outcome, task, difference with interval and unit, and whatever a reader must not miss."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from assay.core import MOST_PLANNED, Outcome, Protocol, Stages, TaskInfo
from assay.core.verdict import HeldBack
from assay.judge.collapse import FAR
from assay.judge.decide import Interval, by_the_margin
from assay.judge.digits import ceiling, percent, printed, step, times
from assay.judge.edges import Edge
from assay.judge.power import MOST_REPLICATES
from assay.space import Dimension

DEFAULT_SEED = 0


class Shape(NamedTuple):
    """What is besides to be said of the differences' shape in the second edition.

    `collapsed`: replicates with a final run that collapsed, though it didn't diverge. `without`: what the other runs say,
    where there are such. `skewed`: the interval that allows for skewness, where it holds 0 and the one that decides doesn't.
    """

    collapsed: tuple[int, int]
    without: tuple[Interval, Outcome] | None
    skewed: tuple[float, float] | None


@dataclass(frozen=True)
class VerdictFacts:
    """What is to be said of one candidate. Differences are turned (positive is better), in the metric's file units.

    Pairs are (candidate, baseline). `edges` holds (contender, edge, range), `wider` the wider ranges of all contenders.
    """

    task: TaskInfo
    protocol: Protocol
    candidate: str
    baseline: str
    outcome: Outcome
    interval: Interval
    p_superior: float
    candidates: int = 1
    seed: int = DEFAULT_SEED
    gradient_ratio: float | None = None  # gradient evaluations per step, candidate/baseline
    tuned: tuple[int, int] = (1, 1)  # hyperparameters
    diverged: tuple[int, int] = (0, 0)  # final runs
    loser: Literal["candidate", "baseline"] | None = None  # all of its final runs diverged
    survivors: tuple[Interval, Outcome] | None = None
    shape: Shape | None = None  # from the second edition on
    edges: tuple[tuple[str, Edge, Dimension], ...] = ()
    held_back: HeldBack | None = None  # what the interval alone would say, where an edge could explain it
    wider: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    settling_margin: float | None = None
    settling_replicates: int | None = None
    asked: int | None = None  # replicates that the first of two stages asked for; None: more than any number
    same: bool = False  # whether each final run is its twin, to the last bit


def sentence(facts: VerdictFacts) -> str:
    """The decisive sentence first, then what must not be missed, a short sentence each."""
    return " ".join([_decisive(facts), *_follow_ups(facts)])


def amount(number: str, unit: str) -> str:
    """A printed number with its unit, singular for exactly 1."""
    if not unit:
        return number
    return f"{number} {unit.removesuffix('s') if number in ('1', '−1') else unit}"


def counted(number: int, noun: str) -> str:
    """A whole number with its noun: 1 replicate, 12 replicates, 1,000 replicates."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(parts: Sequence[str]) -> str:
    """a, b and c."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1] if parts else ""


def difference_text(mean: float, number: str, digits: int, task: TaskInfo, baseline: str) -> str:
    """How far the candidate lies from the baseline: "0.5 points below adam"; "ahead of" where smaller scores win."""
    if not Decimal(number.replace("−", "-")):  # a float would call 1e-325 zero
        return f"within {amount(step(digits), task.unit)} of {baseline}"
    above, below = ("above", "below") if task.sign > 0 else ("ahead of", "behind")
    return f"{amount(number.removeprefix('−'), task.unit)} {above if mean > 0 else below} {baseline}"


def how_tuned(protocol: Protocol) -> str:
    """Where a contender's settings come from."""
    if carried := protocol.carried:
        return f"as tuned at {carried.at}{'' if carried.factor == 1 else f' (lr × {carried.factor:.3g})'}"
    return f"tuned with {counted(protocol.trials, 'trial')}{f' in {protocol.precision}' if protocol.precision else ''}"


def _decisive(f: VerdictFacts) -> str:
    task, replicates = f.task, counted(f.protocol.replicates, "replicate")
    options = ", ".join(f"{name} {value}" for name, value in task.options.items())
    where = f"{task.name} ({options})" if options else task.name
    who = f"{f.candidate} {how_tuned(f.protocol)}"
    if f.gradient_ratio is not None and f.gradient_ratio != 1:
        who += f" at {times(f.gradient_ratio)} the gradients"
    margin_text = ""
    if math.isfinite(f.interval.mean):
        text = printed(f.interval.mean, f.interval.low, f.interval.high, task.margin, task.scale)
        margin_text = amount(text.margin, task.unit)
        score = f"scores {difference_text(f.interval.mean, text.mean, text.digits, task, f.baseline)}"
    else:
        score = f"has no finite difference from {f.baseline}"
    if not task.generated:
        score += " on this data set"
    if f.interval.exists:
        better = "" if task.sign > 0 else ", positive is better"
        span = f"({_interval_text(f, f.interval)}{better}, {replicates})"
    elif f.protocol.replicates < 2:
        span = f"({replicates}, which gives no interval)"
    else:
        span = f"(no finite interval, {replicates})"
    return f"On {where}, {who} {score} {span}: {_conclusion(f, margin_text)}."


def _conclusion(f: VerdictFacts, margin: str) -> str:
    if f.held_back:
        who = f.candidate if f.held_back == "worse" else f.baseline
        than = "it is worse" if f.held_back == "worse" else f"{f.candidate} is better"
        return f"inconclusive, for the range that {who} was tuned over may be why {than}"
    if f.loser:
        return f"{f.outcome}, because every final run of {getattr(f, f.loser)} diverged"
    sure = f", at {100 * f.interval.level:.4g} % confidence" if f.protocol.second else ""
    if f.outcome == "equivalent":
        return f"equivalent (any difference is smaller than the margin of {margin}{sure})"
    if f.outcome == "negligible":
        return f"negligible (real, but smaller than the margin of {margin}{sure})"
    if f.outcome in ("better", "worse") and by_the_margin(f.interval.low, f.interval.high, f.task.margin):
        return f"{f.outcome}, by at least the margin of {margin}"
    return f.outcome


def _interval_text(f: VerdictFacts, interval: Interval) -> str:
    text = printed(interval.mean, interval.low, interval.high, f.task.margin, f.task.scale)
    return f"{100 * interval.level:.4g} % interval {text.low} to {text.high}"


def _follow_ups(f: VerdictFacts) -> Iterator[str]:
    if math.isfinite(f.p_superior):
        yield _single_runs(f)
    if f.same:
        yield "Each of its final runs is its twin, to the last bit of score and loss, so that the interval has no width."
    if isinstance(f.protocol.stages, Stages):
        yield _two_stages(f, f.protocol.stages)
    if isinstance(f.protocol.looks, tuple):
        planned = ", ".join(map(str, f.protocol.looks))
        number = f.protocol.looks.index(f.protocol.replicates) + 1
        of = f"look {number} of the {len(f.protocol.looks)} that were planned"
        yield f"This is {of}, at {planned} replicates; the level allows for all of them."
    if f.outcome == "inconclusive" and not f.held_back and f.interval.exists and f.settling_margin is not None:
        yield _settling(f, f.settling_margin)
    if any(f.diverged):
        yield _divergence(f)
    if f.survivors is not None and f.survivors[1] != (f.held_back or f.outcome) and f.loser is None:
        yield _survivors(f, *f.survivors)
    if f.shape is not None:
        yield from _shape(f, f.shape)
    for name, edge, dimension in f.edges:
        side, span = "top" if edge.end == "high" else "bottom", str(dimension).partition(":")[0]
        yield (
            f"The {edge.hyperparameter} chosen for {name} lies in the {side} tenth of its range ({span}) in "
            f"{edge.hits} of {counted(edge.replicates, 'replicate')}: a wider range may change this verdict."
        )
    if f.held_back:
        ranges = " ".join(f"--space {who}.{what}={r}" for who, found in f.wider.items() for what, r in found.items())
        yield f"To go on, give all of them the same room and run it again: {ranges}."
    if f.tuned[0] != f.tuned[1]:
        yield f"{f.candidate} tunes {counted(f.tuned[0], 'hyperparameter')}, {f.baseline} {f.tuned[1]}."
    if f.candidates > 1:
        yield f"The level allows for {f.candidates} candidates."
    if f.seed != DEFAULT_SEED:
        yield f"This is the answer for seed {f.seed}, not the default {DEFAULT_SEED}."


def _single_runs(f: VerdictFacts) -> str:
    if f.protocol.second and f.p_superior in (0, 1):
        pairs = counted(f.protocol.replicates * f.protocol.final_seeds, "pair")
        return f"A single run of it beats its {f.baseline} twin in {'all' if f.p_superior else 'none'} of {pairs}."
    return f"A single run of it beats its {f.baseline} twin {percent(f.p_superior)} of the time."


def _shape(f: VerdictFacts, shape: Shape) -> Iterator[str]:
    if shape.skewed is not None:
        text = printed(f.interval.mean, *shape.skewed, f.task.margin, f.task.scale)
        yield (
            f"It rests on skewed differences: an interval that allows for their skewness holds 0 ({text.low} to {text.high})."
        )
    if shape.without is None:
        return
    ours, theirs = (count or "none" for count in shape.collapsed)
    where = f"{ours} of {f.candidate} and {theirs} of {f.baseline}"
    interval, decided = shape.without
    said = f"Of {counted(f.protocol.replicates, 'replicate')} each, {where} have a final run that collapsed (more than "
    said += f"{FAR} margins below the contender's median), which no interval of a mean allows for"
    yield f"{said}; {_scored_among(f, 'without those', interval, decided)}."


def _scored_among(f: VerdictFacts, which: str, interval: Interval, decided: Outcome) -> str:
    """What some of the pairs of runs say by themselves."""
    if not interval.exists:
        return f"{which} it is {decided}, without an interval"
    if interval.low == interval.high:  # all of them are equal, and nothing says how far others would lie apart
        return (
            f"{which}, each scores what its twin does"
            if interval.mean == 0
            else f"{which} it is {decided}, without a spread"
        )
    text = printed(interval.mean, interval.low, interval.high, f.task.margin, f.task.scale)
    score = difference_text(interval.mean, text.mean, text.digits, f.task, f.baseline)
    return f"{which}, {f.candidate} scores {score} ({_interval_text(f, interval)}): {decided}"


def _settling(f: VerdictFacts, settling_margin: float) -> str:
    text = printed(f.interval.mean, f.interval.low, f.interval.high, f.task.margin, f.task.scale)
    wider = amount(ceiling(settling_margin, text.digits, f.task.scale), f.task.unit)
    if isinstance(f.protocol.stages, Stages):
        found = f.settling_replicates
        needed = (
            "no number of replicates would"
            if found is None
            else f"--replicates auto:{found} would"
            if found <= MOST_PLANNED
            else f"{counted(found, 'replicate')} would, and {MOST_PLANNED:,} are the most that can be planned"
        )
    elif f.settling_replicates is None:
        needed = f"more than {counted(MOST_REPLICATES, 'replicate')} would be needed"
    else:
        needed = f"{counted(f.settling_replicates, 'replicate')} at most would settle it with 80 % assurance"
    new = " in a new run (another --seed)" if f.protocol.second else ""
    most = f.protocol.second and f.task.metric == "accuracy" and settling_margin >= 1
    any_margin = "No margin" if most else f"Any margin above {wider}"
    return f"{any_margin} would have settled it; at {amount(text.margin, f.task.unit)}, {needed}{new}."


def _two_stages(f: VerdictFacts, stages: Stages) -> str:
    """How the number of replicates came about, and whether the maximum bound it."""
    made, margin = f.protocol.replicates, amount(f"{f.task.scale * f.task.margin:.6g}", f.task.unit)
    if f.asked is not None and f.asked <= stages.first:
        return f"The spread of the first {stages.first} asked for no more of them."
    asked = "more replicates than any number" if f.asked is None else counted(f.asked, "replicate")
    why = f"The spread of the first {stages.first} asked for {asked}, for an interval no wider than the margin of {margin}"
    bound = f.asked is None or f.asked > made
    return f"{why}; the maximum of {made} bound it." if bound else f"{why}."


def _divergence(f: VerdictFacts) -> str:
    total = f.protocol.replicates * f.protocol.final_seeds
    ours, theirs = (count or "none" for count in f.diverged)
    return (
        f"Of {counted(total, 'final run')} each, {ours} of {f.candidate} and {theirs} of {f.baseline} diverged; "
        "a diverged run scores what the best constant prediction does."
    )


def _survivors(f: VerdictFacts, interval: Interval, outcome: Outcome) -> str:
    return f"Runs that diverged decide this: {_scored_among(f, 'among the pairs that survived', interval, outcome)}."
