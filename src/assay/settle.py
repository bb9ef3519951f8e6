"""Which engine trains each contender: chosen once, before the first training, and stored in the plan."""

from __future__ import annotations

from concurrent.futures import Executor

from assay import events
from assay.core import Numerics
from assay.planning import Job
from assay.train.numerics import loop_here


def settle(pool: Executor, job: Job, on_event: events.OnEvent) -> tuple[Numerics, ...]:
    """The numerics of each contender."""
    on_event(events.Stage("settle"))
    return tuple(loop_here(job.wanted.device) for _ in job.contenders)
