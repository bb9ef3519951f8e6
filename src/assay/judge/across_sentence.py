"""What is said of a candidate across tasks: the finding, then on how many tasks it holds and on which it doesn't."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from assay.core import Outcome
from assay.judge.across import Flip
from assay.judge.decide import Interval
from assay.judge.digits import printed
from assay.judge.sentence import amount, counted

AGREEING: dict[str, tuple[str, ...]] = {
    "better": ("better",),
    "worse": ("worse",),
    "equivalent": ("equivalent", "negligible"),
    "negligible": ("equivalent", "negligible"),
}


class TaskFinding(NamedTuple):
    """A task's own outcome; None where no verdict can be given on it, or the candidate takes no part."""

    task: str
    outcome: Outcome | None
    takes_part: bool = True


def sentence(
    candidate: str,
    baseline: str,
    outcome: Outcome,
    interval: Interval,
    sources: int,
    tasks: Sequence[TaskFinding],
    task_level: float,
    trials: int,
    found_flips: Sequence[Flip] = (),
    distinct: int | None = None,
) -> str:
    """The sentences. `interval` in margins, over `sources`; each task's own outcome is at `task_level`.

    `distinct`: how many tasks there are, where some come at several settings.
    """
    judged = [t for t in tasks if t.outcome is not None]
    several = distinct is not None and distinct < len(judged)
    number = counted(len(judged), "setting" if several else "task")
    of = f" of {counted(distinct or 0, 'task')}" if several else ""
    said = [_finding(candidate, baseline, outcome, interval, sources, number + of, trials)]
    said.append(_holds(outcome, judged, task_level, number))
    absent = [t.task for t in tasks if not t.takes_part]
    if absent:
        said.append(f"It doesn't apply to {_listed(absent)}.")
    missing = [t.task for t in tasks if t.outcome is None and t.takes_part]
    if missing:
        said.append(f"No verdict can be given on {_listed(missing)}.")
    said += [f"On {f.task} the order turns round: better at {f.better}, worse at {f.worse}." for f in found_flips]
    return " ".join(said)


def holding(outcome: Outcome, tasks: Sequence[TaskFinding]) -> list[str]:
    """The tasks whose own outcome is that of all of them; none for an inconclusive one."""
    return [t.task for t in tasks if t.outcome in AGREEING.get(outcome, ())]


def _finding(
    candidate: str, baseline: str, outcome: Outcome, interval: Interval, sources: int, tasks: str, trials: int
) -> str:
    where = f"Across {tasks} on {counted(sources, 'data source')}"
    text = printed(interval.mean, interval.low, interval.high, 1.0)
    if text.mean.strip("−0.") == "":
        place = f"within {amount(_last_digit(text.digits), 'margins')} of {baseline}"
    else:
        side = "above" if interval.mean > 0 else "below"
        place = f"{amount(text.mean.removeprefix('−'), 'margins')} {side} {baseline}"
    who = f"{where}, {candidate} tuned with {counted(trials, 'trial')} lies on average {place}"
    if not interval.exists:
        return f"{who} (one data source gives no interval across them): {outcome}."
    level = f"{100 * interval.level:.4g} % interval {text.low} to {text.high} over the data sources"
    return f"{who} ({level}; a margin is the smallest difference that matters on a task): {outcome}."


def _holds(outcome: Outcome, tasks: Sequence[TaskFinding], level: float, number: str) -> str:
    alone = f"each alone at the {100 * level:.4g} % level"
    groups = {o: [t.task for t in tasks if t.outcome == o] for o in dict.fromkeys(t.outcome for t in tasks)}
    if outcome not in AGREEING:
        parts = [f"{o} on {len(names)} ({_listed(names)})" for o, names in groups.items()]
        return f"Of {number}, {alone}, it is {'; '.join(parts)}."
    holds = holding(outcome, tasks)
    others = [f"{o} on {_listed(names)}" for o, names in groups.items() if o not in AGREEING[outcome]]
    on = f" ({_listed(holds)})" if holds else ""
    rest = f"; it is {'; '.join(others)}" if others else ""
    return f"Of {number}, {alone}, the finding holds on {len(holds)}{on}{rest}."


def _last_digit(digits: int) -> str:
    return f"{10.0**-digits:.{digits}f}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
