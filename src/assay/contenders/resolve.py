"""From a name on the command line to a contender: `adam`, `pkg.mod:Name`, `path/file.py:Name`, each with `ALIAS=`."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from assay.contenders.adapt import adapt, parameters_of
from assay.contenders.load import Origin, changes_of, load, origin_of
from assay.contenders.place import name_of, reference_of
from assay.contenders.registry import CONTENDERS, PACKAGED, RANGES
from assay.contenders.schedules import see_that_it_schedules, split_schedule, taken_by_schedule
from assay.core import Brought, Contender, ContenderInfo, other_reach
from assay.errors import UsageError, described, nearest
from assay.space import Choice, Dimension, Float, Int, Space, midpoint

_ALIASED = re.compile(r"^(?P<alias>[A-Za-z0-9_.+-]+)=(?P<rest>.+)$")


def contenders(
    names: Sequence[Brought], spaces: Sequence[str] = (), *, tune: Sequence[str] = (), untuned: bool = False
) -> tuple[Contender, ...]:
    """The baseline and its candidates, in order, with the spaces of `--space NAME.hp=lo..hi[:log|:1-log]` laid over them.

    `tune`: hyperparameters that each tunes besides its own, where it takes them (`registry.RANGES`).
    `untuned`: may they have nothing to tune? They may to be checked, not to be compared.

    Raises:
        UsageError: an unknown name, a module that fails to import, a class that can't be adapted, two contenders of
            one name, a space for a contender that isn't there or a range that is none.
    """
    overrides, more = [parse_space(text) for text in spaces], _besides(tune)
    found: list[Contender] = []
    called = [shown_name(name) if isinstance(name, str) else _called(name) for name in names]
    for name, shown in zip(names, called, strict=True):
        reference = split_alias(name)[1] if isinstance(name, str) else name
        own = {hyperparameter: dimension for who, hyperparameter, dimension in overrides if who == shown}
        found.append(_resolve(reference, shown, own, found[0] if found else None, untuned, more))
    names_found = [c.name for c in found]
    if twice := next((name for name in names_found if names_found.count(name) > 1), None):
        raise UsageError(
            f"two contenders are called {twice}: give one another name, as in second={twice}, or in Python as in "
            'assay.Contender("second", ...)'
        )
    for who, hyperparameter, _ in overrides:
        if who not in names_found:
            raise UsageError(f"--space {who}.{hyperparameter}: no contender {who!r} here; {nearest(who, names_found)}")
    for name in more:
        if not any(name in c.space for c in found):
            raise UsageError(f"--tune {name}: none of {', '.join(names_found)} takes it as a value of its own")
    return tuple(found)


def settled(reference: Brought, settings: Mapping[str, Any], baseline: Brought | None = None) -> Contender:
    """A contender with these settings and nothing left to tune; `baseline`: what a wrapper wraps.

    Raises:
        UsageError: as `contenders` does; a setting that it doesn't take, or none of what is tuned where it is compared.
    """
    if isinstance(reference, str):
        name, reference = shown_name(reference), split_alias(reference)[1]
    else:
        name = _called(reference)
    wrapped = None if baseline is None else contenders([baseline])[0]
    found = at(_resolve(reference, name, {}, wrapped, True, {}, settings), settings)
    see_that_it_schedules(found)
    return found


def at(contender: Contender, settings: Mapping[str, Any]) -> Contender:
    """The contender at these settings. UsageError where one of what is tuned is missing."""
    if missing := [name for name in contender.space if name not in settings]:
        raise UsageError(
            f"{contender.name} needs a value for {', '.join(missing)}, as in contender_for(…, {missing[0]}="
            f"{midpoint(contender.space[missing[0]])!r}); assay.open(FOLDER).contender({contender.name!r}) has what was tuned"
        )
    return replace(contender, space={}, fixed={**contender.fixed, **settings})


def _besides(tune: Sequence[str]) -> Space:
    """The hyperparameters of `--tune` with their usual ranges, but for the learning rate, which is tuned in any case.

    Raises:
        UsageError: no range is known of one.
    """
    named = [name for text in tune for name in text.replace(",", " ").split()]
    for name in named:
        if name == "betas":
            raise UsageError("--tune betas: it is a tuple, whose parts are tuned: --tune beta1,beta2")
        if name not in RANGES and name != "lr":
            raise UsageError(
                f"--tune {name}: no range is known of it; give one, as in --space NAME.{name}=low..high, or "
                f"{nearest(name, RANGES)}"
            )
    return {name: RANGES[name] for name in named if name != "lr"}


def again(infos: Sequence[ContenderInfo]) -> tuple[Contender, ...]:
    """The contenders of a plan, made again from their references.

    Raises:
        UsageError: a contender without a reference (made in Python), or whose source is not what the plan says.
    """
    found: list[Contender] = []
    for info in infos:
        if not info.reference:
            raise UsageError(f"{info.name} was given as a Python object: without a reference it can't be made again")
        plain, schedule = split_schedule(info.reference)
        target = load(plain)
        origin = origin_of(target) if not isinstance(target, Contender) else _origin_of_given(target)
        if origin.source != info.source:
            raise UsageError(f"the source of {info.name} ({info.reference}) was edited since the record was made")
        if info.reach and origin.reach != info.reach:
            raise UsageError(other_reach(f"{info.name} ({info.reference})", info.reach, origin.reach))
        if isinstance(target, Contender):
            scheduled = schedule or target.schedule
            takes = info.schedule_takes or ()
            found.append(replace(target, name=info.name, space=info.space, schedule=scheduled, schedule_takes=takes))
            continue
        fixed = {name: ast.literal_eval(text) for name, text in info.fixed.items()}
        takes = info.schedule_takes or ()
        made = adapt(
            target,
            info.name,
            space={},
            tuned=info.space,
            fixed=fixed,
            baseline=found[0] if found else None,
            schedule_takes=takes,
        )
        found.append(replace(made, schedule=schedule))
    return tuple(found)


def split_alias(text: str) -> tuple[str | None, str]:
    """`ALIAS=reference` → (alias, reference); no alias → (None, reference)."""
    match = _ALIASED.match(text)
    return (match["alias"], match["rest"]) if match else (None, text)


def shown_name(text: str) -> str:
    """What a contender is called: its alias, else the registered name, or the class's or function's."""
    alias, reference = split_alias(text)
    return alias or reference.rpartition(":")[2]


def parse_space(text: str) -> tuple[str, str, Dimension]:
    """`NAME.hp=lo..hi[:log|:1-log]` or `NAME.hp=a|b|c` → (name, hyperparameter, dimension).

    Whole-number bounds without a point or an exponent (`2..8`) make a whole-number range. UsageError otherwise.
    """
    match = re.match(r"^(?P<who>.+)\.(?P<hp>[A-Za-z_]\w*)=(?P<range>.+)$", text)
    if not match:
        raise UsageError(f"--space {text}: write NAME.hyperparameter=low..high (:log or :1-log for the scale)")
    who, hyperparameter, given = match["who"], match["hp"], match["range"]
    try:
        return who, hyperparameter, _parse_range(given)
    except ValueError as error:
        raise UsageError(f"--space {text}: {error}") from error


def _parse_range(given: str) -> Dimension:
    if "|" in given:
        options = [option.strip() for option in given.split("|")]
        if "" in options:
            raise ValueError("one of its options is empty; write a|b, or a|b|c")
        return Choice(tuple(map(_literal, options)))
    bounds, _, scale = given.partition(":")
    low, dots, high = bounds.partition("..")
    if not dots:
        raise ValueError(
            "write low..high, as in 1e-4..1e-1:log, or two options or more, as in 'a|b' (quoted for the shell)"
        )
    if scale not in ("", "log", "1-log"):
        raise ValueError(f"the scale {scale!r} is unknown; write :log, :1-log (near 1), or nothing for a linear one")
    if scale != "1-log" and all(re.fullmatch(r"[+-]?\d+", bound) for bound in (low, high)):
        return Int(int(low), int(high), log=scale == "log")
    try:
        ends = float(low), float(high)
    except ValueError as error:
        raise ValueError(f"{low!r} and {high!r} must be numbers") from error
    return Float(*ends, scale="1-log") if scale == "1-log" else Float(*ends, log=scale == "log")


def _literal(text: str) -> float | int | str | bool:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def _resolve(
    reference: Brought,
    name: str,
    own: Mapping[str, Dimension],
    baseline: Contender | None,
    untuned: bool,
    tune: Space,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Contender:
    if isinstance(reference, Contender):
        return _given(_fixed_at(reference, settings), name, own)
    if not isinstance(reference, str):
        see_that_it_makes(reference, name)
        tuned = _typed(own, reference)
        made = adapt(reference, name, tuned=tuned, fixed=settings, baseline=baseline, untuned=untuned, tune=tune)
        return replace(made, reference=reference_of(reference), **origin_of(reference)._asdict())
    plain, schedule = split_schedule(reference)
    suffix = reference[len(plain) :]
    if plain.endswith(".py"):
        raise UsageError(f"{plain} is a file: name what it holds, as in {plain}:MyOptimizer")
    if ":" not in plain and plain not in (known := [*CONTENDERS, *PACKAGED]):
        raise UsageError(f"no contender is called {plain!r}; {nearest(plain, known)} (yours: path/file.py:Name)")
    entry, packaged = CONTENDERS.get(plain), PACKAGED.get(plain)
    known_by_name, own_ranges = entry or packaged, packaged.ranges if packaged else {}
    where = known_by_name.reference if known_by_name else plain
    try:
        target = load(where)
    except UsageError as error:
        raise UsageError(
            f"{error} (pip install 'assay[board]' brings it)" if plain in PACKAGED else str(error)
        ) from error
    if isinstance(target, Contender):
        target = replace(_fixed_at(target, settings), note=_noted(target.note, changes_of(target.make)))
        found = _given(target, name if name != reference.rpartition(":")[2] else target.name + suffix, own)
        return replace(found, schedule=schedule, reference=found.reference + suffix) if schedule else found
    see_that_it_makes(target, plain)
    adapted = adapt(
        target,
        name,
        space=entry.space if entry else None,
        tuned=_typed(own, target) if own else {},
        fixed={**{k: v for k, v in (known_by_name.fixed if known_by_name else {}).items() if k not in own}, **settings},
        baseline=baseline,
        untuned=untuned,
        tune={each: own_ranges.get(each, range_) for each, range_ in tune.items()},
    )
    note = _noted(adapted.note, changes_of(target))
    return replace(adapted, reference=where + suffix, schedule=schedule, note=note, **origin_of(target)._asdict())


def _noted(note: str, changes: str) -> str:
    """What a reader must know of a contender: how it was adapted, and what importing it did."""
    return "; ".join(filter(None, (note, changes)))


def _called(thing: Any) -> str:
    """The name of a contender that was given as an object. UsageError for what can't be one."""
    if isinstance(thing, Contender):
        return thing.name
    made = not isinstance(thing, type) and (hasattr(thing, "param_groups") or hasattr(thing, "parameters"))
    if not callable(thing) or made or (isinstance(thing, type) and hasattr(thing, "named_parameters")):
        raise UsageError(
            f"a contender is a name, an optimizer's class, a function that makes one or an assay.Contender, not "
            f"{described(thing)}"
        )
    return name_of(thing)


def _given(contender: Contender, name: str, own: Mapping[str, Dimension]) -> Contender:
    """A contender that was made in Python, under this name."""
    see_that_it_makes(contender.make, name)
    space = {**contender.space, **_typed(own, contender.make)}
    pilot = None if "lr" in own else contender.pilot
    origin, takes = _origin_of_given(contender), _schedule_takes(contender, space)
    return replace(contender, name=name, space=space, pilot=pilot, schedule_takes=takes, **origin._asdict())


def _fixed_at(contender: Contender, settings: Mapping[str, Any]) -> Contender:
    takes = _schedule_takes(contender, settings)
    return replace(contender, fixed={**contender.fixed, **settings}, schedule_takes=takes)


def _schedule_takes(contender: Contender, given: Mapping[str, Any]) -> tuple[str, ...]:
    """What the schedule of a contender that was made in Python takes: what it says, and a warm-up that its `make` can't take."""
    parameters = parameters_of(contender.make, contender.name)
    any_other = any(p.kind is p.VAR_KEYWORD for p in parameters)
    own = taken_by_schedule(given, {p.name for p in parameters}) if not any_other else ()
    return tuple(dict.fromkeys((*contender.schedule_takes, *own)))


def _origin_of_given(contender: Contender) -> Origin:
    """Of a contender that was made in Python: with its fixed values, and its schedule where that is no name."""
    parts = {"make": contender.make, "fixed": dict(contender.fixed), "schedule": contender.schedule}
    found = origin_of(contender.make, **parts)
    return found._replace(source=contender.source or found.source)


def see_that_it_makes(target: Any, name: str) -> None:
    """UsageError for what can't be called, or gives a generator or a coroutine where it is called, and no optimizer."""
    if not callable(target):
        raise UsageError(f"{name} is a {type(target).__name__}, neither a class nor a function: it makes no optimizer")
    called = inspect.unwrap(target) if inspect.isfunction(target) else getattr(target, "func", target)
    called = called if inspect.isroutine(called) or inspect.isclass(called) else type(called).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise UsageError(
            f"{name} yields, so calling it gives a generator and no optimizer: let it return the optimizer"
        )
    if inspect.iscoroutinefunction(called):
        raise UsageError(f"{name} is async, so calling it gives a coroutine and no optimizer: write def, not async def")


def _typed(own: Mapping[str, Dimension], target: Any) -> dict[str, Dimension]:
    """Whole-number bounds mean a real range, as in `weight_decay=0..1`, unless the parameter is a whole number."""
    parameters = {p.name: p for p in parameters_of(target, "")}
    return {
        name: Float(float(dimension.low), float(dimension.high), log=dimension.log)
        if isinstance(dimension, Int) and not _whole(parameters.get(name))
        else dimension
        for name, dimension in own.items()
    }


def _whole(parameter: inspect.Parameter | None) -> bool:
    if parameter is None or parameter.annotation in (float, "float"):
        return False
    return parameter.annotation in (int, "int") or type(parameter.default) is int
