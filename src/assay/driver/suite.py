"""The same comparison on several tasks, each in a run folder of its own, and one answer across them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from assay import events
from assay.answer.suite import Judged, result_across, seconds_to_target
from assay.contenders import contenders as resolve
from assay.core import Contender, Run, Science, Task, Verdict, steps_per_epoch, verdicts_of
from assay.driver import compare
from assay.driver import plan as planning
from assay.driver.plan import Job
from assay.errors import NoVerdict, UsageError, own_frames
from assay.record import RunFolder, locked, manifest
from assay.record.documents import write_data
from assay.record.suite import Entry, Suite, start
from assay.space import midpoint
from assay.tasks import SUITE, find, takes

ALPHA = 0.05


@dataclass(frozen=True)
class Jobs:
    """A suite, the jobs of its entries, and where it goes."""

    suite: Suite
    jobs: tuple[Job, ...]
    folder: Path


@dataclass(frozen=True)
class AcrossResult:
    """What a comparison across tasks came to: its folder, and what `result.json` in it says."""

    folder: Path
    content: Mapping[str, Any]

    @property
    def verdicts(self) -> list[Verdict]:
        """One a candidate: outcome, sentence, difference in margins with its interval, and its cell for each task."""
        return verdicts_of(self.content)


def names_of(task: str) -> list[str]:
    """The tasks that `--task` names: `suite` is all eight, commas part several.

    Raises:
        UsageError: a name that comes twice, or none.
    """
    names = [n for part in task.split(",") for n in (SUITE if part.strip() == "suite" else [part.strip()]) if n]
    doubled = [n for n in dict.fromkeys(names) if names.count(n) > 1]
    if doubled or not names:
        raise UsageError(f"--task {task}: {f'{doubled[0]} comes twice' if doubled else 'no task is named'}")
    return names


def settings_of(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Every combination of the values on the stress axes: {"width": [32, 256]} → [{"width": 32}, {"width": 256}]."""
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


def plan(
    baseline: str | Contender,
    *candidates: str | Contender,
    tasks: str | Sequence[str | Task] = "suite",
    axes: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    title: str = "suite",
    alpha: float = ALPHA,
    cells_alpha: float = ALPHA,
    warn: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> Jobs:
    """Settle what is asked on every task before anything is trained.

    Args:
        tasks: names parted by commas, or a list of names and tasks.
        axes: values of `width`, `batch_size`, `label_noise`, `train_samples` or `epochs`; each combination is a run. In the
            suite, a task that doesn't take one is run without it.
        alpha, cells_alpha: the error allowed over all headlines, and over all tasks' own outcomes.
        warn: told, in a line, of a candidate that has no part in a task, for it can't be made for it, and of an axis that a
            task doesn't take.
        options: as `planning.plan` takes them, task and margin aside.
    Raises:
        UsageError: as in `planning.plan`; also the published protocol or one margin for all tasks.
    """
    if options.get("protocol", "honest") != "honest":
        raise UsageError(
            "the published protocol decides nothing, so there is nothing to put together across tasks; name one task"
        )
    if options.get("looks") is not None:
        raise UsageError("--looks is for one task: the answer across tasks has no looks; name one task")
    if options.get("margin") is not None:
        raise UsageError("--margin is in one task's unit: across tasks each keeps its own; name one task")
    named = names_of(tasks) if isinstance(tasks, str) else list(tasks)
    varied = [axis for axis, values in (axes or {}).items() if len(values) > 1]
    first, *others = resolve([baseline, *candidates], options.pop("space", ()))
    jobs: list[Job] = []
    entries: list[Entry] = []
    left_out: dict[str, str] = {}
    for name, chosen in _settings(named, axes or {}, isinstance(tasks, str) and tasks == "suite", warn):
        task = find(name, {k: v for k, v in chosen.items() if k != "epochs"})
        budget = {"epochs": chosen["epochs"]} if "epochs" in chosen else {}
        if reason := why_not(task, first):
            raise UsageError(f"the baseline {first.name} can't be made for task {task.name}: {reason}")
        skipped = {c.name: f"doesn't apply: {reason}" for c in others if (reason := why_not(task, c))}
        for who, reason in skipped.items():
            warn(f"{who} has no part in task {task.name}: {reason}")
        taking_part = [c for c in others if c.name not in skipped]
        if others and not taking_part:
            left_out |= skipped
            continue
        jobs.append(planning.plan(first, *taking_part, task=task, out="unplaced", **{**options, **budget}))
        setting = ", ".join(f"{axis.replace('_', ' ')} {chosen[axis]}" for axis in varied if axis in chosen)
        shown = f"{task.name} ({setting})" if setting else task.name
        entries.append(Entry(shown, _safe(f"{task.name} {setting}"), task.name, setting, "", skipped))
    for c in others:
        if all(c.name in e.skipped for e in entries):
            reason = next((e.skipped[c.name] for e in entries), left_out.get(c.name, ""))
            raise UsageError(f"{c.name} can't be made for any of these tasks: {reason}")
    shared = cells_alpha / len(jobs)
    jobs = [replace(job, science=_at(job.science, shared)) for job in jobs]
    entries = [msgspec.structs.replace(e, plan_hash=j.science.plan_hash) for e, j in zip(entries, jobs, strict=True)]
    _distinct(entries)
    names = tuple(c.name for c in others)
    asked = {axis: tuple(values) for axis, values in (axes or {}).items()}
    suite = Suite(title, first.name, names, tuple(entries), asked, alpha, cells_alpha, jobs[0].science.seed)
    folder = Path(out) if out else Path("assay-runs") / f"{_safe('-'.join([title, *names]))[:80]}-{suite.hash[:8]}"
    placed = tuple(replace(job, folder=folder / e.folder) for job, e in zip(jobs, entries, strict=True))
    return Jobs(suite, placed, folder)


def _settings(
    named: Sequence[str | Task], axes: Mapping[str, Sequence[Any]], lenient: bool, warn: Callable[[str], None]
) -> list[tuple[str | Task, dict[str, Any]]]:
    """Each task with each combination of the axes that it is given. UsageError for an axis that no task of the suite takes."""
    found: list[tuple[str | Task, dict[str, Any]]] = []
    for axis in axes if lenient else ():
        without = [str(name) for name in named if not takes(str(name), axis)]
        if len(without) == len(named):
            raise UsageError(f"no task of the suite takes --{axis.replace('_', '-')}")
        if without:
            warn(f"--{axis.replace('_', '-')} is nothing to {', '.join(without)}: run without it")
    for name in named:
        own = {a: v for a, v in axes.items() if not lenient or takes(str(name), a)}
        found += [(name, chosen) for chosen in settings_of(own)]
    return found


def why_not(task: Task, contender: Contender) -> str | None:
    """None if a contender can be made for a task's model, else what it says: Muon where there is no matrix, for one.

    Raises:
        UsageError: it fails in another way.
    """
    chosen = {name: midpoint(dimension) for name, dimension in contender.space.items()}
    try:
        model = task.model()
    except Exception:  # a fault of the task's, which is told where the task is admitted
        return None
    try:
        contender.make(model, Run(100, 1, 100), **{**contender.fixed, **chosen})
    except (ValueError, AttributeError, ImportError) as error:
        return " ".join(str(error).split()) or type(error).__name__
    except Exception as error:
        raise UsageError(f"{contender.name} fails when it is made for task {task.name}: {own_frames(error)}") from None
    return None


def run(
    jobs: Jobs,
    workers: int | str | None = None,
    on_event: events.OnEvent = events.ignore,
    time_limit: float | None = None,
) -> AcrossResult:
    """Do the work, task by task. Interrupted and run again, it goes on; a task that is finished is not judged again.

    Raises:
        Interrupted: resumable. UsageError: see `plan`. NoVerdict: none can be given on any task.
    """
    started = time.perf_counter()
    start(jobs.folder, jobs.suite)
    runs: list[Judged] = []
    with locked(jobs.folder):
        for place, (entry, job) in enumerate(zip(jobs.suite.entries, jobs.jobs, strict=True), start=1):
            on_event(events.TaskBegins(entry.name, place, len(jobs.jobs)))
            runs.append(_judged(entry, job, workers, on_event, time_limit))
        content = result_across(jobs.suite, runs)
        write_data(jobs.folder / "result.json", content)
        timings = {
            "wall_seconds": time.perf_counter() - started,
            "seconds_to_target": {r.entry.name: seconds_to_target(r) for r in runs},
            "step_seconds": {r.entry.name: _step_seconds(r) for r in runs},
        }
        write_data(jobs.folder / "timings.json", timings)
        _report(jobs.folder, on_event)
    return AcrossResult(jobs.folder, content)


def compare_across(
    baseline: str | Contender, *candidates: str | Contender, workers: int | str | None = None, **options: Any
) -> AcrossResult:
    """Is a candidate better than the tuned baseline across tasks? Arguments and faults as in `plan` and `run`.

    >>> assay.compare_across("adam", "nadam", tasks="digits,quadratic").verdicts[0].sentence  # doctest: +SKIP
    """
    return run(plan(baseline, *candidates, **options), workers)


def _judged(
    entry: Entry, job: Job, workers: int | str | None, on_event: events.OnEvent, time_limit: float | None
) -> Judged:
    try:
        content = dict(compare.finished(job) or compare.run(job, workers, on_event, time_limit).content)
    except NoVerdict as error:
        on_event(events.Warned(f"task {entry.name}: {error}"))
        manifest.seal(job.folder)
        content = None
    folder = RunFolder.open(job.folder)
    return Judged(entry, folder.plan, folder.frame(), content)


def _step_seconds(run: Judged) -> dict[str, float]:
    """Seconds of one training step of each contender, training time over steps."""
    found = {}
    for slot, contender in enumerate(run.plan.science.contenders):
        rows = run.arrays.members(slot, "final")
        task = run.plan.science.task
        steps = steps_per_epoch(int(rows["train_samples"][0]), task.batch_size) * task.epochs
        found[contender.name] = float(rows["seconds"].median()) / steps  # type: ignore[arg-type]
    return found


def _report(folder: Path, on_event: events.OnEvent) -> None:
    from assay.report import draw

    on_event(events.Stage("report"))
    draw(folder)
    manifest.seal(folder)


def _at(science: Science, alpha: float) -> Science:
    """The science, judged at another level; its trainings are the same."""
    return msgspec.structs.replace(science, protocol=msgspec.structs.replace(science.protocol, alpha=alpha))


def _distinct(entries: Sequence[Entry]) -> None:
    folders = [e.folder for e in entries]
    for e in entries:
        if folders.count(e.folder) > 1:
            raise UsageError(f"two tasks are called {e.name}: give one another name")


def _safe(text: str) -> str:
    safe = "".join(ch if ch.isalnum() or ch in "-_.+" else "-" for ch in text.strip())
    return safe.lstrip(".-") or "task"  # a name that begins with a dot would be hidden, or lead out of the folder
