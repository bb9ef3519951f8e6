"""Which engine trains each contender: chosen once, before the first training, and stored in the plan."""

from __future__ import annotations

from assay import events, seeds
from assay.core import Numerics, Science
from assay.driver.job import Job
from assay.driver.scheduler import gather
from assay.training.numerics import Demand
from assay.workers import jobs
from assay.workers.interface import Workers


def settle(workers: Workers, job: Job, on_event: events.OnEvent) -> tuple[tuple[Numerics, ...], float | None]:
    """The numerics of each contender, and the seconds of a member's step where all were measured (their mean).

    Takes a data set that has been made. A contender that was to be vectorized and can't be is warned of.
    """
    on_event(events.Stage("settle", len(job.contenders)))
    packed, demand = jobs.pack(job.task), demand_of(job.science, workers.size)
    calls = [(jobs.choose_engine, (packed, jobs.pack(c), job.engine, demand)) for c in job.contenders]
    chosen = gather(workers, calls, lambda i: on_event(events.Settled(job.contenders[i].name)))
    for contender, numerics in zip(job.contenders, (c.numerics for c in chosen), strict=True):
        if job.engine.engine == "vectorized" and numerics.engine == "loop":
            on_event(events.Warned(f"{contender.name} trains in the loop: {numerics.reason}"))
    seconds = [c.step_seconds for c in chosen if c.step_seconds is not None]
    mean = sum(seconds) / len(seconds) if len(seconds) == len(chosen) else None
    return tuple(c.numerics for c in chosen), mean


def demand_of(science: Science, processes: int) -> Demand:
    """What each contender's trainings ask of its engine.

    A lone study's trials come one by one, but for the sampler's random start-up trials, which don't depend on each other.
    """
    p = science.protocol
    at_once, one_by_one = p.replicates, 0
    if p.replicates == 1:
        at_once = min(p.trials, int(p.sampler_options["n_startup_trials"]))
        one_by_one = p.trials - at_once + (p.final_seeds == 1)
    trainings = p.replicates * (p.trials + p.final_seeds)
    return Demand(trainings, at_once, one_by_one, processes, split=seeds.split(science.seed, 0))
