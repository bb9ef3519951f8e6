"""The main job, top to bottom: plan → tune → train → judge → report."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay import events, seeds
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached, with_replicates
from assay.answer.result import result
from assay.controls.judged import controls_record, has_controls, judged
from assay.core import Contender, Plan, Verdict, verdicts_of
from assay.driver import controls as controls_
from assay.driver import plan as planning
from assay.driver.engines import settle
from assay.driver.estimate import estimate_on
from assay.driver.plan import Job, plan
from assay.driver.scheduler import ChunkStream, Scheduler, gather, result_of
from assay.driver.study import final_streams, in_lockstep, member, study_stream
from assay.errors import Interrupted, UsageError
from assay.export import optuna as export
from assay.record import RunFolder, cache, locked, manifest
from assay.record import extend as longer
from assay.record.documents import read_data, write_data
from assay.record.files import sweep, write_bytes
from assay.training.numerics import cpu_model, torch_build
from assay.workers import jobs
from assay.workers.choose import check, open_workers
from assay.workers.interface import Workers


@dataclass(frozen=True)
class Result:
    """What a comparison came to: the run folder, and what `result.json` in it says."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict a candidate."""
        return verdicts_of(self.content)

    @property
    def controls(self) -> list[dict[str, Any]]:
        """What each control came to, as `result.json` has it; empty where none was asked for."""
        return list(self.content.get("controls", []))

    def frame(self):
        """All members on record: a polars DataFrame, a row each."""
        return RunFolder.open(self.folder).frame()

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report's HTML to `path` (by default where it is, in the run folder) and return where it is."""
        written = self.folder / "report.html"
        if path is None:
            return written
        write_bytes(Path(path), written.read_bytes())
        return Path(path)

    def _repr_html_(self) -> str:
        from assay.report import summary_html

        return summary_html(self.content)


def run(
    job: Job,
    workers_: int | str | None = None,
    on_event: events.OnEvent = events.ignore,
    time_limit: float | None = None,
) -> Result:
    """Train what a plan asks for and the record lacks, judge it, and leave the run folder complete.

    `workers_`, `time_limit`: see `open_workers`.

    Raises:
        Interrupted: by Ctrl-C, a full disk or a lost worker; what was finished is kept. UsageError: see `compare`.
    """
    if not _writable(job.folder) and (content := finished(job)) is not None:
        on_event(events.Warned(f"{job.folder} can't be written: shown is what it came to, nothing is drawn anew"))
        return Result(job.folder, content)
    try:
        started = time.perf_counter()
        with locked(job.folder), contextlib.ExitStack() as stack:
            folder = longer.resume(job.folder, job.science, torch_build())
            pool = stack.enter_context(open_workers(workers_, job.wanted.device, on_event, time_limit))
            sweep(job.folder)
            _announce(job, folder, on_event)
            if folder is not None:
                longer.refuse_controls(folder, job.controls or has_controls(folder))
                longer.begin(folder)
            first, *rest = _segments(folder.plan if folder is not None else None, job)
            _make_data(pool, job, first, on_event)
            if folder is None:
                numerics, step_seconds = settle(pool, job, on_event)
                folder = RunFolder.create(job.folder, Plan(job.science, numerics))
                found = estimate_on(pool, job, numerics, step_seconds, on_event)
                alone = (found.seconds or 0.0) * pool.size / found.trainings
                pool.watchdog.saw(alone * max(n.width for n in numerics))
            controls = job.controls or has_controls(folder)
            if controls and not has_controls(folder):
                manifest.unseal(job.folder)  # finished, perhaps; from now on not
            scheduler = Scheduler(folder, job.task, job.contenders, pool, on_event, step_norms=controls)
            _tune(scheduler, job.contenders, first)
            last = first
            while last and (following := _following(scheduler, last, rest, job)) is not None:
                if last := following:
                    _make_data(pool, job, last, on_event)
                    _tune(scheduler, job.contenders, last)
            exported = pool.submit_here(export.studies, folder.path)  # 10 ms a trial, beside the final runs
            if last:
                _train(scheduler, last)
            result_of(exported)
            content = result(folder.plan, folder.frame())
            if controls:
                controls_.train(scheduler, job)
                content["controls"] = judged(folder)
                for entry in content["controls"]:
                    if entry["passed"] is False:
                        on_event(events.Warned(entry["sentence"]))
            _write(scheduler, content, started)
            _report(scheduler)
        return Result(folder.path, content)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; what is finished is kept, run the same command again to go on") from error


def finished(job: Job) -> dict[str, Any] | None:
    """What a run came to that is finished, sealed and as it was; None where there is work to do, controls among it."""
    if not manifest.sealed(job.folder) or manifest.changes(job.folder):
        return None
    content = read_data(job.folder / "result.json")
    asked = content["plan_hash"] == job.science.plan_hash and (content.get("controls") or not job.controls)
    return content if asked else None


def _writable(folder: Path) -> bool:
    return not folder.exists() or os.access(folder, os.W_OK)


def compare(
    baseline: str | Contender,
    *candidates: str | Contender,
    workers: int | str | None = None,
    ray_address: str | None = None,
    time_limit: float | None = None,
    **options: Any,
) -> Result:
    """Is a candidate better than the tuned baseline, on this task, and by how much?

    Args:
        baseline, candidates: registered names, `pkg.mod:Name`, `path/file.py:Name`, or `assay.Contender`s.
        workers: processes, by default one a core; or "ray", for the cluster at `ray_address` (HOST:PORT) or
            $RAY_ADDRESS, or else one started here (pip install 'assay[ray]').
        time_limit: seconds without any result after which workers are taken to hang; see `workers.watchdog` for the default.
        options: as `plan` takes them: task, protocol, trials, replicates, looks, final_seeds, epochs, margin
            (in the unit of the scores: 0.01 is one point of accuracy), space, seed, engine, compile, device, controls, out.
    Raises:
        UsageError: a fault in what was asked for. Interrupted: resumable. NoVerdict: none can be given.
    """
    asked = check(workers, ray_address, time_limit)
    return run(plan(baseline, *candidates, **options), asked, time_limit=time_limit)


def _announce(job: Job, folder: RunFolder | None, on_event: events.OnEvent) -> None:
    if warning := cache.writable():
        on_event(events.Warned(warning))
    if job.task.note:
        on_event(events.Warned(f"task {job.task.name}: {job.task.note}"))
    if folder is not None:
        doubtful = manifest.doubtful(folder.path)
        longer.check_earlier(folder, doubtful)
        for name in manifest.set_changed_aside(folder.path, doubtful):
            on_event(events.Warned(f"{name} was changed since the record was sealed: set aside, and trained again"))
        for name in folder.set_damaged_aside():
            on_event(events.Warned(f"{name} is damaged: set aside, and made again"))
        then = folder.plan.numerics[0].cpu
        if cpu_model() != then:
            on_event(events.Warned(f"the record was begun on {then}: new members won't match it to the bit"))
    extra = planning.control_trainings(job.science) if job.controls else 0
    on_event(events.Started(planning.trainings(job.science) + extra, str(job.folder)))


def _segments(plan: Plan | None, job: Job) -> list[range]:
    """Replicates that are trained one after the other: those of each earlier plan, and those of this one."""
    stops = [*((plan.earlier if plan is not None else None) or ()), job.science.protocol.replicates]
    return [range(a, b) for a, b in zip([0, *stops], stops, strict=False)]


def _following(scheduler: Scheduler, last: range, rest: list[range], job: Job) -> range | None:
    """The replicates after `last`, none if it decides that there are no more; None if that is known without its finals."""
    known = last.stop == planning.most_replicates(job.science.protocol)
    if known:
        return None
    _train(scheduler, last)
    if rest:
        return rest.pop(0)
    return range(last.stop, reached(scheduler.folder.plan, scheduler.folder.frame()).science.protocol.replicates)


def _make_data(workers: Workers, job: Job, replicates: range, on_event: events.OnEvent) -> None:
    """The data sets of these replicates, made and kept.

    Raises:
        UsageError: a task that says it generates its data, and gives two replicates the same.
    """
    on_event(events.Stage("data", len(replicates)))
    packed = jobs.pack(job.task)
    calls = [(jobs.make_data, (packed, seeds.split(job.science.seed, k))) for k in replicates]
    digests = gather(workers, calls, lambda i: on_event(events.DataReady(replicates[i])))
    if job.task.generated and len(set(digests)) < len(digests):
        raise UsageError(
            f"task {job.task.name} says that its data is generated, but gives two replicates the same: draw it from the seed, "
            "or set generated=False and partition it by the seed"
        )


def _tune(scheduler: Scheduler, contenders: Sequence[Contender], replicates: range) -> None:
    """Every contender's study in these replicates; only when all of them are over are the trials tested."""
    science = scheduler.science
    scheduler.on_event(events.Stage("tune", len(contenders) * len(replicates) * science.protocol.trials))
    scheduler.train(
        study_stream(science, contenders[together.slot], together, scheduler.on_event)
        for together in in_lockstep(dict(enumerate(scheduler.numerics)), replicates)
    )
    scheduler.score()


def _train(scheduler: Scheduler, replicates: range) -> None:
    """The final seeds of every contender, at the hyperparameters chosen in each of these replicates."""
    science = scheduler.science
    findings = RecordArrays(with_replicates(scheduler.folder.plan, replicates.stop), scheduler.folder.frame())
    scheduler.on_event(events.Stage("final", len(science.contenders) * len(replicates) * science.protocol.final_seeds))
    runs: list[ChunkStream] = []
    for slot, numerics in enumerate(scheduler.numerics):
        chosen = {k: findings.chosen(slot, k) for k in replicates}
        runs += final_streams(science, slot, chosen, numerics.width)
    scheduler.train(runs)


def _write(scheduler: Scheduler, content: dict[str, Any], started: float) -> None:
    """`result.json`; and `timings.json`, which is part of no result."""
    folder = scheduler.folder
    write_data(folder.path / "result.json", content)
    timings = {
        "wall_seconds": time.perf_counter() - started,
        "training_seconds": float(folder.frame()["seconds"].sum()),
        "optimizer_step_seconds": _time_optimizers(scheduler, content),
    }
    if has_controls(folder):
        timings["controls_training_seconds"] = float(controls_record(folder).frame()["seconds"].sum())
    write_data(folder.path / "timings.json", timings)


def _time_optimizers(scheduler: Scheduler, content: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of one step of each optimizer alone, at what was typically chosen; none for those with a closure."""
    settings = [content["contenders"][name]["hyperparameters"] for name in scheduler.names]
    probes = [member(scheduler.science, slot, "tune", 0, 0, values) for slot, values in enumerate(settings)]
    arguments = (scheduler.packed_task, scheduler.packed_contenders, probes, scheduler.numerics[0])
    seconds = result_of(scheduler.workers.submit(jobs.time_optimizers, *arguments))
    return {name: s for name, s in zip(scheduler.names, seconds, strict=True) if math.isfinite(s)}


def _report(scheduler: Scheduler) -> None:
    from assay.report import draw

    scheduler.on_event(events.Stage("report"))
    draw(scheduler.folder.path)
    manifest.seal(scheduler.folder.path)
