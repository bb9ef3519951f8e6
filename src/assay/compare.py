"""The main job, top to bottom: plan → tune → train → judge → report."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from assay import events, export, planning, seeds
from assay.contenders import contenders as resolve
from assay.core import Contender, Numerics, Plan, Science, Task, Verdict, midpoint
from assay.errors import Interrupted
from assay.estimate import Estimate, estimate, sentence
from assay.evidence import Findings
from assay.fold import Fold
from assay.record import RunFolder, manifest
from assay.record.files import write_bytes
from assay.result import result
from assay.tasks import cache, find
from assay.train import workers
from assay.train.numerics import settle
from assay.tune import final, member, study


@dataclass(frozen=True)
class Result:
    """What a comparison came to: the run folder, and what `result.json` in it says."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict a candidate."""
        return [msgspec.convert(v, Verdict) for v in self.content["verdicts"]]

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


@dataclass(frozen=True)
class Job:
    """A plan with the objects that it speaks of."""

    plan: Plan
    task: Task
    contenders: tuple[Contender, ...]
    folder: Path


def plan(
    baseline: str | Contender,
    *candidates: str | Contender,
    task: str | Task = "mnist1d-mlp",
    protocol: str = "honest",
    trials: int | None = None,
    replicates: int | None = None,
    final_seeds: int | None = None,
    epochs: int | None = None,
    margin: float | None = None,
    space: Sequence[str] = (),
    seed: int = 0,
    engine: str = "auto",
    device: str = "cpu",
    out: str | Path | None = None,
) -> Job:
    """Settle everything before anything is trained. Arguments and faults as in `compare`."""
    found = resolve([baseline, *candidates], space)
    settled = planning.protocol_of(protocol, found, trials, replicates, final_seeds)
    on = planning.overridden(find(task), epochs, margin)
    science = planning.science_of(on, found, settled, seed)
    whole = Plan(science, settle(engine, device))
    return Job(
        whole, planning.for_protocol(on, settled.name), found, Path(out) if out else planning.default_folder(whole)
    )


def run(job: Job, workers_: int | None = None, on_event: events.OnEvent = events.ignore) -> Result:
    """Train what a plan asks for and the record lacks, judge it, and leave the run folder complete.

    Raises:
        Interrupted: by Ctrl-C, a full disk or a lost worker; what was finished is kept. UsageError: see `compare`.
    """
    started = time.perf_counter()
    folder = RunFolder.create(job.folder, job.plan)
    science = folder.plan.science
    with folder.locked():
        if warning := cache.writable():
            on_event(events.Warned(warning))
        recorded = len(list(folder.members.glob("*.parquet")))
        on_event(events.Started(planning.trainings(science), recorded, str(folder.path)))
        count = workers_ or workers.cores()
        pool = workers.LocalWorkers(count)
        try:
            fold = Fold(folder, job.task, job.contenders, pool, on_event)
            _make_data(fold, science)
            if not recorded:
                _estimate(pool, job, folder.plan.numerics, count, on_event)
            _tune(fold, job.contenders)
            exported = pool.submit(export.studies, folder.path)  # 10 ms a trial, beside the final runs
            _train(fold)
            exported.result()
        except KeyboardInterrupt as error:
            pool.kill()
            raise Interrupted(
                "interrupted; finished trainings are kept, run the same command again to go on"
            ) from error
        except BaseException:
            pool.kill()
            raise
        pool.shutdown()

        on_event(events.Stage("report"))
        frame = folder.frame()
        content = result(folder.plan, frame)
        write_bytes(folder.path / "result.json", _json(content))
        timings = {"wall_seconds": time.perf_counter() - started, "training_seconds": float(frame["seconds"].sum())}
        write_bytes(folder.path / "timings.json", _json(timings))
        from assay.report import draw

        draw(folder.path)
        manifest.seal(folder.path)
    return Result(folder.path, content)


def compare(
    baseline: str | Contender, *candidates: str | Contender, workers: int | None = None, **options: Any
) -> Result:
    """Is a candidate better than the tuned baseline, on this task, and by how much?

    Args:
        baseline, candidates: registered names, `pkg.mod:Name`, `path/file.py:Name`, or `assay.Contender`s.
        workers: processes; by default one a core.
        options: as `plan` takes them: task, protocol, trials, replicates, final_seeds, epochs, margin
            (metric units), space, seed, engine, device, out.
    Raises:
        UsageError: a fault in what was asked for. Interrupted: resumable. NoVerdict: none can be given.
    """
    return run(plan(baseline, *candidates, **options), workers)


def _make_data(fold: Fold, science: Science) -> None:
    replicates = range(science.protocol.replicates)
    fold.on_event(events.Stage("data", len(replicates)))
    wanted = [(fold.packed_task, seeds.split(science.seed, k)) for k in replicates]
    fold.call(workers.make_data, wanted, lambda k: fold.on_event(events.DataReady(k)))


def estimated(job: Job, workers_: int | None = None, on_event: events.OnEvent = events.ignore) -> Estimate:
    """The cost and power of a plan; trains nothing of it (one epoch is timed, and thrown away)."""
    with workers.LocalWorkers(workers_ or workers.cores()) as pool:
        return _estimate(pool, job, job.plan.numerics, workers_ or workers.cores(), on_event)


def _estimate(pool: Executor, job: Job, numerics: Numerics, count: int, on_event: events.OnEvent) -> Estimate:
    on_event(events.Stage("estimate"))
    science, baseline = job.plan.science, job.contenders[0]
    middle = {name: midpoint(dimension) for name, dimension in baseline.space.items()}
    probe = member(science, 0, "tune", 0, 0, middle)
    arguments = (workers.pack(job.task), workers.pack(baseline), probe, numerics)
    samples, seconds = pool.submit(workers.time_step, *arguments).result()
    found = estimate(science, job.task, samples, seconds, count)
    on_event(events.Estimated(tuple(sentence(found, science))))
    return found


def _tune(fold: Fold, contenders: Sequence[Contender]) -> None:
    """Every contender's study in every replicate; only when all of them are over are the trials tested."""
    plan = fold.folder.plan
    science, width = plan.science, plan.numerics.width
    replicates = range(science.protocol.replicates)
    fold.on_event(events.Stage("tune", len(contenders) * len(replicates) * science.protocol.trials))
    fold.drive(
        study(science, slot, contender, together, width, fold.on_event)
        for together in (replicates[i : i + width] for i in range(0, len(replicates), width))
        for slot, contender in enumerate(contenders)
    )
    fold.score()


def _train(fold: Fold) -> None:
    """The final seeds of every contender, at the hyperparameters chosen in each replicate."""
    plan = fold.folder.plan
    science, findings = plan.science, Findings(plan, fold.folder.frame())
    slots, replicates = range(len(science.contenders)), range(science.protocol.replicates)
    fold.on_event(events.Stage("final", len(slots) * len(replicates) * science.protocol.final_seeds))
    fold.drive(
        final(science, slot, replicate, findings.chosen(slot, replicate), plan.numerics.width)
        for replicate in replicates
        for slot in slots
    )


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
