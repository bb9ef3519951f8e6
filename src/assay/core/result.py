"""What `result.json` holds, of one task and across several, and its JSON Schema. None, null in the file, can't be given."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from .training import Hyperparameters, Phase
from .verdict import AcrossVerdict, Edge, Outcome, PublishedVerdict, TaskVerdict

ControlKind = Literal["again", "sabotage", "sceptic", "replay"]
Given = Annotated[float, Meta(extra_json_schema={"type": ["number", "null"]})]
"""A number that is NaN where it can't be given, and null in the file."""


class Comparison(Struct, frozen=True, kw_only=True):
    """An entry of the `controls` of `result.json`: `first` − `second`, positive is better, in the metric's unit.

    Numbers that can't be given are NaN, and None in the file, as is `passed` where a control can't fail. The interval is
    at 1 − α each, whatever the number of candidates. `about`: the candidate whose schedule is replayed.
    """

    control: ControlKind
    first: str
    second: str
    difference: Given = math.nan
    ci_low: Given = math.nan
    ci_high: Given = math.nan
    p_value: Given = math.nan
    level: Given = math.nan
    outcome: Outcome | None = None
    passed: bool | None = None
    skipped: str | None = None  # why it was not trained
    differences: list[float] = []  # (K,)
    part: Literal["rule", "schedule"] | UnsetType = UNSET
    about: str | UnsetType = UNSET
    sentence: str = ""


class PilotResult(Struct, frozen=True):
    """What came of a contender's pilot: its trials, and the range of the learning rate that it found, both ends."""

    trials: int
    diverged: int
    lr: tuple[float, float]


class ContenderScores(Struct, frozen=True, kw_only=True):
    """What came of one contender, in short; scores in file units (an accuracy is a share), diverged runs at the floor."""

    hyperparameters: Hyperparameters  # the median chosen value of each, of a choice the commonest
    score_mean: float | None  # over all final runs
    score_sd: float | None  # between replicates
    diverged: int  # of its final runs
    final_runs: int
    diverged_trials: int
    trials: int


class ContenderResult(ContenderScores, frozen=True, kw_only=True):
    """What came of one contender on a task."""

    chosen: list[Hyperparameters]  # (K,) what each replicate chose
    seed_sd: float | None  # between final seeds, within a replicate
    tuning_curve: list[list[float | None]]  # (K, n) test score of the best trial so far, which nobody chose by
    good_range: dict[str, tuple[float, float]]  # where the expected score is within a margin of its best
    fallbacks: dict[str, int]  # members that another engine trained than was planned, by the reason
    note: str
    pilot: PilotResult | UnsetType = UNSET  # where nobody gave a range of its learning rate
    changed: dict[str, int] | UnsetType = UNSET  # members whose code changed something for its process, by what


class Spent(Struct, frozen=True):
    """What a contender's trainings of one phase came to."""

    trainings: int
    allotted_steps: int
    gradient_evaluations: int


class Rung(Struct, frozen=True):
    """The baseline at one length: `factor` times the planned epochs; a mean test score of each replicate (K,)."""

    epochs: int
    factor: float
    trained: bool  # for the ladder; the planned length is the question's own
    scores: list[float]
    edges: list[Edge]  # of the baseline's ranges, that too many replicates chose there


class LadderResult(Struct, frozen=True):
    """What `--speedup` trained beside the question; `curvature` (R − 1,) of the baseline's score over ln(length), by stretch."""

    rungs: list[Rung]
    trainings: int
    curvature: list[Given]


class OneTask(Struct, frozen=True, kw_only=True):
    """What `result.json` of one task holds beside the verdicts, whichever the protocol."""

    contenders: dict[str, ContenderResult]
    ledger: dict[str, dict[Phase, Spent]]  # by contender and phase
    data: dict[str, str]  # the digest of each replicate's data set
    versions: dict[str, str]  # of Python and the libraries that numbers depend on
    unit: str  # of the metric's text
    scale: float  # from file units to that unit: 100 of accuracies
    plan_hash: str
    controls: list[Comparison] | UnsetType = UNSET  # with --controls
    ladder: LadderResult | UnsetType = UNSET  # with --speedup


class TaskResult(OneTask, frozen=True, kw_only=True):
    """`result.json` of one task by the honest protocol."""

    verdicts: list[TaskVerdict]  # one a candidate
    earlier: list[TaskVerdict] | UnsetType = UNSET  # what was seen before replicates were added


class PublishedResult(OneTask, frozen=True, kw_only=True):
    """`result.json` of one task by the published protocol."""

    verdicts: list[PublishedVerdict]


class ContenderOnTask(ContenderScores, frozen=True, kw_only=True):
    """What came of one contender on one task of several; the rest is in that task's own `result.json`."""

    edges: list[Edge]


class TaskOfSeveral(Struct, frozen=True, kw_only=True):
    """One task of several, or one setting of it; `contenders` is empty where it has no verdict."""

    name: str
    source: str  # of its data
    setting: str  # on a stress axis
    metric: str
    unit: str
    scale: float
    margin: float
    replicates: int
    level: float
    contenders: dict[str, ContenderOnTask]
    skipped: dict[str, str]  # contenders that have no part in it, with the reason
    plan_hash: str


class Levels(Struct, frozen=True):
    """At which levels intervals are: those across all tasks, and those of each task."""

    headlines: float
    tasks: float


class AcrossResult(Struct, frozen=True, kw_only=True):
    """`result.json` across several tasks."""

    verdicts: list[AcrossVerdict]  # one a candidate
    tasks: list[TaskOfSeveral]
    levels: Levels
    suite_hash: str


KINDS = (TaskResult, PublishedResult, AcrossResult)


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of `result.json`: one of the three kinds, with no field that isn't named.

    Example:
        >>> from assay.core.result import schema
        >>> [kind["$ref"] for kind in schema()["oneOf"]]
        ['#/$defs/TaskResult', '#/$defs/PublishedResult', '#/$defs/AcrossResult']
    """
    kinds, parts = msgspec.json.schema_components(KINDS, ref_template="#/$defs/{name}")
    for part in parts.values():
        if "properties" in part:
            part["additionalProperties"] = False
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "result.json of an Assay run folder",
        "oneOf": list(kinds),
        "$defs": parts,
    }
