"""The command that asks the same question again."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence

from assay.contenders.registry import CONTENDERS
from assay.core import ContenderInfo, Plan, Protocol, Stages
from assay.record.suite import Suite
from assay.space import Choice, Dimension


def command(
    plan: Plan, wider: Mapping[str, Mapping[str, str]] | None = None, controls: bool = False
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
    words += ["--protocol", protocol.name, "--trials", str(protocol.trials)]
    if protocol.name != "published":
        words += [*_replicates(protocol), "--final-seeds", str(protocol.final_seeds)]
    words += ["--epochs", str(science.task.epochs)]
    if "--margin" in science.task.margin_reason:
        words += ["--margin", _divided_back(science.task.margin, science.task.scale)]
    for contender in science.contenders:
        usual = _registered(contender)
        instead = (wider or {}).get(contender.name, {})
        for name, dimension in contender.space.items():
            if name in instead or usual is None or CONTENDERS[usual].space.get(name) != dimension:
                words += ["--space", f"{contender.name}.{name}={instead.get(name, _range(dimension))}"]
    words += ["--controls"] if controls else []
    return [*words, "--seed", str(science.seed), "--engine", _engine(plan), "--device", plan.numerics[0].device]


def quoted(words: Sequence[str]) -> list[str]:
    """The words as one types them into a shell; an option stays with its value."""
    pieces: list[str] = []
    for word in map(shlex.quote, words):
        if pieces and pieces[-1].startswith("--") and " " not in pieces[-1]:
            pieces[-1] += f" {word}"
        else:
            pieces.append(word)
    return pieces


def _replicates(protocol: Protocol) -> list[str]:
    stages = protocol.stages
    if isinstance(protocol.looks, tuple):
        return ["--looks", ",".join(map(str, protocol.looks))]
    return ["--replicates", f"auto:{stages.most}" if isinstance(stages, Stages) else str(protocol.replicates)]


def _name(contender: ContenderInfo) -> str | None:
    """What to call a contender on the command line: a registered name, or its reference, with ALIAS= where needed."""
    known = _registered(contender)
    if known is None and not contender.reference:
        return None
    usual = known or contender.reference.rpartition(":")[2]
    reference = known or contender.reference
    return reference if usual == contender.name else f"{contender.name}={reference}"


def _registered(contender: ContenderInfo) -> str | None:
    """The registered contender that this is, whatever it is called here."""
    own = [contender.name] if contender.name in CONTENDERS else []
    for name in (*own, *CONTENDERS):
        entry = CONTENDERS[name]
        fixed = {k: repr(v) for k, v in entry.fixed.items() if k not in contender.space}
        if entry.reference == contender.reference and fixed == dict(contender.fixed):
            return name
    return None


def _range(dimension: Dimension) -> str:
    """A range in the words of --space, its numbers exact (`str` of a dimension rounds them)."""
    if isinstance(dimension, Choice):
        return "|".join(map(str, dimension.options))
    return f"{dimension.low!r}..{dimension.high!r}" + (":log" if dimension.log else "")


def _divided_back(margin: float, scale: float) -> str:
    """The shortest number that the command line, dividing by the scale, turns into exactly this margin."""
    for digits in range(1, 18):
        text = f"{margin * scale:.{digits}g}"
        if float(text) / scale == margin:
            return text
    near = margin * scale
    exact = next((x for x in (math.nextafter(near, 0), math.nextafter(near, math.inf)) if x / scale == margin), near)
    return repr(exact)


def _engine(plan: Plan) -> str:
    return "loop" if all(n.engine == "loop" for n in plan.numerics) else "vectorized"


def across(suite: Suite, plans: Sequence[Plan]) -> list[str] | None:
    """The command of a comparison across tasks; None if Python alone can repeat it."""
    single = [command(plan) for plan in plans]
    if any(words is None for words in single):
        return None
    fullest = max(plans, key=lambda plan: len(plan.science.contenders))
    names = [] if suite.title == "board" else [str(_name(c)) for c in fullest.science.contenders]
    words = ["assay", "board" if suite.title == "board" else "run", *names]
    words += ["--task", ",".join(dict.fromkeys(p.science.task.reference for p in plans))]
    for axis, values in suite.axes.items():
        for value in values:
            words += [f"--{axis.replace('_', '-')}", f"{value:g}"]
    own = single[plans.index(fullest)] or []
    for place, word in enumerate(own):
        if word == "--space" and suite.title != "board":
            words += own[place : place + 2]
    p = fullest.science.protocol
    numbers = {"trials": p.trials, "replicates": p.replicates, "final-seeds": p.final_seeds, "seed": suite.seed}
    return [*words, *(word for option, value in numbers.items() for word in (f"--{option}", str(value)))]
