"""What is said of a candidate across tasks: the finding, then on how many tasks it holds and on which it doesn't."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from assay.core import Outcome
from assay.core.verdict import Flip, HeldBack
from assay.judge.decide import Interval
from assay.judge.digits import printed, step
from assay.judge.sentence import amount, counted, listed

AGREEING: dict[str, tuple[str, ...]] = {
    "better": ("better",),
    "worse": ("worse",),
    "equivalent": ("equivalent", "negligible"),
    "negligible": ("equivalent", "negligible"),
}

SIDES = ("better", "worse")


class TaskOutcome(NamedTuple):
    """A task's own outcome; None where no verdict can be given on it, or the candidate takes no part."""

    task: str
    outcome: Outcome | None
    takes_part: bool = True


@dataclass(frozen=True)
class AcrossFacts:
    """What is to be said of one candidate. `interval` in margins, over `sources`.

    `coverage`: the false coverage rate of the tasks' own outcomes, from the second edition on, where the interval is over these
    tasks; `alike`: what there is said of tasks like these, where it was looked at.
    """

    candidate: str
    baseline: str
    outcome: Outcome
    interval: Interval
    sources: int
    tasks: list[TaskOutcome]
    task_level: float  # of each task's own outcome
    tuned: str  # how
    flips: list[Flip] = field(default_factory=list[Flip])
    distinct: int | None = None  # how many tasks there are, where some come at several settings
    held_back: HeldBack | None = None  # what the interval alone would say, where ranges could explain it
    held_back_by: Sequence[str] = ()  # on these tasks
    coverage: float | None = None
    alike: tuple[Interval, Outcome] | None = None
    schedules: int = 1  # that the tasks are asked about with


def sentence(f: AcrossFacts) -> str:
    """The finding, on how many tasks it holds, and on which it doesn't."""
    judged = [t for t in f.tasks if t.outcome is not None]
    several = f.distinct is not None and f.distinct < len(judged)
    number = counted(len(judged), "setting" if several else "task")
    of = f" of {counted(f.distinct or 0, 'task')}" if several else ""
    said = [_finding(f, number + of), *_alike(f), _holds(f, judged, number)]
    absent = [t.task for t in f.tasks if not t.takes_part]
    if absent:
        said.append(f"It doesn't apply to {listed(absent)}.")
    missing = [t.task for t in f.tasks if t.outcome is None and t.takes_part]
    if missing:
        said.append(f"No verdict can be given on {listed(missing)}.")
    if f.held_back:
        said.append("Each of those tasks' own sentence names the wider range to go on with (--space).")
    said += [f"On {t.task} the order turns round: better at {t.better}, worse at {t.worse}." for t in f.flips]
    if f.schedules > 1 and not f.flips:
        alike = (
            "the same"
            if all(t.outcome == f.outcome for t in judged) and f.outcome in SIDES
            else "not seen to turn round"
        )
        said.append(f"Between the schedules the order is {alike}.")
    return " ".join(said)


def holding(outcome: Outcome, tasks: Sequence[TaskOutcome]) -> list[str]:
    """The tasks whose own outcome is that of all of them; none for an inconclusive one."""
    return [t.task for t in tasks if t.outcome in AGREEING.get(outcome, ())]


def _finding(f: AcrossFacts, tasks: str) -> str:
    interval = f.interval
    text = printed(interval.mean, interval.low, interval.high, 1.0)
    if text.mean.strip("−0.") == "":
        place = f"within {amount(step(text.digits), 'margins')} of {f.baseline}"
    else:
        side = "above" if interval.mean > 0 else "below"
        place = f"{amount(text.mean.removeprefix('−'), 'margins')} {side} {f.baseline}"
    who = f"Across {tasks} on {counted(f.sources, 'data source')}, {f.candidate} {f.tuned}"
    where = f"{who} lies on average {place}"
    if f.coverage is not None:
        where += " on these tasks"
    if not interval.exists:
        why = (
            "one data source gives no interval across them" if f.coverage is None else "one replicate gives no interval"
        )
        return f"{where} ({why}): {f.outcome}."
    level = f"{100 * interval.level:.4g} % interval {text.low} to {text.high}"
    level += " over the data sources" if f.coverage is None else ""
    end = f.outcome
    if f.held_back:
        who = f.candidate if f.held_back == "worse" else f.baseline
        end = f"{f.outcome}, for the range of {who} on {listed(f.held_back_by)} may be why it is {f.held_back}"
    return f"{where} ({level}; a margin is the smallest difference that matters on a task): {end}."


def _alike(f: AcrossFacts) -> Iterator[str]:
    """What is said of tasks like these."""
    if f.alike is None:
        return
    interval, decided = f.alike
    if not interval.exists:
        yield "One data source says nothing of others."
        return
    text = printed(interval.mean, interval.low, interval.high, 1.0)
    span = f"{100 * interval.level:.4g} % interval {text.low} to {text.high} over the data sources"
    yield f"On tasks like these: {decided} ({span})."


def _holds(f: AcrossFacts, tasks: Sequence[TaskOutcome], number: str) -> str:
    outcome, level = f.outcome, f.task_level
    alone = f"each alone at the {100 * level:.4g} % level"
    if f.coverage is not None:
        alone = f"at a false coverage rate of {100 * f.coverage:.4g} %"
    groups = {o: [t.task for t in tasks if t.outcome == o] for o in dict.fromkeys(t.outcome for t in tasks)}
    if outcome not in AGREEING:
        parts = [f"{o} on {len(names)} ({listed(names)})" for o, names in groups.items()]
        return f"Of {number}, {alone}, it is {'; '.join(parts)}."
    holds = holding(outcome, tasks)
    others = [f"{o} on {listed(names)}" for o, names in groups.items() if o not in AGREEING[outcome]]
    on = f" ({listed(holds)})" if holds else ""
    rest = f"; it is {'; '.join(others)}" if others else ""
    return f"Of {number}, {alone}, the finding holds on {len(holds)}{on}{rest}."
