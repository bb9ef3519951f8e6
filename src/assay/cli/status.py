"""How far a run is, while it runs and after."""

from __future__ import annotations

from pathlib import Path

from assay.answer.reached import reached
from assay.controls.judged import controls_record, has_controls
from assay.core import Stages
from assay.events.text import line
from assay.record import RunFolder, manifest
from assay.record.inspection import inspect
from assay.record.lock import is_busy
from assay.record.suite import is_suite, runs

from .printed import console

UNFINISHED = (
    "interrupted, or ended by an error: what is finished is kept, and the command that made it goes on from there"
)


def status(path: Path) -> None:
    """What is finished of what is planned, and whether a command is at work, on standard output."""
    if not is_busy(path):  # else files come and go, and what is there was written by the command at work
        inspect(path, ("members",))
    if not is_suite(path):
        _of_run(path)
        return
    for name, folder in runs(path).items():
        if (folder / "plan.json").exists():
            _of_run(folder)
        else:
            console().print(line(f"{name}: not begun"))
    _state(path, f"all of {path}", UNFINISHED)


def _of_run(path: Path) -> None:
    if is_busy(path) and not (path / "plan.json").exists():
        console().print(line(f"{path}: running; data and engines are being prepared"))
        return
    folder = RunFolder.open(path)
    p, done, out = folder.plan.science.protocol, folder.counts(), console()
    two_stages = done and isinstance(p.stages, Stages)
    replicates = reached(folder.plan, folder.frame()).science.protocol.replicates if two_stages else p.replicates
    for slot, contender in enumerate(folder.plan.science.contenders):
        tune, final = done.get((slot, "tune"), 0), done.get((slot, "final"), 0)
        pilot = f"{done.get((slot, 'pilot'), 0)} trials of its pilot, " if contender.pilot else ""
        asked = f"{pilot}{tune} of {replicates * p.trials} trials, {final} of {replicates * p.final_seeds} final runs"
        out.print(line(f"{contender.name}: {asked}"))
    if has_controls(folder):
        out.print(line(f"controls: {sum(controls_record(folder).counts().values())} trainings"))
    for rung in folder.rungs():
        epochs = rung.plan.science.task.epochs
        out.print(line(f"the baseline at {epochs} epochs: {sum(rung.counts().values())} trainings"))
    if folder.plan.earlier:
        out.print(line(f"lengthened, after a verdict at {', '.join(map(str, folder.plan.earlier))} replicates"))
    _state(path, str(path), UNFINISHED)


def _state(path: Path, called: str, unfinished: str) -> None:
    """Whether it runs, is finished, and is as it was then; what was changed since, a line each."""
    out, state = console(), unfinished
    if is_busy(path):
        state = "running"
    elif (path / "result.json").exists() and manifest.sealed(path):
        doubtful = manifest.doubtful(path)
        for said in manifest.brief(doubtful):
            out.print(line(said))
        state = "finished"
        if doubtful:
            state += ", but not as it was sealed; assay verify says what still holds, the command that made it mends it"
    out.print(line(f"{called}: {state}"))
