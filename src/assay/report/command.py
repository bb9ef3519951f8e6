"""The command that asks the same question again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from assay.contenders.registry import CONTENDERS, PACKAGED
from assay.core import ContenderInfo, Plan, Protocol, Science, Stages
from assay.record.suite import Suite
from assay.space import Choice, Dimension, scale_of


def command(
    plan: Plan, wider: Mapping[str, Mapping[str, str]] | None = None, controls: bool = False, speedup: bool = False
) -> list[str] | None:
    """`assay run …` with everything that differs from a default, as arguments; None if Python alone can repeat it.

    A contender or a task made in Python has no name that the command line could find. `wider`: ranges to take
    instead, in the words of --space, by contender and hyperparameter.
    """
    science, protocol = plan.science, plan.science.protocol
    if not science.task.reference or any(_name(c) is None for c in science.contenders):
        return None
    words = ["assay", "run", *(str(_name(c)) for c in science.contenders)]
    words += ["--task", science.task.reference]
    for option, value in science.task.options.items():
        words += [f"--{option.replace('_', '-')}", str(value)]
    words += ["--protocol", protocol.word, "--trials", str(protocol.trials)]
    if protocol.name != "published":
        words += [*_replicates(protocol), "--final-seeds", str(protocol.final_seeds)]
    words += ["--epochs", str(science.task.epochs)]
    if "--margin" in science.task.margin_reason:
        words += ["--margin", _divided_back(science.task.margin, science.task.scale)]
    words += _spaces(science, wider or {})
    words += [option for option, given in (("--speedup", speedup), ("--controls", controls)) if given]
    engine = "loop" if all(n.engine == "loop" for n in plan.numerics) else "vectorized"
    words += ["--seed", str(science.seed), "--engine", engine, "--device", plan.numerics[0].device]
    words += ["--compile", "on"] if engine == "loop" and any(n.compiled for n in plan.numerics) else []
    words += ["--micro-batch", str(plan.numerics[0].micro_batch)] if plan.numerics[0].micro_batch else []
    return words + (["--precision", plan.numerics[0].precision] if plan.numerics[0].precision else [])


def quoted(words: Sequence[str]) -> list[str]:
    """The words as one types them into a shell; an option stays with its value."""
    pieces: list[str] = []
    for word in map(shlex.quote, words):
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1]:
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    return pieces


def _spaces(science: Science, wider: Mapping[str, Mapping[str, str]]) -> list[str]:
    """--space for every range that isn't the registered contender's own, and that no pilot looks for."""
    words: list[str] = []
    for contender in science.contenders:
        usual, instead = _registered(contender), wider.get(contender.name, {})
        for name, dimension in contender.space.items():
            if contender.pilot and name == "lr" and name not in instead:
                continue
            if name in instead or usual not in CONTENDERS or CONTENDERS[usual].space.get(name) != dimension:
                words += ["--space", f"{contender.name}.{name}={instead.get(name, _range(dimension))}"]
    return words


def _replicates(protocol: Protocol) -> list[str]:
    stages = protocol.stages
    if isinstance(protocol.looks, tuple):
        return ["--looks", ",".join(map(str, protocol.looks))]
    return ["--replicates", f"auto:{stages.most}" if isinstance(stages, Stages) else str(protocol.replicates)]


def _name(contender: ContenderInfo) -> str | None:
    """What to call a contender on the command line: a registered name, or its reference, with ALIAS= where needed."""
    registered, suffix = _registered(contender), f"+{contender.schedule}" if contender.schedule else ""
    reference = registered + suffix if registered else contender.reference
    if not reference:
        return None
    return reference if reference.rpartition(":")[2] == contender.name else f"{contender.name}={reference}"


def _registered(contender: ContenderInfo) -> str | None:
    """The optimizer known by name that this is, whatever it is called here, and whatever its schedule."""
    known = {**CONTENDERS, **PACKAGED}
    reference = contender.reference.removesuffix(f"+{contender.schedule}")
    for name in sorted(known, key=lambda name: name != contender.name):
        fixed = {k: repr(v) for k, v in known[name].fixed.items() if k not in contender.space}
        if known[name].reference == reference and fixed == dict(contender.fixed):
            return name
    return None


def _range(dimension: Dimension) -> str:
    """A range in the words of --space, its numbers exact (`str` of a dimension rounds them)."""
    if isinstance(dimension, Choice):
        return "|".join(map(str, dimension.options))
    return f"{dimension.low!r}..{dimension.high!r}{scale_of(dimension)}"


def _divided_back(margin: float, scale: float) -> str:
    """The shortest number that the command line, dividing by the scale, turns into exactly this margin."""
    near = margin * scale
    beside = (repr(math.nextafter(near, end)) for end in (0, math.inf))
    texts = (*(f"{near:.{digits}g}" for digits in range(1, 18)), *beside)
    return next((text for text in texts if float(text) / scale == margin), repr(near))


def _unscheduled(fullest: Plan, plans: Sequence[Plan]) -> list[ContenderInfo]:
    """The contenders, without what --schedule gave them, which is another on other settings."""
    found: dict[str, set[str | None]] = {}
    for contender in (each for plan in plans for each in plan.science.contenders):
        found.setdefault(contender.name, set()).add(contender.schedule)
    return [
        replace(c, schedule=None, reference=c.reference.removesuffix(f"+{c.schedule}")) if len(found[c.name]) > 1 else c
        for c in fullest.science.contenders
    ]


def _added(contenders: Sequence[ContenderInfo]) -> list[str]:
    """The contenders of a board that a user has added, as they were named."""
    known, schedule = {*CONTENDERS, *PACKAGED}, contenders[0].schedule
    return [str(_name(c)).removesuffix(f"+{schedule}") for c in contenders if c.name not in known]


def across(suite: Suite, plans: Sequence[Plan], speedup: bool = False) -> list[str] | None:
    """The command of a comparison across tasks; None if Python alone can repeat it."""
    if any(command(plan) is None for plan in plans):
        return None
    fullest, board = max(plans, key=lambda plan: len(plan.science.contenders)), suite.title == "board"
    contenders = fullest.science.contenders if board else _unscheduled(fullest, plans)
    words = ["assay", "board", *_added(contenders)] if board else ["assay", "run", *(str(_name(c)) for c in contenders)]
    tasks = [plan.science.task for plan in plans]
    words += ["--task", ",".join(dict.fromkeys(task.reference for task in tasks))]
    for option, value in {o: v for task in tasks for o, v in task.options.items() if o not in suite.axes}.items():
        words += [f"--{option.replace('_', '-')}", str(value)]
    for axis, values in suite.axes.items():
        for value in values:
            words += [f"--{axis.replace('_', '-')}", value if isinstance(value, str) else f"{value:g}"]
    words += ["--schedule", contenders[0].schedule or "none"] if board else _spaces(fullest.science, {})
    words += ["--transfer", suite.transfer] if suite.transfer else []
    words += ["--speedup"] if speedup else []
    p = fullest.science.protocol
    words += [] if p.word == "honest" else ["--protocol", p.word]
    numbers = {"trials": p.trials, "replicates": p.replicates, "final-seeds": p.final_seeds, "seed": suite.seed}
    return [*words, *(word for option, value in numbers.items() for word in (f"--{option}", str(value)))]
