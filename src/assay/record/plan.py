"""`plan.json`: the plan of a record, refused where it is damaged or has numbers that no plan could have."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import msgspec

from assay.core import EARLIER_VERSION, PLAN_VERSION, Carried, Plan, Protocol, Science, Stages, plan_of
from assay.core.plan import SAMPLER_OPTIONS
from assay.errors import UsageError
from assay.record.documents import DAMAGED, read_struct, write_struct
from assay.space import Dimension, Float, holds

NAME = "plan.json"
MOST = 10**9  # members, epochs, samples in a batch
MOST_SAMPLED = 10**4  # trials to begin with, candidates of the sampler


class _Versioned(msgspec.Struct):
    version: int


def write_plan(folder: Path, plan: Plan) -> None:
    """Make this the folder's plan."""
    write_struct(folder / NAME, plan)


def read_plan(folder: Path, fewest: int = 2) -> Plan:
    """The plan in a folder, of so many contenders at least: a rung of a ladder has one.

    UsageError where there is none, or it is of another version or damaged.
    """
    file = folder / NAME
    try:
        version = read_struct(file, _Versioned).version
        if version not in (EARLIER_VERSION, PLAN_VERSION):
            raise UsageError(
                f"{file} is of version {version}, this assay reads {EARLIER_VERSION} and {PLAN_VERSION}; use the assay that made "
                "it"
            )
        plan = read_struct(file, Plan)
        if len(plan.science.contenders) < fewest:
            raise ValueError(f"fewer than {'two contenders' if fewest == 2 else 'one contender'}")
        if found := _impossible(plan):
            raise ValueError(found)
        return plan
    except OSError as error:
        raise UsageError(f"{folder} is no run folder ({NAME}: {error.strerror})") from error
    except DAMAGED as error:
        raise UsageError(f"{file} is damaged ({error}); start again in another folder with --out") from error


def _impossible(plan: Plan) -> str | None:
    """What no plan could be, in a few words; None for a plan that could have been made."""
    task, p, contenders = plan.science.task, plan.science.protocol, plan.science.contenders
    names = [c.name for c in contenders]
    looks, earlier = p.looks or (), plan.earlier or ()
    stages = p.stages if isinstance(p.stages, Stages) else Stages(p.replicates, p.replicates)
    checks = {
        "two contenders of one name": len(set(names)) < len(names),
        "numerics for another number of contenders": len(plan.numerics) != len(contenders),
        "a number of replicates, trials or final seeds below 1": min(p.replicates, p.trials, p.final_seeds) < 1,
        "more members than there can be": len(contenders) * p.replicates * (p.trials + p.final_seeds) > MOST,
        "an edition of another version": plan.version != plan_of(plan.science, plan.numerics).version,
        "an edition of the published protocol": p.name == "published" and bool(p.edition),
        "a pilot that no edition has": not p.edition and (bool(p.pilot) or any(c.pilot for c in contenders)),
        "a pilot without trials": any(c.pilot for c in contenders) and not 1 <= (p.pilot or 0) <= MOST,
        "a pilot of no learning rate": any(c.pilot and not _sought(c.space.get("lr")) for c in contenders),
        "a published protocol with more than one seed": p.name == "published"
        and (p.replicates, p.final_seeds) != (1, 1),
        "an alpha outside 0 to 1": not 0 < p.alpha < 1,
        "a margin that isn't above 0": not 0 < task.margin < math.inf,
        "a scale that isn't above 0": not 0 < task.scale < math.inf,
        "epochs or a batch size below 1": min(task.epochs, task.batch_size) < 1,
        "more epochs, or a larger batch, than there can be": max(task.epochs, task.batch_size) > MOST,
        "more looks than there can be members": max(looks, default=0) > MOST,
        "chunks without members": min((n.chunk_size for n in plan.numerics), default=1) < 1,
        "looks that don't grow": any(b <= a for a, b in pairwise((1, *looks))) or (looks and p.replicates not in looks),
        "stages that are none": not 1 <= stages.first <= stages.most <= MOST,
        "settings that its sampler doesn't have": not _sampled(p),
        "a precision that isn't the protocol's": any(n.precision != p.precision for n in plan.numerics),
        "settings carried over that don't fit": isinstance(p.carried, Carried) and not _fits(p.carried, plan.science),
        "earlier plans that were longer": any(b <= a for a, b in pairwise((0, *earlier, p.replicates)))
        and bool(earlier),
    }
    return next((words for words, found in checks.items() if found), None)


def _sampled(p: Protocol) -> bool:
    """Whether a protocol has just its sampler's settings, in numbers that can be; the second edition's has none."""
    known = {} if p.edition else SAMPLER_OPTIONS
    return p.sampler_options.keys() == known.keys() and all(
        isinstance(n, bool) or 1 <= n <= MOST_SAMPLED for n in p.sampler_options.values()
    )


def _fits(carried: Carried, science: Science) -> bool:
    """Whether there are settings within the ranges for each contender and replicate, and nothing is tuned besides."""
    p, spaces = science.protocol, [c.space for c in science.contenders]
    each = len(carried.chosen) == len(spaces) and all(len(chosen) == p.replicates for chosen in carried.chosen)
    alone = p.second and p.trials == 1 and not p.pilot and not p.stages and not p.looks
    return each and alone and 0 < carried.factor < math.inf and all(
        values.keys() == space.keys() and all(holds(space[name], value) for name, value in values.items())
        for space, chosen in zip(spaces, carried.chosen, strict=True)
        for values in chosen
    )  # fmt: skip


def _sought(range_: Dimension | None) -> bool:
    return isinstance(range_, Float) and range_.log
