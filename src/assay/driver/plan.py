"""From what the user asked for to a frozen plan: a job a task, and what holds them together where there are several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from assay.contenders import contenders as resolve
from assay.contenders.load import apart
from assay.contenders.schedules import with_schedule
from assay.core import Brought, Contender, EngineOptions, ProtocolOptions, Run, Science, Task, TaskOptions
from assay.errors import UsageError, own_frames, said
from assay.judge.scale import FEWEST
from assay.record.extend import folder_for, plan_on_record
from assay.record.suite import Entry, Suite
from assay.tasks import SUITE, find, takes
from assay.training.numerics import check

from . import transfer
from .job import RUNS, Job, default_folder, job_of

Warn = Callable[[str], None]
Setting = dict[str, Any]  # by stress axis, the value of one run
SIZES = ("width", "depth", "batch_size", "train_samples", "epochs")  # of --scale
OWN = ("target", "vocabulary", "model")  # options of a user's own data
AXES = ("epochs", "width", "depth", "context", "batch_size", "label_noise", "train_samples")


@dataclass(frozen=True)
class Comparison:
    """What is asked, settled: a job a task. Where there is a `suite`, the answer across them goes to `folder`, too."""

    jobs: tuple[Job, ...]
    folder: Path
    suite: Suite | None = None


def plan(
    baseline: Brought,
    *candidates: Brought,
    on: TaskOptions | None = None,
    protocol: ProtocolOptions | None = None,
    engine: EngineOptions | None = None,
    out: str | Path | None = None,
    warn: Warn = lambda line: None,
    fresh: bool = False,
) -> Comparison:
    """Settle what is asked before anything is trained.

    `fresh`: no record that there is will be gone on with. `warn` is told, in a line, of what is left out on a task of several:
    a candidate that can't be made for it, or a stress axis that it doesn't take; and of a record of the honest protocol's first
    edition, which is taken as it is.

    Raises:
        UsageError: as in `compare`.
    """
    on, protocol = on or TaskOptions(), protocol or ProtocolOptions()
    transfer.see_that_it_can(protocol, on)
    if on.scale and (len(protocol.schedule) > 1 or len(_named(on.task)) > 1):
        raise UsageError(f"--scale {on.scale}: a slope is of one task with one schedule; ask once for each")
    on = _at_sizes(on, ascending=protocol.transfer is not None)
    engine = check(engine or EngineOptions())
    if not protocol.schedule:
        raise UsageError("no schedule is named: leave it out, or write none")
    found = resolve([baseline, *candidates], protocol.space, tune=protocol.tune)

    def settled(protocol: ProtocolOptions, warn: Warn) -> Comparison:
        if _several(on) or len(protocol.schedule) > 1:
            return plan_suite(found, on, protocol, engine, out, warn)
        ((task, setting),) = _settings(on, warn)
        job = job_of(
            task, _scheduled(found, protocol.schedule[0]), replace(on, epochs=setting.get("epochs")), protocol, engine
        )
        default = default_folder(job.science)
        folder = Path(out) if out else default if fresh else folder_for(default, job.science)
        return Comparison((replace(job, folder=folder),), folder)

    comparison = settled(protocol, warn)
    if protocol.transfer:
        return comparison
    begun = Path(out) if out else RUNS
    if protocol.protocol != "honest" or fresh or not begun.exists() or _is_there(comparison, named=bool(out)):
        return comparison
    try:
        first = settled(replace(protocol, protocol="honest-1"), lambda line: None)
    except UsageError:  # what is asked is of the second edition only
        return comparison
    if not _is_there(first, named=bool(out)):
        return comparison
    warn(
        f"{first.folder} is of the honest protocol's first edition and is judged as before; --fresh makes it anew by the second"
    )
    return first


def _is_there(comparison: Comparison, named: bool) -> bool:
    """Whether there is a record of it. In a folder that the user `named` there may be one of another comparison."""
    if not named:
        return comparison.folder.exists()
    return any(plan_on_record(job.folder, job.science) for job in comparison.jobs)


def _scheduled(contenders: Sequence[Contender], schedule: str) -> tuple[Contender, ...]:
    return tuple(with_schedule(c, schedule) for c in contenders)


def _several(on: TaskOptions) -> bool:
    """Whether more than one run is asked for: several tasks, or several values on a stress axis."""
    if isinstance(on.task, str) and (on.task == "suite" or "," in on.task):
        return True
    return not isinstance(on.task, str | Task) or any(len(values) > 1 for values in _axes(on).values())


def _settings(on: TaskOptions, warn: Warn) -> list[tuple[Task, Setting]]:
    """Each task with each combination of the values on its stress axes: {"width": [32, 256]} → {"width": 32}, {"width": 256}.

    Raises:
        UsageError: a task that comes twice, or none; an axis that no task of the suite takes.
    """
    named, axes, lenient = _named(on.task), _axes(on), on.task == "suite"
    given = {name: value for name in OWN if (value := getattr(on, name)) is not None}
    for option in given:
        if len(named) > 1 and not any(takes(str(name), option) for name in named):
            raise UsageError(f"none of these tasks takes --{option}")
    for axis in axes if lenient else ():
        without = [str(name) for name in named if not takes(str(name), axis)]
        if len(without) == len(named):
            raise UsageError(f"no task of the suite takes --{axis.replace('_', '-')}")
        if without:
            warn(f"--{axis.replace('_', '-')} is nothing to {', '.join(without)}: run without it")
    found: list[tuple[Task, Setting]] = []
    for name in named:
        own = {axis: values for axis, values in axes.items() if not lenient or takes(str(name), axis)}
        theirs = {option: value for option, value in given.items() if len(named) == 1 or takes(str(name), option)}
        for values in product(*own.values()):
            setting = dict(zip(own, values, strict=True))
            options = {axis: value for axis, value in setting.items() if axis != "epochs"}  # which are the job's to set
            found.append((find(name, {**options, **theirs}), setting))
    return found


def _named(task: str | Task | Sequence[str | Task]) -> list[str | Task]:
    """The tasks that `task` names: `suite` is all of the suite, commas part several."""
    if isinstance(task, Task):
        return [task]
    if not isinstance(task, str):
        if not task:
            raise UsageError("no task is named: task is an empty list")
        return list(task)
    names = [n for part in task.split(",") for n in (SUITE if part.strip() == "suite" else [part.strip()]) if n]
    doubled = [n for n in dict.fromkeys(names) if names.count(n) > 1]
    if doubled or not names:
        raise UsageError(f"--task {task}: {f'{doubled[0]} comes twice' if doubled else 'no task is named'}")
    if file := next((n for n in names[1:] if "." in n and ":" not in n), None):
        raise UsageError(f"--task {task}: {file} is no task; commas part tasks, so no file's name may have one")
    return [*names]


def _at_sizes(on: TaskOptions, ascending: bool) -> TaskOptions:
    """The options with the sizes of `--scale` on their axis, in the order given, or the smallest first.

    Raises:
        UsageError: no such axis, fewer than three sizes, or something that is no size.
    """
    if on.scale is None:
        return on
    name, given, values = on.scale.partition("=")
    axis = name.strip().replace("-", "_")
    if not given or axis not in SIZES:
        known = ", ".join(size.replace("_", "-") for size in SIZES)
        raise UsageError(f"--scale {on.scale}: write a size and its values, as in width=32,64,128; sizes are {known}")
    if getattr(on, axis) is not None:
        raise UsageError(f"--scale {on.scale} and --{name}: give the values in one of the two")
    try:
        sizes = [int(value) for value in values.split(",")]
    except ValueError:
        raise UsageError(f"--scale {on.scale}: {values!r} isn't whole numbers parted by commas") from None
    if len(set(sizes)) < max(FEWEST, len(sizes)) or min(sizes) < 1:
        raise UsageError(f"--scale {on.scale}: a slope needs {FEWEST} different sizes at least, each above 0")
    return replace(on, **{axis: sorted(sizes) if ascending else sizes}, scale=None)


def _axes(on: TaskOptions) -> dict[str, list[Any]]:
    """The values on each stress axis that is asked for."""
    given = {axis: getattr(on, axis) for axis in AXES}
    lists = {axis: list(v) if isinstance(v, Sequence) else [v] for axis, v in given.items() if v is not None}
    return {axis: values for axis, values in lists.items() if values}


def plan_suite(
    contenders: tuple[Contender, ...],
    on: TaskOptions,
    protocol: ProtocolOptions,
    engine: EngineOptions,
    out: str | Path | None,
    warn: Warn,
    title: str = "suite",
    wanted: Callable[[Contender], bool] = lambda candidate: True,
) -> Comparison:
    """Settle what is asked on every task; `title` is what the comparison is called.

    Args:
        wanted: whether a candidate that has no part in any task is an error, or goes without more words.
        on: each combination of its stress axes is a run. In the suite, a task that doesn't take one is run without it.
        warn: told, in a line, of a candidate that has no part in a task, for it can't be made for it, and of an axis that a
            task doesn't take.
    Raises:
        UsageError: as in `plan`; also the published protocol, looks, or one margin for all tasks.
    """
    _refuse_what_is_for_one_task(on, protocol)
    baseline, *candidates = contenders
    drafts: list[tuple[Job, str, dict[str, str]]] = []  # with the setting in words, and who has no part in it
    reasons: dict[str, str] = {}
    without: dict[str, str] = {}
    schedules = protocol.schedule
    if doubled := next((s for s in schedules if list(schedules).count(s) > 1), None):
        raise UsageError(f"--schedule {doubled} comes twice")
    if len(schedules) > 1 and all(c.schedule is not None for c in contenders):
        raise UsageError(
            "--schedule is given twice, and each contender names one of its own: leave out one or the other"
        )
    for schedule, (task, setting) in product(schedules, _settings(on, warn)):
        baseline, *candidates = _scheduled(contenders, schedule)
        skipped = _skipped(task, baseline, candidates, warn)
        reasons = {**skipped, **reasons}
        taking_part = [c for c in candidates if c.name not in skipped]
        if protocol.transfer:  # a rule is about sizes, so the plan names them, the task's own default, too
            task = replace(task, options={**task.options, **{k: v for k, v in setting.items() if k != "epochs"}})
        if taking_part or not candidates:
            asked = replace(on, epochs=setting.get("epochs"))
            job = job_of(task, (baseline, *taking_part), asked, protocol, engine)
            words = [_in_words(setting, on), f"schedule {schedule}" if len(schedules) > 1 else ""]
            drafts.append((job, ", ".join(filter(None, words)), skipped))
        else:
            without[task.name] = next(iter(skipped.values()))
    nowhere = [c for c in candidates if all(c.name in skipped for _, _, skipped in drafts)]
    if missed := next(filter(wanted, nowhere), None):
        raise UsageError(f"{missed.name} can't be made for any of these tasks: {reasons[missed.name]}")
    gone = {c.name for c in nowhere}
    drafts = [(job, at, {who: why for who, why in skipped.items() if who not in gone}) for job, at, skipped in drafts]
    return _together(drafts, without, [c for c in contenders if c.name not in gone], on, protocol, out, title)


def _refuse_what_is_for_one_task(on: TaskOptions, protocol: ProtocolOptions) -> None:
    if protocol.protocol == "published":
        raise UsageError(
            "the published protocol decides nothing, so there is nothing to put together across tasks; name one task"
        )
    if protocol.looks is not None:
        raise UsageError("--looks is for one task: the answer across tasks has no looks; name one task")
    if on.margin is not None or on.margin_in_text is not None:
        raise UsageError("--margin is in one task's unit: across tasks each keeps its own; name one task")


def _skipped(task: Task, baseline: Contender, candidates: Sequence[Contender], warn: Warn) -> dict[str, str]:
    """The candidates that have no part in a task, with the reason. UsageError where it is the baseline."""
    if reason := why_not(task, baseline):
        raise UsageError(f"the baseline {baseline.name} can't be made for task {task.name}: {reason}")
    skipped = {c.name: f"doesn't apply: {reason}" for c in candidates if (reason := why_not(task, c))}
    for who, reason in skipped.items():
        warn(f"{who} has no part in task {task.name}: {reason}")
    return skipped


def why_not(task: Task, contender: Contender) -> str | None:
    """None if a contender can be made for a task's model, else what it says: Muon where there is no matrix, for one.

    Raises:
        UsageError: it fails in another way.
    """
    try:
        with apart(f"the model of task {task.name} was made"):
            model = task.model()
    except Exception:  # a fault of the task's, which is told where the task is validated
        return None
    try:
        with apart(f"{contender.name} was made"):
            contender.made(model, Run(100, 1, 100), contender.middle)
    except (ValueError, AttributeError, ImportError) as error:
        return said(error) or type(error).__name__
    except Exception as error:
        raise UsageError(f"{contender.name} fails when it is made for task {task.name}: {own_frames(error)}") from None
    return None


def _in_words(setting: Setting, on: TaskOptions) -> str:
    """Where on the stress axes that have several values."""
    varied = [axis for axis, values in _axes(on).items() if len(values) > 1 and axis in setting]
    return ", ".join(f"{axis.replace('_', ' ')} {setting[axis]}" for axis in varied)


def _together(
    drafts: Sequence[tuple[Job, str, dict[str, str]]],
    without: dict[str, str],
    contenders: Sequence[Contender],
    on: TaskOptions,
    protocol: ProtocolOptions,
    out: str | Path | None,
    title: str,
) -> Comparison:
    """The jobs in the folders of one suite.

    In the first edition each task's own outcomes are judged at its share of the error; from the second on they are what they are
    where a task is asked about alone, and those of the suite have a false coverage rate.
    """
    jobs: list[Job] = []
    entries: list[Entry] = []
    first = drafts[0][0].science.protocol
    for job, at, skipped in drafts:
        task = job.task.name
        science = job.science if first.second else _at(job.science, first.alpha / len(drafts))
        name = f"{task} ({at})" if at else task
        entries.append(Entry(name, _safe(f"{task} {at}"), task, at, science.plan_hash, skipped))
        jobs.append(replace(job, science=science))
    for entry in entries:
        if [e.folder for e in entries].count(entry.folder) > 1:
            raise UsageError(f"two tasks are called {entry.name}: give one another name")
    baseline, *names = [c.name for c in contenders]
    axes: dict[str, tuple[Any, ...]] = {axis: tuple(values) for axis, values in _axes(on).items()}
    if len(protocol.schedule) > 1:
        axes["schedule"] = tuple(protocol.schedule)
    suite = Suite(
        title,
        baseline,
        tuple(names),
        tuple(entries),
        axes,
        first.alpha,
        first.alpha,
        protocol.seed,
        transfer=protocol.transfer or msgspec.UNSET,
        without=without or msgspec.UNSET,
    )
    called = f"{_safe('-'.join([title, *names]))[:80]}-{suite.hash[:8]}"
    folder = Path(out) if out else RUNS / called
    placed = tuple(replace(job, folder=folder / e.folder) for job, e in zip(jobs, entries, strict=True))
    return Comparison(transfer.planned(placed, suite) if protocol.transfer else placed, folder, suite)


def _at(science: Science, alpha: float) -> Science:
    """The science, judged at another level; its trainings are the same."""
    return msgspec.structs.replace(science, protocol=msgspec.structs.replace(science.protocol, alpha=alpha))


def _safe(text: str) -> str:
    safe = "".join(ch if ch.isalnum() or ch in "-_.+" else "-" for ch in text.strip())
    return safe.lstrip(".-") or "task"  # a name that begins with a dot would be hidden, or lead out of the folder
