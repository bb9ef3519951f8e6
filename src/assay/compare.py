"""The main job, top to bottom: plan → tune → train → judge → report."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from assay import events, export, planning, seeds
from assay.core import Contender, Verdict
from assay.errors import Interrupted
from assay.estimate import estimate_on
from assay.evidence import Findings
from assay.fold import Fold
from assay.planning import Job, plan
from assay.record import RunFolder, manifest
from assay.record.files import write_bytes
from assay.result import result
from assay.tasks import cache
from assay.train import workers
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


def run(job: Job, workers_: int | None = None, on_event: events.OnEvent = events.ignore) -> Result:
    """Train what a plan asks for and the record lacks, judge it, and leave the run folder complete.

    Raises:
        Interrupted: by Ctrl-C, a full disk or a lost worker; what was finished is kept. UsageError: see `compare`.
    """
    count = workers_ or workers.cores()
    try:
        folder = RunFolder.create(job.folder, job.plan)
        with folder.locked(), workers.pool(count) as pool:
            started = time.perf_counter()
            fold = Fold(folder, job.task, job.contenders, pool, on_event)
            _announce(fold)
            _make_data(fold)
            if not fold.recorded:
                estimate_on(pool, job, count, on_event)
            _tune(fold, job.contenders)
            exported = pool.submit(export.studies, folder.path)  # 10 ms a trial, beside the final runs
            _train(fold)
            exported.result()
            content = _judge(fold, started)
            _report(fold)
        return Result(folder.path, content)
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; what is finished is kept, run the same command again to go on") from error


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


def _announce(fold: Fold) -> None:
    if warning := cache.writable():
        fold.on_event(events.Warned(warning))
    fold.on_event(events.Started(planning.trainings(fold.science), fold.recorded, str(fold.folder.path)))


def _make_data(fold: Fold) -> None:
    """Every replicate's data set, made and kept."""
    replicates = range(fold.science.protocol.replicates)
    fold.on_event(events.Stage("data", len(replicates)))
    wanted = [(fold.packed_task, seeds.split(fold.science.seed, k)) for k in replicates]
    fold.call(workers.make_data, wanted, lambda k: fold.on_event(events.DataReady(k)))


def _tune(fold: Fold, contenders: Sequence[Contender]) -> None:
    """Every contender's study in every replicate; only when all of them are over are the trials tested."""
    science, width = fold.science, fold.numerics.width
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
    science, findings = fold.science, Findings(fold.folder.plan, fold.folder.frame())
    slots, replicates = range(len(science.contenders)), range(science.protocol.replicates)
    fold.on_event(events.Stage("final", len(slots) * len(replicates) * science.protocol.final_seeds))
    fold.drive(
        final(science, slot, replicate, findings.chosen(slot, replicate), fold.numerics.width)
        for replicate in replicates
        for slot in slots
    )


def _judge(fold: Fold, started: float) -> dict[str, Any]:
    """`result.json`, from the members; and `timings.json`, which is part of no result."""
    folder = fold.folder
    frame = folder.frame()
    content = result(folder.plan, frame)
    write_bytes(folder.path / "result.json", _json(content))
    timings = {
        "wall_seconds": time.perf_counter() - started,
        "training_seconds": float(frame["seconds"].sum()),
        "optimizer_step_seconds": _time_optimizers(fold, content),
    }
    write_bytes(folder.path / "timings.json", _json(timings))
    return content


def _time_optimizers(fold: Fold, content: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of one step of each optimizer alone, at what was typically chosen; none for those with a closure."""
    settings = [content["contenders"][name]["hyperparameters"] for name in fold.names]
    probes = [member(fold.science, slot, "tune", 0, 0, values) for slot, values in enumerate(settings)]
    arguments = (fold.packed_task, fold.packed_contenders, probes, fold.numerics)
    seconds = fold.executor.submit(workers.time_optimizers, *arguments).result()
    return {name: s for name, s in zip(fold.names, seconds, strict=True) if math.isfinite(s)}


def _report(fold: Fold) -> None:
    from assay.report import draw

    fold.on_event(events.Stage("report"))
    draw(fold.folder.path)
    manifest.seal(fold.folder.path)


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
