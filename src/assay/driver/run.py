"""The main job: on one task, or over several and then the answer across them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from assay import events, seeds
from assay.answer.cells import Judged
from assay.answer.suite import seconds_to_target, step_seconds
from assay.core import WorkerOptions
from assay.errors import Interrupted, NoVerdict
from assay.ladder import across
from assay.record import RunFolder, locked, manifest
from assay.record.aside import set_folder_aside
from assay.record.plan import NAME as PLAN
from assay.record.suite import Entry, Suite, start
from assay.record.timings import read_timings
from assay.workers import jobs
from assay.workers.choose import open_workers

from . import transfer
from .job import Job
from .one import conclude, run_job
from .plan import Comparison
from .scheduler import gather


def run(
    comparison: Comparison, work: WorkerOptions, on_event: events.OnEvent = events.ignore, *, fresh: bool = False
) -> dict[str, Any]:
    """Do the work that the record lacks, task by task; the content of `result.json`, that of the suite where there is one.

    Interrupted and run again, it goes on; a task that is finished is not judged again, and `FromRecord` says so.

    Args:
        fresh: set the record that there is aside, and begin anew.
    Raises:
        Interrupted: by Ctrl-C, a full disk or a lost worker; what was finished is kept. UsageError: see `compare`.
        NoVerdict: none can be given, on any task.
    """
    if fresh:
        if (earlier := set_folder_aside(comparison.folder)) is not None:
            on_event(events.Warned(f"the earlier record was set aside, in {earlier}"))
        try:
            return run(comparison, work, on_event)
        except Interrupted as error:
            raise Interrupted(f"{error} (without --fresh, which would begin anew)") from error
    try:
        return (
            _suite(comparison, comparison.suite, work, on_event)
            if comparison.suite
            else run_job(comparison.jobs[0], work, on_event)
        )
    except KeyboardInterrupt as error:
        raise _stopped(error) from error


def _stopped(by: KeyboardInterrupt) -> Interrupted:
    how = f"interrupted {by}".strip()
    return Interrupted(f"{how}; what is finished is kept, run the same command again to go on")


def _suite(comparison: Comparison, suite: Suite, work: WorkerOptions, on_event: events.OnEvent) -> dict[str, Any]:
    started = time.perf_counter()
    start(comparison.folder, suite)
    entries = suite.entries
    with locked(comparison.folder):
        _see_that_all_can_be_trained(comparison.jobs, work, on_event)
        runs: list[Judged] = []
        for place, (entry, job) in enumerate(zip(entries, comparison.jobs, strict=True), start=1):
            on_event(events.TaskBegins(entry.name, place, len(entries)))
            if job.smallest is not None:
                job = transfer.carried(job, suite)
            runs.append(_judged(entry, job, work, on_event))
        content = across.answered(suite, runs, comparison.folder)
        if manifest.sealed(comparison.folder) and not manifest.changes(comparison.folder):
            return content  # each run has told that it is from the record
        own = {r.entry.name: read_timings(comparison.folder / r.entry.folder) for r in runs}
        timings = {
            "seconds_to_target": {r.entry.name: seconds_to_target(r) for r in runs},
            "step_seconds": {r.entry.name: step_seconds(r) for r in runs},
            **({"speedup": speedups} if (speedups := across.in_timings(content, own)) else {}),
        }
        conclude(comparison.folder, content, timings, started, on_event)
    return content


def _see_that_all_can_be_trained(asked: Sequence[Job], work: WorkerOptions, on_event: events.OnEvent) -> None:
    """See that each task of several that isn't begun can be trained on, before the first is: the last size may be a bad one.

    Raises:
        UsageError: one is not.
    """
    if not (new := [job for job in asked if not (job.folder / PLAN).exists()]):
        return
    on_event(events.Stage("data", len(new)))
    with open_workers(work, new[0].engine.device, on_event) as workers:
        calls = [(jobs.make_data, (jobs.pack(job.task), seeds.split(job.science.seed, 0))) for job in new]
        gather(workers, calls, lambda: on_event(events.Advanced()))


def _judged(entry: Entry, job: Job, work: WorkerOptions, on_event: events.OnEvent) -> Judged:
    try:
        content = run_job(job, work, on_event)
    except NoVerdict as error:
        on_event(events.Warned(f"task {entry.name}: {error}"))
        manifest.seal(job.folder)
        content = None
    folder = RunFolder.open(job.folder)
    return Judged(entry, folder.plan, folder.frame(), content)
