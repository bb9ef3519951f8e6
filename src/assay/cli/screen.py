"""What the command line shows: live progress on a terminal, a table and the conclusion at the end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from assay import events

if TYPE_CHECKING:
    from assay.driver.estimate import Estimate
    from assay.driver.plan import Job
    from assay.driver.retrain import Retrained
    from assay.driver.suite import Jobs

MANY = 3  # candidates that a table has a column for, each

STAGES = {
    "data": "drawing data",
    "settle": "choosing the engine",
    "estimate": "timing a step",
    "tune": "tuning",
    "score": "scoring the trials",
    "final": "final runs",
    "controls": "tuning the controls",
    "controls_final": "running the controls",
    "report": "drawing the report",
}


@contextlib.contextmanager
def view(quiet: bool) -> Iterator[events.OnEvent]:
    """A listener that draws on a terminal; warnings go to standard error wherever that leads."""
    console = Console(stderr=True, highlight=False)
    board = _Board(console)
    if quiet or not console.is_terminal:
        yield board.warn_only
        return
    with Live(board, console=console, refresh_per_second=8, transient=True):
        yield board


class _Board:
    """One bar a stage, and the best trial so far of each contender."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self.bar = self.progress.add_task("loading torch", total=None)
        self.best: dict[str, events.TrialDone] = {}

    def __rich__(self) -> Group:
        lines = [
            Text(f"  {name}: trial {e.trial + 1}, best validation score so far {e.best:.4g}", style="dim")
            for name, e in self.best.items()
        ]
        return Group(self.progress, *lines)

    def warn_only(self, event: events.Event) -> None:
        if isinstance(event, events.Warned):
            self.console.print(Text(f"assay: {event.message}"), style="yellow", soft_wrap=True)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Started(trainings, folder):
                self.console.print(Text(f"{trainings} trainings → {folder}"), soft_wrap=True)
            case events.TaskBegins(task, place, tasks):
                self.console.print(Text(f"task {place} of {tasks}: {task}"), style="bold", soft_wrap=True)
                self.best.clear()
            case events.Estimated(lines):
                self.console.print(Text("\n".join(lines)), soft_wrap=True)
            case events.Stage(name, total):
                self.progress.update(self.bar, visible=False)
                self.bar = self.progress.add_task(STAGES.get(name, name), total=total or None)
            case events.DataReady() | events.Scored() | events.Settled():
                self.progress.advance(self.bar)
            case events.Trained(_, _, members, _):
                self.progress.advance(self.bar, members)
            case events.TrialDone(contender, _, _, _, best):
                if (
                    contender not in self.best
                    or best >= self.best[contender].best
                    or event.trial > self.best[contender].trial
                ):
                    self.best[contender] = event
            case events.Warned():
                self.warn_only(event)


def conclude(folder: Path, content: Mapping[str, Any], *, json: bool, quiet: bool) -> None:
    """The table of contenders and the conclusion in a sentence, on standard output; or `result.json` as it is."""
    if json:
        sys.stdout.write((folder / "result.json").read_text(encoding="utf-8"))
        return
    console = Console(highlight=False)
    sentences = [v["sentence"] for v in content["verdicts"]]
    if quiet:
        console.print("\n".join(sentences), soft_wrap=True, markup=False)
        return
    table = Table("contender", "tuned", "score", "sd", "diverged", box=None, pad_edge=False)
    scale, unit = content["scale"], content["unit"]
    for name, c in content["contenders"].items():
        tuned = ", ".join(f"{k} {_number(v)}" for k, v in c["hyperparameters"].items())
        diverged = c["diverged"] + c["diverged_trials"]
        score = "–" if c["score_mean"] is None else f"{scale * c['score_mean']:.2f} {unit}"
        sd = "–" if c["score_sd"] is None else f"{scale * c['score_sd']:.2f}"
        table.add_row(Text(name), Text(tuned), score, sd, str(diverged))
    console.print(table)
    for sentence in sentences:
        console.print()
        console.print(Text(sentence))
    for control in content.get("controls", []):
        console.print()
        console.print(Text(control["sentence"]), style="yellow" if control["passed"] is False else "dim")
    console.print()
    console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)


def planned(job: Job, found: Estimate, *, json: bool) -> int:
    """The plan, its cost and its power, on standard output."""
    from assay.driver.estimate import as_data, sentence

    science = job.science
    if json:
        import msgspec

        content = {"science": msgspec.to_builtins(science), "plan_hash": science.plan_hash, "estimate": as_data(found)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
        return 0
    console = Console(highlight=False, soft_wrap=True)
    for info in science.contenders:
        tuned = ", ".join(f"{name} {dimension}" for name, dimension in info.space.items())
        console.print(Text(f"{info.name}: {info.reference} ({info.source[:20]}), tunes {tuned}"))
    for line in sentence(found, science):
        console.print(Text(line))
    console.print(Text(f"plan {science.plan_hash[:8]}, would go to {job.folder}"))
    return 0


def conclude_across(folder: Path, content: Mapping[str, Any], *, json: bool, quiet: bool) -> None:
    """A row a task and a column a candidate, and the conclusions, on standard output; or `result.json` as it is."""
    if json:
        sys.stdout.write((folder / "result.json").read_text(encoding="utf-8"))
        return
    console = Console(highlight=False)
    verdicts = content["verdicts"]
    if len(verdicts) > MANY and not quiet:
        console.print(_overview(content))
    elif not quiet:
        table = Table("task", *(escape(v["candidate"]) for v in verdicts), box=None, pad_edge=False)
        for place, task in enumerate(content["tasks"]):
            table.add_row(Text(task["name"]), *(_cell(v["tasks"][place]) for v in verdicts))
        console.print(table)
    if not quiet:
        console.print("differences in margins, positive is better; each cell has its own interval", style="dim")
        console.print()
    if quiet or len(verdicts) <= MANY:
        console.print(Text("\n\n".join(v["sentence"] for v in verdicts)), soft_wrap=True)
    if not quiet:
        console.print()
        console.print(Text(f"report: {folder / 'report.html'}"), soft_wrap=True)


def _overview(content: Mapping[str, Any]) -> Table:
    """A row a candidate, the best first: more of them than a screen has columns for; the page has every cell."""
    table = Table("contender", "all tasks", "better on", "worse on", "has no part in", box=None, pad_edge=False)
    for v in sorted(content["verdicts"], key=lambda v: -(v["difference"] if v["difference"] is not None else -1e9)):
        by = {o: ", ".join(c["task"] for c in v["tasks"] if c["outcome"] == o) for o in ("better", "worse", None)}
        table.add_row(Text(v["candidate"]), _cell(v), *(Text(by[o] or "–") for o in ("better", "worse", None)))
    return table


def _cell(cell: Mapping[str, Any]) -> Text:
    if cell["outcome"] is None:
        return Text(cell["why"], style="dim")
    numbers = (cell["difference"], cell["ci_low"], cell["ci_high"])
    shown = ["–" if x is None else f"{x:+.1f}".replace("-", "−") for x in numbers]
    interval = "no interval" if cell["ci_low"] is None else f"{shown[1]} to {shown[2]}"
    return Text(f"{cell['outcome']}  {shown[0]} ({interval})")


def planned_across(jobs: Jobs, found: Sequence[Estimate], *, json: bool) -> int:
    """The plan and cost of every task, and of them all, on standard output."""
    from assay.driver.estimate import as_data, duration, sentence

    if json:
        import msgspec

        pairs = zip(jobs.suite.entries, found, strict=True)
        tasks = [{"name": e.name, "plan_hash": e.plan_hash, "estimate": as_data(one)} for e, one in pairs]
        content = {"tasks": tasks, "suite_hash": jobs.suite.hash}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")
        return 0
    console = Console(highlight=False, soft_wrap=True)
    for entry, job, one in zip(jobs.suite.entries, jobs.jobs, found, strict=True):
        console.print(Text(f"{entry.name}: {'; '.join(sentence(one, job.science))}"))
    seconds = [one.seconds for one in found]
    total = "" if None in seconds else f", about {duration(sum(s for s in seconds if s is not None))} here"
    console.print(Text(f"{sum(one.trainings for one in found)} trainings in all{total}"))
    console.print(Text(f"plan {jobs.suite.hash[:8]}, would go to {jobs.folder}"))
    return 0


def status(path: Path) -> int:
    """What is finished of what is planned, and whether a command is at work."""
    from assay.answer.reached import reached
    from assay.controls.judged import controls_record, has_controls
    from assay.core import Stages
    from assay.record import RunFolder, manifest
    from assay.record.lock import is_busy
    from assay.record.suite import is_suite, runs

    if is_suite(path):
        for name, folder in runs(path).items():
            if (folder / "plan.json").exists():
                status(folder)
            else:
                Console(highlight=False, soft_wrap=True).print(Text(f"{name}: not begun"))
        console = Console(highlight=False, soft_wrap=True)
        sealed = (path / "result.json").exists() and manifest.sealed(path)
        state = (
            "running"
            if is_busy(path)
            else _as_sealed(path, console)
            if sealed
            else "not finished; the same command goes on"
        )
        console.print(Text(f"all of {path}: {state}"))
        return 0
    if is_busy(path) and not (path / "plan.json").exists():
        Console(highlight=False, soft_wrap=True).print(Text(f"{path}: running; data and engines are being prepared"))
        return 0
    folder = RunFolder.open(path)
    science = folder.plan.science
    p = science.protocol
    done = folder.counts()
    console = Console(highlight=False, soft_wrap=True)
    two_stages = done and isinstance(p.stages, Stages)
    replicates = reached(folder.plan, folder.frame()).science.protocol.replicates if two_stages else p.replicates
    for slot, contender in enumerate(science.contenders):
        tune, final = done.get((slot, "tune"), 0), done.get((slot, "final"), 0)
        planned = replicates * p.trials, replicates * p.final_seeds
        console.print(Text(f"{contender.name}: {tune} of {planned[0]} trials, {final} of {planned[1]} final runs"))
    if has_controls(folder):
        own = sum(controls_record(folder).counts().values())
        console.print(Text(f"controls: {own} trainings"))
    if folder.plan.earlier:
        console.print(Text(f"lengthened, after a verdict at {', '.join(map(str, folder.plan.earlier))} replicates"))
    sealed = (path / "result.json").exists() and manifest.sealed(path)
    state = "running" if is_busy(path) else "finished" if sealed else "stopped; the command that made it goes on"
    doubtful = manifest.doubtful(path) if state == "finished" else []
    for line in manifest.brief(doubtful):
        console.print(Text(line))
    if doubtful:
        state = (
            "finished, but not as it was sealed; assay verify says what still holds, the command that made it mends it"
        )
    console.print(Text(f"{path}: {state}"))
    return 0


def _as_sealed(path: Path, console: Console) -> str:
    """How a finished folder is; what was changed since is printed."""
    from assay.record import manifest

    doubtful = manifest.doubtful(path)
    for line in manifest.brief(doubtful):
        console.print(Text(line))
    return "finished, but not as it was sealed: assay verify says what still holds" if doubtful else "finished"


def verified(folder: Path, faults: Sequence[str], again: Sequence[Retrained]) -> int:
    """What verification found; the exit code, 1 for a mismatch."""
    console = Console(highlight=False, soft_wrap=True)
    for fault in faults:
        console.print(Text(f"mismatch: {fault}"))
    for r in again:
        word = "the same to the bit" if r.exact else "as close as another machine comes" if r.sound else "NOT the same"
        m = r.member
        where = f"{r.contender}, {m.phase} {m.index} of replicate {m.replicate}"
        console.print(
            Text(f"retrained {where}: {word} (loss after one epoch {r.first_loss[0]:.6g}, now {r.first_loss[1]:.6g})")
        )
    wrong = len(faults) + sum(not r.sound for r in again)
    summary = f"{wrong} mismatches" if wrong else "plan, seeds, data, choice and verdict follow from the members"
    console.print(Text(f"{folder}: {summary}"))
    return 1 if wrong else 0


def listing() -> None:
    """Contenders, tasks and engines, a line each."""
    from assay.contenders.registry import CONTENDERS
    from assay.tasks import TASKS

    console = Console(highlight=False)
    rows: list[tuple[str, str, str]] = []
    for name, entry in CONTENDERS.items():
        tuned = ", ".join(f"{k} {v}" for k, v in entry.space.items())
        rows.append(("contender", name, f"{entry.summary}; {entry.reference}; tunes {tuned}"))
    rows += [("task", name, summary) for name, (_, summary) in TASKS.items()]
    rows.append(("task", "suite", "all of these, and one verdict across them"))
    rows.append(("engine", "loop", "one model at a time, in plain PyTorch: the reference"))
    rows.append(("engine", "vectorized", "whole populations at once, compiled on a CPU, with unmodified optimizers"))
    for kind, name, text in rows:
        console.print(Text(f"{kind:<10} {name:<14} {text}"), soft_wrap=True)


def _number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
