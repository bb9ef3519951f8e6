"""From a class or function, as its author wrote it, to a `make(model, run, **hyperparameters)`.

What it is given is decided by the *name* of its first parameter: `params`, `named_parameters`, `model`, or
`optimizer` / `base_optimizer` (a wrapper: a fresh instance of the baseline, or its class). A required
`base_optimizer` beside `params`, as SAM has it, is given the baseline's class too.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from assay.contenders.interface import needs_closure
from assay.contenders.registry import LEARNING_RATE
from assay.contenders.schedules import WARMUP, taken_by_schedule
from assay.core import Contender, Run
from assay.errors import UsageError
from assay.space import Float, Space

Given = Literal["parameters", "named parameters", "model", "optimizer", "optimizer class"]
_NAMES: dict[Given, str] = {
    "parameters": "params parameters",
    "named parameters": "named_parameters named_params",
    "model": "model module net network",
    "optimizer": "optimizer base_optimizer inner_optimizer opt base",
    "optimizer class": "optimizer_cls optimizer_class base_optimizer_cls base_optimizer_class base_cls",
}
_GIVEN: dict[str, Given] = {name: given for given, names in _NAMES.items() for name in names.split()}
_WRAPPED = ("optimizer", "optimizer class")
FIRST = (1e-6, 1.0)  # where a pilot begins, of a class without a default rate
AROUND = 10**1.5  # a decade and a half to each side of a default rate that the usual range leaves out


@dataclass(frozen=True)
class Signature:
    """How a class or function wants to be called.

    `first`: the name of its first parameter; `given`: what assay gives it there (None: nothing is known of that name).
    `named`: the parameters it takes by name beside the first; `takes_any`: any others too. `beside`: the required one
    that takes the class it wraps, where the parameters come first.
    """

    first: str
    given: Given | None
    named: Mapping[str, inspect.Parameter]
    takes_any: bool
    beside: str | None

    @classmethod
    def of(cls, target: Callable[..., Any], name: str) -> Signature:
        """UsageError where Python can't tell it, or there is nowhere to give parameters."""
        parameters = parameters_of(target, name)
        first = next((p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)), None)
        if first is None:
            raise UsageError(f"{name} takes no positional parameter, so nothing to optimize; write {_factory(name)}")
        given = _GIVEN.get(first.name)
        if given == "optimizer" and str(first.annotation).lower().startswith(("type[", "<class 'type")):
            given = "optimizer class"
        by_name = (first.POSITIONAL_OR_KEYWORD, first.KEYWORD_ONLY)
        named = {p.name: p for p in parameters if p is not first and p.kind in by_name}
        wraps = (n for n, p in named.items() if _GIVEN.get(n) in _WRAPPED and p.default is p.empty)
        beside = next(wraps, None) if given == "parameters" else None
        return cls(first.name, given, named, any(p.kind is p.VAR_KEYWORD for p in parameters), beside)

    @property
    def within(self) -> dict[str, tuple[str, int]]:
        """Names of what stands in tuples, with the parameter and the place: beta1 and beta2 of `betas=(0.9, 0.999)`."""
        found: dict[str, tuple[str, int]] = {}
        for name, parameter in self.named.items():
            if type(default := parameter.default) is tuple:
                one = name[:-1] if name.endswith("s") and len(name) > 3 else name
                found |= {f"{one}{i}": (name, i - 1) for i in range(1, len(default) + 1)}
        return {name: place for name, place in found.items() if name not in self.named}

    @property
    def wraps(self) -> str | None:
        """The name of the parameter that takes another optimizer, or its class."""
        return self.beside or (self.first if self.given in _WRAPPED else None)

    @property
    def takes_rate(self) -> bool:
        """Can it be given an `lr`?"""
        return self.takes_any or "lr" in self.named


def parameters_of(target: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    """The parameters a caller gives, `self` left out. UsageError where Python can't tell them."""
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: its signature can't be read ({error}); write {_factory(name)}") from error


def adapt(
    target: Callable[..., Any],
    name: str,
    *,
    space: Space | None = None,
    tuned: Space | None = None,
    fixed: Mapping[str, Any] | None = None,
    baseline: Contender | None = None,
    untuned: bool = False,
    tune: Space | None = None,
    schedule_takes: Sequence[str] | None = None,
) -> Contender:
    """A contender from a class or function.

    Args:
        target: what builds the optimizer.
        space: what is tuned; by default `lr`, log-uniform in 1e-5..1e-1, or, where that leaves out the class's own default,
            a decade and a half to each side of it (of a wrapper: what its baseline tunes).
        tuned: ranges laid over `space`.
        fixed: values passed as they are.
        baseline: what a wrapper wraps.
        untuned: may there be nothing to tune?
        tune: what is tuned besides, where it is taken and has no range yet.
        schedule_takes: what of it is the schedule's; by default a `warmup` that `target` doesn't name.
    Raises:
        UsageError: a first parameter of another name, or a required parameter that nothing gives; the factory that
            would do it is in the message.
    """
    signature = Signature.of(target, name)
    fixed, tuned = dict(fixed or {}), dict(tuned or {})
    if signature.given is None:
        raise UsageError(
            f"{name}: its first parameter is called {signature.first!r}; assay gives params, named_parameters, model or, to "
            f"a wrapper, optimizer or base_optimizer. Write {_factory(name)}"
        )
    if signature.wraps and baseline is None:
        raise UsageError(
            f"{name} wraps another optimizer ({signature.wraps}): it can be a candidate, not the baseline "
            "(and assay.contender_for is told by baseline= what it wraps)"
        )
    make, more, usual, note, pilot = _made_of(target, name, signature, baseline)
    note = "" if not signature.wraps and (space is not None or "lr" in tuned) else note
    accepts = {*signature.named, *more}
    besides = {each: range_ for each, range_ in (tune or {}).items() if each in {*accepts, WARMUP} - {*(space or {})}}
    tuned = {**besides, **tuned}
    fixed = {each: value for each, value in fixed.items() if each not in tuned}
    of_schedule = taken_by_schedule({**fixed, **tuned}, accepts) if schedule_takes is None else tuple(schedule_takes)
    unknown = {*fixed, *tuned} - accepts - {*of_schedule}
    if unknown and not signature.takes_any:
        takes = ", ".join(sorted(accepts)) or "nothing"
        raise UsageError(f"{name} takes no {', '.join(sorted(unknown))}; it takes {takes}")
    parts = {whole: [part for part, (of, _) in signature.within.items() if of == whole] for whole in tuned}
    if whole := next((whole for whole, found in parts.items() if found), None):
        raise UsageError(f"{name} takes {whole} as a tuple, whose parts are tuned: {' and '.join(parts[whole])}")
    space = {**(usual if space is None else space), **tuned}
    _see_that_it_is_given(name, signature, {*space, *fixed})
    if not space and not untuned:
        raise _nothing_to_tune(name, signature)
    closure = "yes" if needs_closure(getattr(target, "step", None)) else "no"
    sought = "lr" in space and "lr" not in {*tuned, *fixed}
    sees_run = "run" in signature.named or (bool(signature.wraps) and baseline is not None and baseline.sees_run)
    pilot = pilot if sought else None
    return Contender(
        name, make, space, fixed, closure=closure, pilot=pilot, sees_run=sees_run, note=note, schedule_takes=of_schedule
    )


class _Made(NamedTuple):
    """How it is made, what it takes beside what it names, and what is tuned, said and looked for where nobody says."""

    make: Callable[..., Any]
    more: set[str]
    usual: Space
    note: str
    pilot: Float | None


def _made_of(target: Callable[..., Any], name: str, signature: Signature, baseline: Contender | None) -> _Made:
    if signature.wraps and baseline is not None:
        by_class = signature.beside or signature.given == "optimizer class"
        make = (_wrapper_of_class if by_class else _wrapper)(target, signature, baseline)
        note = f"{name} wraps {'the class of' if by_class else 'a fresh instance of'} {baseline.name}"
        known = baseline.own(baseline.space)
        more = {*known, *baseline.own(baseline.fixed), "run", "params"}
        return _Made(make, more, known, note, baseline.pilot)
    own = _own_rate(target, signature)
    usual, note = _usual(name, own) if signature.takes_rate else ({}, "")
    return _Made(_direct(target, signature), {*signature.within}, usual, note, around(own))


def _usual(name: str, own: float | None) -> tuple[Space, str]:
    """What is tuned where nothing is said, and what a reader must know of it; `own`: the class's own default."""
    if own is None or LEARNING_RATE.low <= own <= LEARNING_RATE.high:
        return {"lr": LEARNING_RATE}, ""
    moved = Float(own / AROUND, own * AROUND, log=True)
    return {"lr": moved}, f"{name}'s own default learning rate is {own:g}, and its range lies around it"


def around(own: float | None) -> Float:
    """The six decades in which a pilot looks for a range: three to each side of a class's own default."""
    return Float(*FIRST, log=True) if own is None else Float(own / 1e3, own * 1e3, log=True)


def _own_rate(target: Callable[..., Any], signature: Signature) -> float | None:
    """The default learning rate of a class or factory, or of the nearest class above it that names one."""
    found = signature.named.get("lr")
    for above in getattr(target, "__mro__", ())[1:-1] if found is None else ():
        with contextlib.suppress(TypeError, ValueError):
            found = found or inspect.signature(above).parameters.get("lr")
    own = None if found is None else found.default
    if isinstance(own, bool) or not isinstance(own, int | float):
        return None
    return float(own) if 1e-300 < own < 1e300 else None


def _see_that_it_is_given(name: str, signature: Signature, valued: set[str]) -> None:
    supplied = {*valued, "run", *({"params", signature.beside} if signature.wraps else ())}
    missing = [n for n, p in signature.named.items() if p.default is p.empty and n not in supplied]
    if missing:
        raise UsageError(
            f"{name} needs a value for {', '.join(missing)}: tune it, as in --space {name}.{missing[0]}=0..1, or write, with "
            f"a value of yours for each …, {_factory(name, missing, signature.takes_rate)}"
        )


def _nothing_to_tune(name: str, signature: Signature) -> UsageError:
    defaults = {n: p.default for n, p in signature.named.items()}
    tunable = [n for n, value in defaults.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    if not tunable and name == "lambda":
        return UsageError("a lambda that takes no number has nothing to tune: give it an lr, as in lambda model, lr: …")
    if not tunable:
        return UsageError(f"{name} takes no number that could be tuned: give it an lr, or write {_factory(name)}")
    return UsageError(f"{name} has nothing to tune; name a range, as in --space {name}.{tunable[0]}=1e-5..1e-1:log")


def as_class(target: Any, name: str, settings: Mapping[str, Any]) -> tuple[type, dict[str, Any]]:
    """The class, and what it takes beside its parameters, for code that makes it itself.

    Raises:
        UsageError: it is no class, or takes something else than parameters and settings.
    """
    signature = Signature.of(target, name) if isinstance(target, type) else None
    if signature is None or signature.given != "parameters" or signature.beside or "run" in signature.named:
        raise UsageError(
            f"{name} is no class of plain params and settings, so another can't make it: make it by .optimizer(model), and "
            "give Trainer(optimizers=(optimizer, scheduler))"
        )
    return target, _in_tuples(_with_defaults(signature), dict(settings))


def _with_defaults(signature: Signature) -> dict[str, tuple[str, int, Any]]:
    return {name: (*place, signature.named[place[0]].default) for name, place in signature.within.items()}


def _in_tuples(within: Mapping[str, tuple[str, int, Any]], settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with those that stand in tuples put there: `beta1` into `betas`."""
    for name in within.keys() & settings.keys():
        whole, place, default = within[name]
        parts = list(settings.get(whole, default))
        parts[place] = settings.pop(name)
        settings[whole] = tuple(parts)
    return settings


# What these keep for the functions that they make are plain values: engines compare them.


def _direct(target: Callable[..., Any], signature: Signature) -> Callable[..., Any]:
    given, accepts = signature.given, frozenset(signature.named)
    within = _with_defaults(signature)
    # torch's fused kernels on a CPU take a gradient of another layout than its parameter's for one of the same. Autograd
    # makes none such, but what others do to gradients may.
    may_fuse = "fused" in accepts and (getattr(target, "__module__", "") or "").startswith(
        ("torch.optim", "assay.optim")
    )

    def make(model: Any, run: Run, **hyperparameters: Any) -> Any:
        if "run" in accepts:
            hyperparameters["run"] = run
        hyperparameters = _in_tuples(within, hyperparameters)
        if run.fused and may_fuse and not {"fused", "foreach"} & hyperparameters.keys():
            hyperparameters["fused"] = True
        if given == "model":
            return target(model, **hyperparameters)
        parameters = model.named_parameters() if given == "named parameters" else model.parameters()
        return target(parameters, **hyperparameters)

    return make


def _wrapper(target: Callable[..., Any], signature: Signature, baseline: Contender) -> Callable[..., Any]:
    """What both know goes to both; what only one knows goes to that one."""
    accepts = frozenset(signature.named)

    def make(model: Any, run: Run, **hyperparameters: Any) -> Any:
        inner = {k: v for k, v in hyperparameters.items() if k in baseline.space or k in baseline.fixed}
        outer = {k: v for k, v in hyperparameters.items() if k in accepts or k not in inner}
        given = {"params": model.parameters(), "run": run}
        outer |= {name: value for name, value in given.items() if name in accepts}
        return target(baseline.made(model, replace(run, fused=False), inner), **outer)

    return make


def _wrapper_of_class(target: Callable[..., Any], signature: Signature, baseline: Contender) -> Callable[..., Any]:
    """The class comes first and the parameters after it, or it has a name of its own beside them."""
    accepts, beside = frozenset(signature.named), signature.beside

    def make(model: Any, run: Run, **hyperparameters: Any) -> Any:
        settings = {**baseline.own(baseline.fixed), **hyperparameters}
        known = {k: v for k, v in settings.items() if k in baseline.space or k in baseline.fixed}
        kind = type(baseline.made(model, run, known))
        if "run" in accepts:
            settings["run"] = run
        if beside:
            return target(model.parameters(), **{beside: kind}, **settings)
        if "params" in accepts:
            return target(kind, params=model.parameters(), **settings)
        return target(kind, model.parameters(), **settings)

    return make


def _factory(name: str, missing: Sequence[str] = (), rate: bool = True) -> str:
    """Three lines that make it of a model, with a place for each value that nothing gives."""
    short = name.rpartition(":")[2].replace("lambda", "MyOptimizer")
    given = ["model.parameters()", *(["lr=lr"] if rate else []), *(f"{each}=…" for each in missing)]
    return f"a factory:\n    def my_{short.lower()}(model, lr):\n        return {short}({', '.join(given)})"
