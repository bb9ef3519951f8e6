"""Which engine trains each contender: chosen once, before the first training, and stored in the plan."""

from __future__ import annotations

from assay import events, seeds
from assay.core import Numerics, Protocol
from assay.driver.plan import Job
from assay.driver.scheduler import gather
from assay.workers import jobs
from assay.workers.interface import Workers


def settle(workers: Workers, job: Job, on_event: events.OnEvent) -> tuple[tuple[Numerics, ...], float | None]:
    """The numerics of each contender, and the seconds of a member's step where all were measured (their mean).

    Takes a data set that has been made. A contender that was to be vectorized and can't be is warned of.
    """
    on_event(events.Stage("settle", len(job.contenders)))
    p = job.science.protocol
    asked = (
        job.wanted,
        p.replicates * (p.trials + p.final_seeds),
        *together(p),
        workers.size,
        seeds.split(job.science.seed, 0),
    )
    packed = jobs.pack(job.task)
    calls = [(jobs.settle, (packed, jobs.pack(contender), *asked)) for contender in job.contenders]
    settled = gather(workers, calls, lambda i: on_event(events.Settled(job.contenders[i].name)))
    for contender, (numerics, _) in zip(job.contenders, settled, strict=True):
        if job.wanted.engine == "vectorized" and numerics.engine == "loop":
            on_event(events.Warned(f"{contender.name} trains in the loop: {numerics.reason}"))
    seconds = [s for _, s in settled if s is not None]
    mean = sum(seconds) / len(seconds) if len(seconds) == len(settled) else None
    return tuple(numerics for numerics, _ in settled), mean


def together(p: Protocol) -> tuple[int, int]:
    """How many trainings of a contender are asked for at once, and how many of all come one at a time.

    A lone study's trials do, but for the sampler's random start-up trials, which don't depend on each other.
    """
    if p.replicates > 1:
        return p.replicates, 0
    startup = min(p.trials, int(p.sampler_options["n_startup_trials"]))
    return startup, p.trials - startup + (p.final_seeds == 1)
