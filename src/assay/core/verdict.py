"""The answer for one candidate, as `result.json` has it. None is what can't be given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

Outcome = Literal["better", "worse", "equivalent", "negligible", "inconclusive"]
HeldBack = Literal["better", "worse"]


class Verdict(Struct, frozen=True, kw_only=True):
    """The answer for one candidate: what one task and several have in common.

    Differences are candidate − baseline, positive is better, in `unit`: the metric's on one task, margins across several.
    """

    candidate: str
    baseline: str
    outcome: Outcome
    sentence: str
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p_value: float | None = None
    unit: str


class Edge(Struct, frozen=True):
    """An end of a hyperparameter's range that too many replicates chose: `hits` of `replicates`."""

    hyperparameter: str
    end: Literal["low", "high"]
    hits: int
    replicates: int


class Collapsed(Struct, frozen=True):
    """Replicates in which a final run collapsed, far below the contender's others, without diverging; the interval is of their
    share."""

    replicates: int
    of: int
    low: float
    high: float


class ContenderFacts(Struct, frozen=True, kw_only=True):
    """One contender by itself. Scores in file units, not turned; the winner's curse, score promised less score kept, turned."""

    name: str
    score_mean: float
    score_sd: float | None  # between replicates
    diverged_final: float  # a fraction of its final runs
    diverged_tune: float  # of its trials
    winners_curse_validation: float
    winners_curse_test: float
    gradients_per_step: float | None
    tuned: int  # hyperparameters
    edges: list[Edge]
    collapsed: Collapsed | UnsetType = UNSET  # from the second edition on


class Survivors(Struct, frozen=True):
    """The difference over the pairs of runs that both survived, or did not collapse, in the `replicates` that have any."""

    difference: float | None
    ci_low: float | None
    ci_high: float | None
    outcome: Outcome
    replicates: int


class Stability(Struct, frozen=True):
    """Spreads over the final seeds, in the scores' unit, and their ratio candidate/baseline with its interval.

    `reason` says why something can't be given.
    """

    candidate_sd: list[float | None]  # (K,)
    baseline_sd: list[float | None]
    candidate_pooled: float | None  # √ of the mean variance
    baseline_pooled: float | None
    ratio: float | None
    low: float | None
    high: float | None
    reason: str | None


class Chance(Struct, frozen=True, kw_only=True):
    """A probability with its interval, which belongs to `level`; `p_value` is that of ½."""

    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None
    sd: float | None
    se: float | None
    level: float


class ToTarget(Struct, frozen=True, kw_only=True):
    """Steps, or epochs, to a target score (file units), over all final runs of each.

    Medians count a run that misses it as infinite, and are then None in the file.
    """

    target: float
    candidate_median: float | None
    baseline_median: float | None
    candidate_reached: float  # fraction of its runs
    baseline_reached: float


class Speed(ToTarget, frozen=True, kw_only=True):
    """Epochs to a target; two misses tie."""

    faster: Chance  # P(candidate is faster)


class SpeedUp(Struct, frozen=True, kw_only=True):
    """What is known beside a speed-up; budgets in multiples of the planned one.

    `pieces`: stretches of the baseline's budgets that are worth as much as the candidate's. `shortest`, `longest`: that were
    tried. `ahead`: the candidate's mean is above the baseline's at each of them, or below. `longer_helps`: the first longer
    budget is better for the baseline than the planned one.
    """

    pieces: list[tuple[float, float]]
    shortest: float
    longest: float
    ahead: bool | None
    longer_helps: bool | None


class Earlier(Struct, frozen=True):
    """A verdict that was seen before more replicates were added."""

    replicates: int
    outcome: Outcome
    difference: float | None
    ci_low: float | None
    ci_high: float | None


class Details(Struct, frozen=True, kw_only=True):
    """Second opinions and descriptive figures of one task's verdict; none of them decides."""

    candidate: ContenderFacts
    baseline: ContenderFacts
    differences: list[float]  # (K,) mean over the final seeds in each replicate
    level: float  # of the interval: 1 − α/c
    candidates: int  # c
    by_the_margin: bool  # better or worse by at least the margin
    sd: float | None  # of the differences
    se: float | None
    test_fraction: float | None  # n_test/n_train, where the data is fixed
    p_superior_low: float | None
    p_superior_high: float | None
    sign_flip_p: float | None
    bca_low: float | UnsetType | None = UNSET  # of the first edition
    bca_high: float | UnsetType | None = UNSET
    hall_low: float | UnsetType | None = UNSET  # in its place from the second on
    hall_high: float | UnsetType | None = UNSET
    overlapping_low: float | UnsetType | None = UNSET  # beyond this data set, where it is fixed; from the second on
    overlapping_high: float | UnsetType | None = UNSET
    holm_p: float | None
    settling_margin: float | None  # any larger one would have settled it
    settling_replicates: int | None  # so many would have, with 80 % assurance; None: more than can be said
    replicates_asked: int | UnsetType | None = UNSET  # by the first of two stages
    all_diverged: Literal["candidate", "baseline"] | None
    survivors: Survivors | None  # where some diverged
    without_collapses: Survivors | UnsetType = UNSET  # where some collapsed; from the second edition on
    gradient_ratio: float | None  # gradient evaluations for each step, candidate/baseline
    stability: Stability
    wider: dict[str, dict[str, str]]  # ranges that should be wider, by contender and hyperparameter
    held_back: HeldBack | UnsetType = UNSET  # what the interval alone would say, where an edge could explain it
    speedup: SpeedUp | UnsetType = UNSET  # `ladder.judged` adds it where a ladder was asked for
    speed: Speed | UnsetType | None = UNSET  # the judge sees no curves: `answer.result` adds it
    exploratory: bool | UnsetType = UNSET
    earlier: list[Earlier] | UnsetType = UNSET


class TaskVerdict(Verdict, frozen=True, kw_only=True):
    """The honest protocol's answer on one task."""

    task: str
    p_superior: float | None  # P(a single run of the candidate beats its twin)
    margin: float
    replicates: int
    published_conclusion: None = None
    speedup: float | UnsetType | None = UNSET  # of the baseline's steps, where a ladder was asked for (`judge.speedup`)
    speedup_low: float | UnsetType | None = UNSET  # None: open
    speedup_high: float | UnsetType | None = UNSET
    details: Details


class PublishedVerdict(Verdict, frozen=True, kw_only=True):
    """The published protocol's conclusion on one task: it never decides more than inconclusive, and has no interval."""

    task: str
    p_superior: None = None
    margin: float
    replicates: int
    published_conclusion: Literal["supported", "not supported"]
    details: dict[str, str] = {}  # none


class Cell(Struct, frozen=True, kw_only=True):
    """A candidate on one task of several: difference and interval in margins, the margin in the metric's unit."""

    task: str
    source: str  # of its data
    margin: float
    outcome: Outcome | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    why: str = ""  # there is no outcome
    speedup: float | UnsetType | None = UNSET  # as on the task alone, where a ladder was asked for
    speedup_low: float | UnsetType | None = UNSET
    speedup_high: float | UnsetType | None = UNSET
    steps: ToTarget | UnsetType | None = UNSET  # None without a target


class Flip(Struct, frozen=True):
    """Two settings of one task on which a candidate is on opposite sides of the baseline."""

    task: str
    better: str
    worse: str


class Descriptive(Struct, frozen=True, kw_only=True):
    """Figures across tasks that decide nothing (`judge.across`); intervals are pairs of ends at 95 %."""

    interquartile_mean: float | None  # margins
    interquartile_mean_interval: tuple[float | None, float | None]
    improvement: float | None  # P(a run of the candidate beats one of the baseline), tasks averaged
    improvement_interval: tuple[float | None, float | None]
    thresholds: list[float]  # (P,) margins
    profile: list[float]  # (P,) the candidate's share of runs above each
    baseline_profile: list[float]


class Alike(Struct, frozen=True):
    """What is said of tasks like these, from the second edition on: by the interval over data sources."""

    ci_low: float | None
    ci_high: float | None
    outcome: Outcome


class AcrossDetails(Struct, frozen=True, kw_only=True):
    """What is known beside a verdict across tasks; only `holm_p` where the candidate has a verdict on none of them."""

    holm_p: float | None = None
    level: float | UnsetType = UNSET
    sources: dict[str, float] | UnsetType = UNSET  # mean difference in margins by data source
    flips: list[Flip] | UnsetType = UNSET
    descriptive: Descriptive | UnsetType = UNSET
    held_back: HeldBack | UnsetType = UNSET  # as on one task
    held_back_by: list[str] | UnsetType = UNSET  # the tasks whose ranges could explain it
    alike: Alike | UnsetType = UNSET  # where these tasks decide


class Scale(Struct, frozen=True, kw_only=True):
    """How a candidate's advantage goes with a size: its `values` at each with their ends, and the slope over ln size with its.

    Of the difference in margins, or of the logarithm of the speed-up; `values` are then factors.
    """

    axis: str
    sizes: list[float]
    of: Literal["speedup", "difference"]
    values: list[float]
    lows: list[float | None]
    highs: list[float | None]
    slope: float
    low: float | None
    high: float | None


class AcrossVerdict(Verdict, frozen=True, kw_only=True):
    """The answer across several tasks, in margins."""

    speedup: float | UnsetType | None = (
        UNSET  # of the baseline's steps, the geometric mean over the tasks, with ladders
    )
    speedup_low: float | UnsetType | None = UNSET
    speedup_high: float | UnsetType | None = UNSET
    speedup_tasks: list[str] | UnsetType = UNSET  # of which it is the mean
    scale: Scale | UnsetType = UNSET  # where the runs are one task at several sizes
    holds_on: list[str]  # the tasks whose own outcome agrees
    tasks: list[Cell]
    details: AcrossDetails


def verdicts_of(content: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts of a `result.json`, of one task or across several, one a candidate."""
    return [_read(v) for v in content["verdicts"]]


def _read(found: Mapping[str, Any]) -> Verdict:
    if "tasks" in found:
        return msgspec.convert(found, AcrossVerdict)
    return msgspec.convert(found, PublishedVerdict if found["published_conclusion"] else TaskVerdict)
