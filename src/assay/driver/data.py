"""The data sets of a comparison: made, the same at each call of one seed, and those that the record was made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from assay import events, seeds
from assay.core import PILOT
from assay.driver.job import Job
from assay.driver.scheduler import another_each_time, gather
from assay.errors import UsageError
from assay.workers import jobs
from assay.workers.interface import Workers

Digests = dict[int, str]  # of a data set, by replicate


def made(workers: Workers, job: Job, replicates: Sequence[int], on_event: events.OnEvent) -> Digests:
    """The data sets of these replicates, made and kept; the first of them is made twice.

    Raises:
        UsageError: a task that says it generates its data, and gives two replicates the same; or whose data function gives
            another data set when it is called again.
    """
    if not replicates:
        return {}
    on_event(events.Stage("data", len(replicates) + 1))
    packed = jobs.pack(job.task)
    calls = [(jobs.make_data, (packed, seeds.split(job.science.seed, k))) for k in (*replicates, replicates[0])]
    *digests, again = gather(workers, calls, lambda: on_event(events.Advanced()))
    if again != digests[0]:
        raise another_each_time(job.task.name)
    if job.task.generated and len(set(digests)) < len(digests):
        raise UsageError(
            f"task {job.task.name} says that its data is generated, but gives two replicates the same: draw it from the "
            "seed, or set generated=False and partition it by the seed"
        )
    return dict(zip(replicates, digests, strict=True))


def believe(folder: Path, task: str, recorded: Mapping[int, str], now: Mapping[int, str]) -> None:
    """See that what a record was trained on is what the task gives today.

    Raises:
        UsageError: a data set is another one.
    """
    for replicate in sorted(recorded.keys() & now.keys()):
        if recorded[replicate] != now[replicate]:
            which = "the pilots'" if replicate == PILOT else f"replicate {replicate}"
            raise UsageError(
                f"{folder} was trained on other data ({which}): what task {task} reads or draws was changed since; "
                "put it back, or train anew with --fresh, which sets the earlier record aside, or choose another --out"
            )


def answer_on(content: Mapping[str, object]) -> Digests:
    """The digests that a finished answer names, by replicate."""
    data = content.get("data")
    return {int(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}
