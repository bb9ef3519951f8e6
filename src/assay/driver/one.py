"""The main job on one task, top to bottom: data → tune → train → judge → report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from assay import events
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached, with_ranges, with_replicates
from assay.answer.result import result
from assay.contenders.load import changes_in, take_printed
from assay.controls.judged import has_controls, judged
from assay.core import PILOT, Contender, WorkerOptions, plan_of
from assay.errors import UsageError
from assay.export import optuna as export
from assay.ladder.judged import with_speedups
from assay.record import RunFolder, cache, extend, locked, manifest, output
from assay.record.aside import MADE, made_at, now
from assay.record.documents import read_data, write_data
from assay.record.files import sweep
from assay.training.numerics import may_be_this_cpu, torch_build
from assay.workers.choose import open_workers
from assay.workers.interface import Workers

from . import controls as controls_
from . import data, ladder
from .estimate import estimate_on, settle
from .job import Job, first_lengths, trainings
from .protocol import most_replicates
from .scheduler import ChunkStream, Scheduler, result_of
from .study import final_streams, in_lockstep, pilot_stream, ranged, study_stream
from .timed import timings as timings_of


def run_job(job: Job, work: WorkerOptions, on_event: events.OnEvent = events.ignore) -> dict[str, Any]:
    """Train what one plan asks for and the record lacks, judge it, and leave the run folder complete.

    Raises:
        As in `run`.
    """
    if (content := believed(job, work, on_event)) is not None:
        _told_again(job.folder, content, on_event)
        return content
    started = time.perf_counter()
    with locked(job.folder):
        found = extend.resume(job.folder, job.science, torch_build())
        if found is not None and has_controls(found):
            controls_.refuse_other_code(found)
        for doing, printed in take_printed():
            output.append(job.folder / output.NAME, doing, printed)
        with open_workers(work, job.engine.device, on_event, job.folder / output.NAME) as workers:
            return _Run(job, found, workers, on_event).to_the_end(started)


def believed(job: Job, work: WorkerOptions, on_event: events.OnEvent) -> dict[str, Any] | None:
    """As `finished`, when the task still gives the data that the record was made on.

    Raises:
        UsageError: it gives other data.
    """
    content = finished(job)
    if content is None:
        return None
    for line in beyond(job):
        on_event(events.Warned(line))
    with open_workers(work, job.engine.device, on_event, job.folder / output.NAME) as workers:
        recorded = data.answer_on(content)
        data.believe(job.folder, job.task.name, recorded, data.made(workers, job, sorted(recorded), on_event))
    on_event(events.FromRecord(str(job.folder), made_at(job.folder)))
    return content


def _told_again(folder: Path, content: Mapping[str, Any], on_event: events.OnEvent) -> None:
    """What is said of a finished record each time that it is asked for, and what others left half-written in it swept away.

    Raises:
        UsageError: other code altered its controls.
    """
    if content.get("controls"):
        controls_.refuse_other_code(RunFolder.open(folder))
    _warn_of_controls(content, on_event)
    with contextlib.suppress(OSError), locked(folder):
        sweep(folder)


def _warn_of_controls(content: Mapping[str, Any], on_event: events.OnEvent) -> None:
    for entry in content.get("controls", []):
        if entry["passed"] is False:
            on_event(events.Warned(entry["sentence"]))


def beyond(job: Job) -> Iterator[str]:
    """What the plan can't hold of the code that it speaks of, a line each for the task and the contenders."""
    for line in job.science.beyond:
        name, _, found = line.partition(": ")
        yield f"{name}: beyond the plan, so that a change there goes unseen: {found}"


class _Run:
    """One job at work on its folder: `to_the_end` is its story, and what that calls follows in order."""

    def __init__(self, job: Job, record: RunFolder | None, workers: Workers, on_event: events.OnEvent) -> None:
        """`record`: what there is of it so far."""
        self.job, self.workers, self._told = job, workers, on_event
        self.trained_anew = 0  # members
        self.data: data.Digests = {}  # of the replicates whose data is at hand
        self.controls = job.controls or (record is not None and has_controls(record))
        self.speedup = job.speedup or (record is not None and bool(record.rungs()))
        sweep(job.folder)
        for warning in self._warnings(record):
            on_event(events.Warned(warning))
        self.recorded = {} if record is None else record.data_digests()
        self.made = "" if record is None else made_at(job.folder)
        on_event(events.Started(trainings(job.science, job.controls, first_lengths(job)), str(job.folder)))
        self.folder = self._begun() if record is None else self._resumed(record)
        self.scheduler = Scheduler(
            self.folder, job.task, job.contenders, workers, self.on_event, step_norms=self.controls
        )
        self.scheduler.data = self.data

    def on_event(self, event: events.Event) -> None:
        """Hands an event on, and counts what is trained."""
        if isinstance(event, events.Trained) and not event.recorded:
            self.trained_anew += event.members
        self._told(event)

    def to_the_end(self, started: float) -> dict[str, Any]:
        """Train, judge, report; the content of `result.json`."""
        exported = None
        contenders = self._piloted()
        for replicates in self._stretches():
            self._make_data(replicates)
            tune(self.scheduler, contenders, replicates)
            if replicates.stop == most_replicates(self.job.science.protocol):
                exported = self._export()  # 10 ms a trial, beside the last final runs
            train_finals(self.scheduler, replicates)
        result_of(exported or self._export())
        self.folder.keep_plan()
        content = result(self.folder.plan, self.folder.frame())
        if self.speedup:
            ladder.train(self.scheduler, self.job)
            content = with_speedups(self.folder, content)
        if self.controls:
            controls_.train(self.scheduler, self.job)
            content["controls"] = judged(self.folder)
            _warn_of_controls(content, self.on_event)
        timings = timings_of(self.scheduler, content, self.on_event)
        if self.made and not self.trained_anew:
            self.on_event(events.FromRecord(str(self.folder.path), self.made))
            timings |= {MADE: self.made}
        conclude(self.folder.path, content, timings, started, self.on_event)
        return content

    def _warnings(self, record: RunFolder | None) -> Iterator[str]:
        """What a reader must know before it goes on; changed and damaged files of the record are set aside on the way."""
        if warning := cache.writable():
            yield warning
        if self.job.task.note:
            yield f"task {self.job.task.name}: {self.job.task.note}"
        yield from beyond(self.job)
        for contender in self.job.contenders:
            yield from (f"{contender.name}: {changes}" for changes in changes_in(contender.note))
        if record is None:
            if any((self.job.folder / "members").glob("*.parquet")):
                yield f"{self.job.folder} has lost its plan.json: it is written again, from what is asked now"
            return
        doubtful = manifest.doubtful(record.path)
        extend.check_earlier(record, doubtful)
        for name in manifest.set_changed_aside(record.path, doubtful):
            yield f"{name} was changed since the record was sealed: set aside, and trained again"
        for name in record.set_damaged_aside():
            yield f"{name} is damaged: set aside, and made again"
        then = record.plan.numerics[0].cpu
        if not may_be_this_cpu(then):
            yield f"the record was begun on {then}: new members won't match it to the bit"

    def _begun(self) -> RunFolder:
        """A new record: engines are chosen on data that has been made, the cost is told, the plan is frozen."""
        job, workers = self.job, self.workers
        self._make_data(range(job.science.protocol.replicates))
        earlier = None if job.earlier is None else extend.to_take_over(job.earlier, job.science, torch_build())
        known = () if earlier is None else earlier.plan.numerics
        numerics, step_seconds = settle(workers, replace(job, contenders=job.contenders[len(known) :]), self.on_event)
        numerics = (*known, *numerics)
        folder = RunFolder.create(
            job.folder, plan_of(job.science, numerics)
        )  # UsageError if its members are another plan's
        if earlier is not None:
            extend.take_over(folder, earlier)
        found = estimate_on(workers, job, numerics, step_seconds, self.on_event)
        alone = (found.seconds or 0.0) * workers.size / found.trainings
        workers.watchdog.saw(alone * max(n.chunk_size for n in numerics))
        return folder

    def _resumed(self, record: RunFolder) -> RunFolder:
        """A record to go on with, under its longer plan where there is one."""
        extend.begin(record, beside="controls" if self.controls else "a ladder" if self.speedup else "")
        if (self.controls and not has_controls(record)) or (self.speedup and not record.rungs()):
            manifest.unseal(record.path)  # finished, perhaps; from now on not
        return record

    def _stretches(self) -> Iterator[range]:
        """The replicates that are trained together: of each earlier plan, of this one, and then as many as the record asks for.

        How many come after a stretch may depend on its final runs: planned looks, and the second of two stages.
        """
        plan, start = self.folder.plan, 0
        for stop in (*(plan.earlier or ()), plan.science.protocol.replicates):
            yield range(start, stop)
            start = stop
        while start < most_replicates(plan.science.protocol):
            stop = reached(plan, self.folder.frame()).science.protocol.replicates
            if stop == start:
                return
            yield range(start, stop)
            start = stop

    def _piloted(self) -> tuple[Contender, ...]:
        """The contenders with the ranges that their pilots find; the scheduler's science has these, too, from here on."""
        scheduler = self.scheduler
        sought = [slot for slot, info in enumerate(scheduler.science.contenders) if info.pilot]
        if not sought:
            return self.job.contenders
        self._make_data(range(PILOT, PILOT + 1))
        self.on_event(events.Stage("pilot", len(sought) * int(scheduler.science.protocol.pilot or 0)))
        scheduler.train(
            pilot_stream(scheduler.science, k, self.job.contenders[k], scheduler.numerics[k].chunk_size, self.on_event)
            for k in sought
        )
        scheduler.science = with_ranges(self.folder.plan, self.folder.frame()).science
        return ranged(self.job.contenders, scheduler.science)

    def _make_data(self, replicates: range) -> None:
        """The data sets of these replicates, made and kept, the same as those on record.

        Raises:
            UsageError: as in `data.made` and `data.believe`.
        """
        missing = [k for k in replicates if k not in self.data]
        found = data.made(self.workers, self.job, missing, self.on_event)
        data.believe(self.job.folder, self.job.task.name, self.recorded, found)
        self.data.update(found)

    def _export(self) -> Any:
        return self.workers.submit_here(export.studies, self.folder.path)


def tune(scheduler: Scheduler, contenders: Sequence[Contender], replicates: range) -> None:
    """Every contender's study in these replicates; only when all of them are over are the trials tested."""
    science, on_event = scheduler.science, scheduler.on_event
    on_event(events.Stage("tune", len(contenders) * len(replicates) * science.protocol.trials))
    scheduler.train(
        study_stream(science, contenders[together.slot], together, on_event)
        for together in in_lockstep(science, dict(enumerate(scheduler.numerics)), replicates)
    )
    scheduler.score()
    _see_that_they_move(scheduler.folder.frame())


def _see_that_they_move(frame: pl.DataFrame) -> None:
    """UsageError for a contender of which no trial changed any weight: nothing was trained that could be judged."""
    lengths = pl.col("update_norm").list
    still = (lengths.max().fill_nan(1.0) == 0) & (pl.col("diverged") == 0)
    trials = (
        frame.filter(pl.col("phase") == "tune").group_by("contender", maintain_order=True).agg(still.all(), pl.len())
    )
    for name in trials.filter("update_norm")["contender"]:
        raise UsageError(
            f"{name} never moves a parameter: in none of its trials does any weight of the model change. Its step() must update "
            "the parameters that it was given, and these must be the model's own; assay check tries it by itself"
        )


def train_finals(scheduler: Scheduler, replicates: range) -> None:
    """The final seeds of every contender, at the hyperparameters chosen in each of these replicates."""
    science, folder = scheduler.science, scheduler.folder
    frame = folder.frame()
    arrays = RecordArrays(with_ranges(with_replicates(folder.plan, replicates.stop), frame), frame)
    scheduler.on_event(events.Stage("final", len(science.contenders) * len(replicates) * science.protocol.final_seeds))
    runs: list[ChunkStream] = []
    for slot, numerics in enumerate(scheduler.numerics):
        chosen = {k: arrays.chosen(slot, k) for k in replicates}
        runs += final_streams(science, slot, chosen, numerics.chunk_size)
    scheduler.train(runs)


def finished(job: Job) -> dict[str, Any] | None:
    """What a run came to that is finished, sealed and as it was; None where there is work to do, controls among it."""
    if not manifest.sealed(job.folder) or manifest.changes(job.folder):
        return None
    content = read_data(job.folder / "result.json")
    beside = (content.get("controls") or not job.controls) and (content.get("ladder") or not job.speedup)
    return content if content["plan_hash"] == job.science.plan_hash and beside else None


def conclude(
    folder: Path, content: dict[str, Any], timings: dict[str, Any], started: float, on_event: events.OnEvent
) -> None:
    """`result.json`; `timings.json`, which is part of no result; the report; and the seal."""
    from assay.report import draw

    write_data(folder / "result.json", content)
    write_data(folder / "timings.json", {"wall_seconds": time.perf_counter() - started, MADE: now(), **timings})
    on_event(events.Stage("report"))
    draw(folder)
    manifest.seal(folder)
