"""Training the ladder: the baseline's studies and final runs at other lengths, each rung in a record of its own."""

from __future__ import annotations

from dataclasses import replace

from assay import events
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.core import Science, plan_of
from assay.driver.job import Job, first_lengths
from assay.driver.scheduler import Scheduler
from assay.driver.study import final_streams, in_lockstep, ranged, study_stream
from assay.ladder import plan
from assay.ladder.judged import Climbed, further
from assay.record import RunFolder
from assay.record.extend import resume
from assay.training.numerics import torch_build


def train(scheduler: Scheduler, job: Job) -> None:
    """Train the rungs that a question lacks, when the question itself is trained; longer and shorter ones as they are asked for.

    Raises:
        UsageError: the record holds other rungs. Interrupted: as in `Scheduler.train`.
    """
    folder = scheduler.folder
    science = reached(folder.plan, folder.frame()).science
    baseline = ranged(job.contenders, science)[0]
    lengths = sorted(
        {*first_lengths(job), *(rung.plan.science.task.epochs for rung in folder.rungs())}
    )  # begun before, perhaps
    while lengths:
        for epochs in lengths:
            _rung(scheduler, replace(job, contenders=(baseline,)), science, epochs)
        lengths = further(Climbed.of(folder))


def _rung(scheduler: Scheduler, job: Job, question: Science, epochs: int) -> None:
    science, path = plan.science_of(question, epochs), scheduler.folder.path / plan.FOLDER / str(epochs)
    record = resume(path, science, torch_build())
    if record is None:
        path.mkdir(parents=True, exist_ok=True)
        record = RunFolder.create(path, plan_of(science, scheduler.numerics[:1]))
    task = replace(job.task, epochs=epochs)
    own = Scheduler(record, task, job.contenders, scheduler.workers, scheduler.on_event)
    own.data = scheduler.data
    p, width = science.protocol, own.numerics[0].chunk_size
    replicates = range(p.replicates)
    own.on_event(events.Stage("ladder", p.replicates * (p.trials + p.final_seeds)))
    own.train(
        study_stream(science, job.contenders[0], together, own.on_event)
        for together in in_lockstep(science, dict(enumerate(own.numerics)), replicates)
    )
    own.score()
    own.on_event(events.Stage("ladder_final", p.replicates * p.final_seeds))
    arrays = RecordArrays(record.plan, record.frame())
    own.train(final_streams(science, 0, {k: arrays.chosen(0, k) for k in replicates}, width))
