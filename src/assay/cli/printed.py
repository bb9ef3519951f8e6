"""What a command prints when it is done: tables, conclusions, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from assay.events.text import Screen, line, say_json
from assay.judge.speedup_sentence import seconds_sentence
from assay.record import manifest, output
from assay.record.timings import read_timings

if TYPE_CHECKING:
    from assay.driver.planned import Planned
    from assay.driver.retrain import Retrained

MANY = 3  # candidates that a table has a column for, each


def console() -> Screen:
    """Standard output; lines go as far as they go."""
    return Screen(highlight=False, soft_wrap=True, emoji=False)


def as_json(content: Any) -> None:
    """A value as indented JSON, on standard output."""
    say_json(msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n")


def concluded(folder: Path, content: Mapping[str, Any], *, json: bool, quiet: bool, recorded: str = "") -> None:
    """A table, and the conclusions in a sentence each, on standard output; or `result.json` as it is.

    `recorded`: from when the answer is, where it was on record; with JSON it is said on standard error.
    """
    note = [Text(f"{recorded}; --fresh trains anew")] if recorded else []
    if json:
        if note:
            Screen(stderr=True, highlight=False, soft_wrap=True).print(*note)
        say_json((folder / "result.json").read_text(encoding="utf-8"))
        return
    timed = read_timings(folder).get("speedup", {})
    out, sentences = console(), [Text(_sentence(v, timed.get(v["candidate"]))) for v in content["verdicts"]]
    if quiet:
        out.print(Text("\n").join([*sentences, *note]))
        return
    if "tasks" in content:
        out.print(_overview(content) if len(sentences) > MANY else _by_task(content), soft_wrap=False)
        out.print("differences in margins, positive is better; each cell has its own interval", style="dim")
        sentences = sentences if len(sentences) <= MANY else []
    else:
        out.print(_contenders(content), soft_wrap=False)
        sentences += [
            Text(c["sentence"], style="yellow" if c["passed"] is False else "dim") for c in content.get("controls", [])
        ]
    where = [line(f"what its code printed: {log}") for log in sorted(folder.glob(f"**/{output.NAME}"))]
    where += [line(f"report: {folder / 'report.html'}"), line(f"root of the record: {manifest.root(folder)}")]
    for text in (*sentences, *note, Text("\n").join(where)):
        out.print()
        out.print(text)


def _sentence(verdict: Mapping[str, Any], timed: Mapping[str, Any] | None) -> str:
    """The verdict's own, and what a speed-up is in seconds, where steps were timed."""
    said: str = verdict["sentence"]
    return said if timed is None else f"{said} {seconds_sentence(verdict, timed)}"


def _contenders(content: Mapping[str, Any]) -> Table:
    """A row a contender: what it was tuned to, and what that came to."""
    table = Table("contender", "tuned", "score", "sd", "diverged", box=None, pad_edge=False)
    scale, unit = content["scale"], content["unit"]
    verdicts = content["verdicts"]
    for name in [verdicts[0]["baseline"], *(v["candidate"] for v in verdicts)]:  # on record they are by name
        c = content["contenders"][name]
        tuned = _listed({k: f"{v:.3g}" if isinstance(v, float) else v for k, v in c["hyperparameters"].items()})
        score = "–" if c["score_mean"] is None else f"{scale * c['score_mean']:.2f} {unit}"
        sd = "–" if c["score_sd"] is None else f"{scale * c['score_sd']:.2f}"
        table.add_row(line(name), line(tuned), score, sd, str(c["diverged"] + c["diverged_trials"]))
    return table


def _listed(named: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _by_task(content: Mapping[str, Any]) -> Table:
    """A row a task and a column a candidate."""
    verdicts = content["verdicts"]
    table = Table("task", *(escape(v["candidate"]) for v in verdicts), box=None, pad_edge=False)
    for place, task in enumerate(content["tasks"]):
        table.add_row(line(task["name"]), *(_cell(v["tasks"][place]) for v in verdicts))
    return table


def _overview(content: Mapping[str, Any]) -> Table:
    """A row a candidate, the best first: more of them than a screen has columns for; the page has every cell."""
    table = Table("contender", "all tasks", "better on", "worse on", "has no part in", box=None, pad_edge=False)
    for v in sorted(content["verdicts"], key=lambda v: -(v["difference"] if v["difference"] is not None else -1e9)):
        by = {o: ", ".join(c["task"] for c in v["tasks"] if c["outcome"] == o) for o in ("better", "worse", None)}
        table.add_row(line(v["candidate"]), _cell(v), *(Text(by[o] or "–") for o in ("better", "worse", None)))
    return table


def _cell(cell: Mapping[str, Any]) -> Text:
    if cell["outcome"] is None:
        return Text(cell["why"], style="dim")
    numbers = (cell["difference"], cell["ci_low"], cell["ci_high"])
    shown = ["–" if x is None else f"{x:+.1f}".replace("-", "−") for x in numbers]
    interval = "no interval" if cell["ci_low"] is None else f"{shown[1]} to {shown[2]}"
    return Text(f"{cell['outcome']}  {shown[0]} ({interval})")


def planned(found: Planned, *, json: bool) -> None:
    """The plan, its cost and its power, on standard output."""
    if json:
        as_json(found.data)
    else:
        for said in str(found).splitlines():
            console().print(line(said))


def verified(
    folder: Path, faults: Sequence[str], again: Sequence[Retrained], drawn_by: Sequence[str], *, json: bool
) -> int:
    """What verification found; the exit code, 1 for a mismatch. `drawn_by`: what can't be drawn here as it was, a line each."""
    if json:
        return _verified_as_json(folder, faults, again, drawn_by)
    out = console()
    for fault in faults:
        out.print(line(f"mismatch: {fault}"))
    for r in again:
        word = "the same to the bit" if r.exact else "as close as another machine comes" if r.sound else "NOT the same"
        where = f"{r.contender}, {r.member.words}"
        losses = f"loss after one epoch {r.first_loss[0]:.6g}, now {r.first_loss[1]:.6g}"
        others = "" if r.data else "; its data are others than the record's"
        out.print(line(f"retrained {where}: {word} ({losses}{others})"))
        if r.unlike:
            out.print(line(f"mismatch: {where}: its engine isn't the loop: {r.unlike}"))
    wrong = len(faults) + sum(not r.sound for r in again)
    summary = (
        f"{wrong} mismatch{'es' * (wrong > 1)}"
        if wrong
        else "plan, seeds, data, choice and verdict follow from the members"
    )
    for said in drawn_by:
        out.print(line(said))
    out.print(line(f"root of the record: {manifest.root(folder)}"))
    out.print(line(f"{folder}: {summary}"))
    return 1 if wrong else 0


def _verified_as_json(folder: Path, faults: Sequence[str], again: Sequence[Retrained], drawn_by: Sequence[str]) -> int:
    fields = ("contender", "exact", "sound", "first_loss", "unlike")
    as_json(
        {
            "root": manifest.root(folder),
            "mismatches": list(faults),
            "not_compared": list(drawn_by),
            "retrained": [{"member": r.member.words, **{f: getattr(r, f) for f in fields}} for r in again],
        }
    )
    return 1 if faults or not all(r.sound for r in again) else 0


def listing() -> None:
    """Contenders, tasks and engines, a line each."""
    from assay.contenders.registry import CONTENDERS, PACKAGED
    from assay.tasks import TASKS

    rows = [
        ("contender", name, f"{entry.summary}; {entry.reference}; tunes {_listed(entry.space)}")
        for name, entry in CONTENDERS.items()
    ]
    rows += [("contender", name, f"{entry.reference}; tunes what its class takes") for name, entry in PACKAGED.items()]
    rows += [("task", name, summary) for name, (_, summary) in TASKS.items()]
    rows += [
        ("task", "suite", "all of these, and one verdict across them"),
        ("engine", "loop", "one model at a time, in plain PyTorch: the reference"),
        ("engine", "vectorized", "whole populations at once, compiled on a CPU, with unmodified optimizers"),
    ]
    for kind, name, text in rows:
        console().print(line(f"{kind:<10} {name:<20} {text}"))
