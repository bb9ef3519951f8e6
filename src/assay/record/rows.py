"""What a member's row can be under a plan: counts within it, curves over its epochs, hyperparameters of its ranges."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import polars as pl

from assay.core import PHASES, PILOT, ContenderInfo, Hyperparameters, Plan, Stages, called, canonical
from assay.record.chunks import CURVES
from assay.space import Float, Space, holds

PLACE = ["slot", "phase", "replicate", "index"]
FURTHEST = 1e5  # a pilot goes on two decades twice, and a range is found around where it was
NORMS = ("grad_norm", "update_norm")
GREATEST = 3.5e38  # what is scored and lost, in numbers that have no more than float32's range
SHARE = 100.0  # the scale of an accuracy that is a share of the samples
LARGEST = 2**53  # samples, of which no more can be counted exactly


def impossible(frame: pl.DataFrame, plan: Plan, trials: int, finals: int, *, more: bool = False) -> str | None:
    """What no member of this plan could be, in words, with the row; None where all could.

    Args:
        trials, finals: how many of each a replicate has at most.
        more: members may have values beside those of their contender's ranges.
    """
    for words, bad in _conditions(plan, trials, finals):
        wrong = frame.filter(bad)
        if len(wrong):
            return f"{_called(wrong, plan)}: {words}"
    if frame.select(PLACE).is_duplicated().any():
        return f"{_called(frame.filter(frame.select(PLACE).is_duplicated()), plan)}: it is there twice"
    for row in frame.select(*PLACE, "hyperparameters").iter_rows(named=True):
        slot: int = row["slot"]
        if not _chosen_from(_reachable(plan.science.contenders[slot]), row["hyperparameters"], more):
            return f"{_called(pl.DataFrame([row]), plan)}: its hyperparameters are not from its ranges"
    return None


def impossible_scores(scores: pl.DataFrame, members: pl.DataFrame) -> str | None:
    """What no test scores of these members could be, in words."""
    if any(scores.null_count().row(0)):
        return "a test score is missing"
    if scores.select(PLACE).is_duplicated().any():
        return "a trial has two test scores"
    trials = members.filter(pl.col("phase") == "tune")
    if len(scores.join(trials, on=PLACE, how="anti")):
        return "a test score belongs to no trial"
    return None


def most_replicates(plan: Plan) -> int:
    """As many replicates as a record of this plan can come to."""
    p = plan.science.protocol
    looks = p.looks if isinstance(p.looks, tuple) else ()
    return max(p.replicates, *looks, p.stages.most if isinstance(p.stages, Stages) else 0)


def _conditions(plan: Plan, trials: int, finals: int) -> Iterator[tuple[str, pl.Expr]]:
    """What is wrong with a row, and when."""
    epochs, most = plan.science.task.epochs, most_replicates(plan)
    final, length = pl.col("phase") == "final", epochs
    yield "a value is missing", pl.any_horizontal(pl.all().is_null())
    yield "no contender has its number", ~pl.col("slot").is_between(0, len(plan.science.contenders) - 1)
    pilots, most_piloted = pl.col("phase") == "pilot", plan.science.protocol.pilot_most
    piloted = [slot for slot, info in enumerate(plan.science.contenders) if info.pilot]
    yield "it neither tunes nor is final", ~pl.col("phase").is_in(PHASES)
    yield "it is a pilot's, and the plan has none for it", pilots & ~pl.col("slot").is_in(piloted)
    yield (
        "no replicate has its number",
        ~pl.when(pilots).then(pl.col("replicate") == PILOT).otherwise(pl.col("replicate").is_between(0, most - 1)),
    )
    yield (
        "the plan has no such member",
        ~pl.col("index").is_between(
            0, pl.when(final).then(finals).when(pilots).then(most_piloted).otherwise(trials) - 1
        ),
    )
    for name in CURVES:
        wanted = pl.when(final).then(length).otherwise(0) if name == "test" else pl.lit(length)
        yield f"its {name} is not one value an epoch", pl.col(name).list.len() != wanted
        yield f"a value of its {name} is missing", pl.col(name).list.drop_nulls().list.len() != pl.col(name).list.len()
        listed = pl.col(name).list
        if name in NORMS:
            yield f"its {name} is below 0, and it is a length", listed.eval(pl.element() < 0).list.any()
        else:
            huge = pl.element().is_finite() & (pl.element().abs() > GREATEST)
            yield f"its {name} can't be so large", listed.eval(huge).list.any()
    yield "its divergence is in no epoch", ~pl.col("diverged").is_between(0, epochs)
    for name in ("validation_floor", "test_floor"):
        yield "what a constant prediction scores is no number", ~pl.col(name).is_finite()
    if plan.science.task.metric == "accuracy" and plan.science.task.scale == SHARE:
        beyond = pl.element().is_finite() & ~pl.element().is_between(0, 1)
        for name in ("validation", "test"):
            yield f"its {name} is no share, and it is an accuracy", pl.col(name).list.eval(beyond).list.any()
        for name in ("validation_floor", "test_floor"):
            yield "what a constant prediction scores is no share", ~pl.col(name).is_between(0, 1)
    yield "its seconds are no time", ~(pl.col("seconds").is_finite() & (pl.col("seconds") >= 0))
    yield "its gradients can't be so many", ~pl.col("gradient_evaluations").is_between(0, LARGEST)
    for name in ("split", "init", "batches", "noise"):
        yield "its seeds are none", pl.col(name) < 0
    for name in ("train_samples", "test_samples"):
        yield "its data can't have that size", ~pl.col(name).is_between(1, LARGEST)


def _reachable(info: ContenderInfo) -> Space:
    """All that its members may have: where nobody gave the learning rate's range, all that a pilot can reach.

    Which range it found, and which values were asked for, `verify` computes again.
    """
    start = info.space.get("lr")
    if not (info.pilot and isinstance(start, Float)):
        return info.space
    return {**info.space, "lr": msgspec.structs.replace(start, low=start.low / FURTHEST, high=start.high * FURTHEST)}


def _called(wrong: pl.DataFrame, plan: Plan) -> str:
    """The first of these rows, in words."""
    slot, phase, replicate, index = wrong.select(PLACE).row(0)
    names = [c.name for c in plan.science.contenders]
    name = names[slot] if isinstance(slot, int) and 0 <= slot < len(names) else f"contender {slot}"
    return f"{name}, {called(repr(phase), index, replicate)}"


def _chosen_from(space: Space, text: str, more: bool) -> bool:
    try:
        found: Hyperparameters = msgspec.json.decode(text, type=Hyperparameters)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return False
    if canonical(found).decode() != text or not (
        found.keys() >= space.keys() if more else found.keys() == space.keys()
    ):
        return False
    return all(holds(dimension, found[name]) for name, dimension in space.items())
