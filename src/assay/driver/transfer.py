"""`--transfer`: settings are tuned at the smallest size, and carried over to the others by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import msgspec

from assay.answer.carried import carried_over, factor
from assay.core import ProtocolOptions, Rule, TaskOptions
from assay.errors import UsageError
from assay.record import RunFolder
from assay.record.suite import Suite
from assay.space import Float

from .job import Job
from .study import ranged


def see_that_it_can(protocol: ProtocolOptions, on: TaskOptions) -> None:
    """UsageError where nothing can be carried over, or the rule says nothing about the sizes."""
    rule = protocol.transfer
    if rule is None:
        return
    if rule not in get_args(Rule):
        raise UsageError(f"--transfer {rule}: write one of {', '.join(get_args(Rule))}")
    axis = (on.scale or "").partition("=")[0].strip().replace("-", "_")
    unfit = {
        "say over which sizes, as in --scale width=32,64,128": on.scale is None,
        "name one task": not isinstance(on.task, str) or on.task == "suite" or "," in on.task,
        "name one schedule": len(protocol.schedule) > 1,
        "only the second edition carries settings over; use --protocol honest": protocol.protocol != "honest",
        "the ladder of --speedup is tuned at each length; leave out one of the two": protocol.speedup,
        "controls tune for themselves; leave out --controls": protocol.controls,
        "how many replicates there are must be known before; give a number": protocol.looks is not None
        or (isinstance(protocol.replicates, str) and not protocol.replicates.isdecimal()),
    }
    for mend in (words for words, bad in unfit.items() if bad):
        raise UsageError(f"--transfer {rule}: {mend}")
    try:
        factor(rule, axis, 1, 1)
    except ValueError as error:
        raise UsageError(f"--transfer {rule}: {error}; use --transfer none") from None


def planned(jobs: Sequence[Job], suite: Suite) -> tuple[Job, ...]:
    """The jobs of a suite, the smallest size's first: all but that have one trial, and no pilot.

    Raises:
        UsageError: not everyone takes part at every size or has a rate to carry over, or something else varies, too.
    """
    if len(suite.varied) > 1:
        raise UsageError(f"--transfer: only one thing may vary, and {' and '.join(suite.varied)} do")
    first, *others = jobs
    for c in first.contenders:
        if suite.transfer != "none" and not isinstance(c.space.get("lr"), Float):
            raise UsageError(
                f"--transfer {suite.transfer}: {c.name} tunes no learning rate called lr over a range; use --transfer none"
            )
    names = [c.name for c in first.contenders]
    for job in others:
        if [c.name for c in job.contenders] != names:
            raise UsageError("--transfer: every contender must take part at every size; leave out those that can't")
    return (first, *(_planned(job, first) for job in others))


def _planned(job: Job, first: Job) -> Job:
    infos = tuple(msgspec.structs.replace(info, pilot=msgspec.UNSET) for info in job.science.contenders)
    protocol = msgspec.structs.replace(job.science.protocol, trials=1, pilot=msgspec.UNSET)
    science = msgspec.structs.replace(job.science, contenders=infos, protocol=protocol)
    return replace(job, science=science, smallest=first.folder)


def carried(job: Job, suite: Suite) -> Job:
    """The job, with what the smallest size, which is finished, has chosen."""
    assert job.smallest is not None
    assert suite.transfer
    record, (axis,) = RunFolder.open(job.smallest), suite.varied
    science = carried_over(
        record.plan, record.frame(), job.science.task, suite.transfer, axis, suite.entries[0].setting
    )
    return replace(job, science=science, contenders=ranged(job.contenders, science))
