"""From what the user asked for to a frozen plan, and what that plan will cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import msgspec

from assay import seeds
from assay.contenders import contenders as resolve
from assay.core import MOST_PLANNED, Contender, ContenderInfo, EngineOptions, Protocol, Science, Stages, Task, TaskInfo
from assay.driver.study import SAMPLER_OPTIONS
from assay.errors import UsageError
from assay.record.extend import folder_for
from assay.tasks import find
from assay.training.numerics import check

HONEST = {"replicates": 12, "trials": 20, "trials_for_two": 30, "final_seeds": 8}
PUBLISHED = {"replicates": 1, "trials": 30, "final_seeds": 1}
STAGES = Stages(first=12, most=48)  # of --replicates auto
MOST_LOOKS = 20


@dataclass(frozen=True)
class Job:
    """The science of a plan, the objects that it speaks of, and the engine that was asked for."""

    science: Science
    task: Task
    contenders: tuple[Contender, ...]
    folder: Path
    wanted: EngineOptions
    controls: bool = False  # beside the question; no part of the science


def plan(
    baseline: str | Contender,
    *candidates: str | Contender,
    task: str | Task = "mnist1d-mlp",
    protocol: str = "honest",
    trials: int | None = None,
    replicates: int | str | None = None,
    looks: str | Sequence[int] | None = None,
    final_seeds: int | None = None,
    epochs: int | None = None,
    margin: float | None = None,
    space: Sequence[str] = (),
    seed: int = 0,
    engine: str = "auto",
    compile: str = "auto",
    device: str = "cpu",
    controls: bool = False,
    out: str | Path | None = None,
) -> Job:
    """Settle what is asked before anything is trained. Arguments and faults as in `compare`."""
    wanted = check(EngineOptions(engine=engine, compile=compile, device=device))  # type: ignore[arg-type]
    found = resolve([baseline, *candidates], space)
    settled = with_looks(protocol_of(protocol, found, trials, replicates, final_seeds), looks, replicates)
    if controls:
        check_controls(settled)
    on = overridden(find(task), epochs, margin)
    science = science_of(on, found, settled, seed)
    folder = Path(out) if out else folder_for(default_folder(science), science)
    return Job(science, for_protocol(on, settled.name), found, folder, wanted, controls)


def check_controls(protocol: Protocol) -> None:
    """UsageError for a protocol that gives controls no interval."""
    if protocol.name == "published":
        raise UsageError(
            "--controls: the published protocol has one seed, which gives no interval; use --protocol honest"
        )
    if protocol.replicates < 2:
        raise UsageError(f"--controls: --replicates {protocol.replicates} gives no interval; take 2 at least")
    if isinstance(protocol.looks, tuple):
        raise UsageError("--controls and --looks: controls have no looks; take one of the two")


def protocol_of(
    name: str,
    contenders: Sequence[Contender],
    trials: int | None = None,
    replicates: int | str | None = None,
    final_seeds: int | None = None,
) -> Protocol:
    """The protocol with its defaults filled in. UsageError for a number out of its range, or one the protocol fixes.

    `replicates`: a number, or `auto` or `auto:MOST` for two stages (see `judge.two_stage`).
    """
    if name not in ("honest", "published"):
        raise UsageError(f"no protocol is called {name!r}; known: honest, published")
    replicates, stages = parse_replicates(replicates)
    if stages and name == "published":
        raise UsageError("--replicates auto: the published protocol has 1; use --protocol honest for more")
    for option, value in (("--trials", trials), ("--replicates", replicates), ("--final-seeds", final_seeds)):
        if value is not None and value < 1:
            raise UsageError(f"{option} {value}: it must be 1 at least")
    if max(replicates or 0, stages.most if stages else 0) > MOST_PLANNED:
        asked = f"auto:{stages.most}" if stages else replicates
        raise UsageError(f"--replicates {asked}: {MOST_PLANNED:,} are the most that can be planned")
    if name == "published":
        for option, value in (("--replicates", replicates), ("--final-seeds", final_seeds)):
            if value not in (None, 1):
                raise UsageError(f"{option} {value}: the published protocol has 1; use --protocol honest for more")
        numbers = dict(PUBLISHED)
    else:
        many = any(len(c.space) >= 2 for c in contenders)
        numbers = {**HONEST, "trials": HONEST["trials_for_two"] if many else HONEST["trials"]}
    return Protocol(
        name=name,  # type: ignore[arg-type]
        replicates=replicates or numbers["replicates"],
        trials=trials or numbers["trials"],
        final_seeds=final_seeds or numbers["final_seeds"],
        sampler=f"optuna {metadata.version('optuna')} TPE",  # another version may ask for other trials
        sampler_options=SAMPLER_OPTIONS,
        stages=stages or msgspec.UNSET,
    )


def parse_replicates(given: int | str | None) -> tuple[int | None, Stages | None]:
    """A number of replicates, or two stages with the number of the first: 12, `12`, `auto`, `auto:MOST`.

    Raises:
        UsageError: something else, or a maximum with no room for the first stage.
    """
    if given is None or isinstance(given, int):
        return given, None
    word, colon, most = given.partition(":")
    try:
        if word != "auto":
            return int(given), None
        stages = msgspec.structs.replace(STAGES, most=int(most)) if colon else STAGES
    except ValueError:
        raise UsageError(f"--replicates {given}: write a number, auto, or auto:MOST as in auto:{STAGES.most}") from None
    if stages.most < stages.first:
        raise UsageError(f"--replicates {given}: the first of the two stages alone has {stages.first}")
    return stages.first, stages


def with_looks(protocol: Protocol, looks: str | Sequence[int] | None, replicates: int | str | None) -> Protocol:
    """The protocol with the looks that are asked for: growing numbers of replicates, `12,24` or a list.

    Raises:
        UsageError: something else, numbers that don't grow from 2, or a number of replicates beside them.
    """
    if looks is None:
        return protocol
    try:
        found = tuple(int(k) for k in (looks.split(",") if isinstance(looks, str) else looks))
    except (TypeError, ValueError):
        raise UsageError(f"--looks {looks}: write numbers of replicates, as in 12,24") from None
    if not 2 <= len(found) <= MOST_LOOKS or found[0] < 2 or any(b <= a for a, b in pairwise(found)):
        raise UsageError(f"--looks {looks}: two to {MOST_LOOKS} growing numbers of replicates, from 2 up, as in 12,24")
    if found[-1] > MOST_PLANNED:
        raise UsageError(f"--looks {looks}: {MOST_PLANNED:,} replicates are the most that can be planned")
    if protocol.name == "published":
        raise UsageError("--looks: the published protocol has one replicate; use --protocol honest")
    if replicates is not None and str(replicates) != str(found[-1]):
        raise UsageError(f"--replicates {replicates}: --looks {looks} says how many there are; leave it out")
    return msgspec.structs.replace(protocol, replicates=found[0], looks=found)


def for_protocol(task: Task, protocol: Literal["honest", "published"]) -> Task:
    """The task with the data that the protocol uses.

    The published protocol tunes on the test split: of the published study's own data where the task has it.

    Raises:
        UsageError: an honest comparison is asked of a task without a validation split (found when its data is made).
    """
    if protocol == "honest":
        return replace(task, data=_WithValidation(task))
    return replace(task, data=_Published(task))


class _WithValidation:
    """A task's data, which must have a validation split."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, seed: int):
        splits = self.task.data(seed)
        if splits.validation is None:
            raise UsageError(
                f"task {self.task.name} has no validation split, and tuning on its test split would not be honest; "
                "give its data one, or use --protocol published"
            )
        return splits


class _Published:
    """A task's data without a validation split: tuned and reported on the test split."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(self, seed: int):
        splits = self.task.published() if self.task.published else self.task.data(seed)
        return replace(splits, validation=None)


def science_of(task: Task, contenders: Sequence[Contender], protocol: Protocol, seed: int) -> Science:
    """The science of a plan.

    Raises:
        UsageError: fewer than two contenders, epochs below 1, a margin that is not above 0, or two replicates whose
            data would be drawn from one seed.
    """
    if len(contenders) < 2:
        raise UsageError("a comparison needs a baseline and at least one candidate: assay run BASELINE CANDIDATE")
    if task.epochs < 1:
        raise UsageError(f"--epochs {task.epochs}: it must be 1 at least")
    if not (task.margin > 0 and math.isfinite(task.margin)):
        raise UsageError(f"--margin {task.margin:g}: the smallest difference that matters must be above 0")
    if isinstance(protocol.looks, tuple) and not task.generated:
        raise UsageError(
            f"--looks: task {task.name} has fixed data, whose replicates overlap, so that no error can be spent over them; "
            "use --replicates"
        )
    drawn = [seeds.split(seed, k) % 2**32 for k in range(most_replicates(protocol))]  # as generators take them
    if len(set(drawn)) < len(drawn):
        raise UsageError(f"--seed {seed} would draw the data of two replicates alike; take another")
    return Science(task_info(task), tuple(contender_info(c) for c in contenders), protocol, seed)


def task_info(task: Task) -> TaskInfo:
    """The task as data."""
    return TaskInfo(
        name=task.name,
        reference=task.reference,
        source=task.source,
        options=dict(task.options),
        metric=task.metric.name,
        direction=task.metric.direction,
        unit=task.metric.unit,
        scale=task.metric.scale,
        epochs=task.epochs,
        batch_size=task.batch_size,
        margin=task.margin,
        margin_reason=task.margin_reason,
        generated=task.generated,
        family=task.family,
        note=task.note,
    )


def contender_info(contender: Contender) -> ContenderInfo:
    """The contender as data."""
    return ContenderInfo(
        name=contender.name,
        reference=contender.reference,
        source=contender.source,
        space=dict(contender.space),
        fixed={k: repr(v) for k, v in contender.fixed.items()},
        schedule=getattr(contender.schedule, "__name__", None) if contender.schedule else None,
        closure=contender.closure,
        note=contender.note,
    )


def default_folder(science: Science) -> Path:
    """`assay-runs/<task>-<candidate>-<hash8>`."""
    candidates = "-".join(c.name for c in science.contenders[1:])
    safe = "".join(ch if ch.isalnum() or ch in "-_.+" else "_" for ch in f"{science.task.name}-{candidates}")[:80]
    return Path("assay-runs") / f"{safe}-{science.plan_hash[:8]}"


def trainings(science: Science, replicates: int | None = None) -> int:
    """How many trainings a plan asks for, with `replicates` or as planned (of two stages the first)."""
    p = science.protocol
    return len(science.contenders) * (replicates or p.replicates) * (p.trials + p.final_seeds)


def control_trainings(science: Science) -> int:
    """How many trainings `--controls` adds: a contender's for each of three, and for a replay of each candidate."""
    p = science.protocol
    return (3 + len(science.contenders) - 1) * p.replicates * (p.trials + p.final_seeds)


def most_replicates(protocol: Protocol) -> int:
    """As many replicates as there can be."""
    if isinstance(protocol.looks, tuple):
        return protocol.looks[-1]
    return protocol.stages.most if isinstance(protocol.stages, Stages) else protocol.replicates


def overridden(task: Task, epochs: int | None, margin: float | None) -> Task:
    """The task with what the command line sets; the margin in the metric's file units."""
    changes: dict[str, Any] = {}
    if epochs is not None:
        changes["epochs"] = epochs
    if margin is not None:
        changes |= {"margin": margin, "margin_reason": "chosen by the user (--margin)"}
    return replace(task, **changes)
