"""From a class or function, as its author wrote it, to a `make(model, run, **hyperparameters)`.

What it is given is decided by the *name* of its first parameter: `params`, `named_parameters`, `model`, or
`optimizer` / `base_optimizer` (a wrapper: a fresh instance of the baseline, or its class). A required
`base_optimizer` beside `params`, as SAM has it, is given the baseline's class too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from assay.contenders.interface import needs_closure
from assay.contenders.registry import LEARNING_RATE
from assay.core import Contender, Run
from assay.errors import UsageError
from assay.space import Space

PARAMS = ("params", "parameters")
NAMED = ("named_parameters", "named_params")
MODEL = ("model", "module", "net", "network")
WRAPPED = ("optimizer", "base_optimizer", "inner_optimizer", "opt", "base")
WRAPPED_CLASS = ("optimizer_cls", "optimizer_class", "base_optimizer_cls", "base_optimizer_class", "base_cls")


def signature_of(target: Callable[..., Any], name: str) -> list[inspect.Parameter]:
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
) -> Contender:
    """A contender from a class or function.

    Args:
        target: what builds the optimizer.
        space: what is tuned; by default `lr`, log-uniform in 1e-5..1e-1 (of a wrapper: what its baseline tunes).
        tuned: ranges laid over `space`.
        fixed: values passed as they are.
        baseline: what a wrapper wraps.
        untuned: may there be nothing to tune?
    Raises:
        UsageError: a first parameter of another name, or a required parameter that nothing gives; the factory that
            would do it is in the message.
    """
    parameters = signature_of(target, name)
    given_by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    first = next((p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)), None)
    if first is None:
        raise UsageError(f"{name} takes no positional parameter, so nothing to optimize; write {_factory(name)}")
    named = [p for p in parameters if p is not first and p.kind in given_by_name]
    accepts = {p.name for p in named}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    given = set(fixed or {}) | set(tuned or {})
    note, wraps = "", first.name in (*WRAPPED, *WRAPPED_CLASS)
    beside = inner_class(parameters)

    if wraps or beside:
        if baseline is None:
            what = beside or first.name
            raise UsageError(f"{name} wraps another optimizer ({what}): it can be a candidate, not the baseline")
        wants_class = (
            bool(beside)
            or first.name in WRAPPED_CLASS
            or str(first.annotation).lower().startswith(("type[", "<class 'type"))
        )
        make = (
            _wrapper_of_class(target, accepts, baseline, beside) if wants_class else _wrapper(target, accepts, baseline)
        )
        note = f"{name} wraps {'the class of' if wants_class else 'a fresh instance of'} {baseline.name}"
        space = dict(baseline.space) if space is None else space
        accepts = accepts | set(baseline.space) | set(baseline.fixed) | {"run", "params"}
        given_to_it = {"params", beside}
    elif first.name in (*PARAMS, *NAMED, *MODEL):
        given_to_it = set[str | None]()
        make = _direct(target, first.name, accepts)
        if space is None:
            space = {"lr": LEARNING_RATE} if "lr" in accepts or takes_any else {}
    else:
        raise UsageError(
            f"{name}: its first parameter is called {first.name!r}; assay gives params, named_parameters, model or, to "
            f"a wrapper, optimizer or base_optimizer. Write {_factory(name)}"
        )
    unknown = given - accepts
    if unknown and not takes_any:
        raise UsageError(
            f"{name} takes no {', '.join(sorted(unknown))}; it takes {', '.join(sorted(accepts)) or 'nothing'}"
        )
    space = {**space, **(tuned or {})}
    supplied = {*space, *(fixed or {}), "run"} | given_to_it
    missing = [p.name for p in named if p.default is p.empty and p.name not in supplied]
    if missing:
        raise UsageError(
            f"{name} needs a value for {', '.join(missing)}: tune it, as in --space {name}.{missing[0]}=0..1, or write, with "
            f"a value of yours for each …, {_factory(name, missing, 'lr' in accepts or takes_any)}"
        )
    if not space and not untuned:
        tunable = [p.name for p in named if isinstance(p.default, int | float) and not isinstance(p.default, bool)]
        if not tunable:
            raise UsageError(f"{name} takes no number that could be tuned: give it an lr, or write {_factory(name)}")
        raise UsageError(f"{name} has nothing to tune; name a range, as in --space {name}.{tunable[0]}=1e-5..1e-1:log")
    closure = "yes" if needs_closure(getattr(target, "step", None)) else "no"
    return Contender(name, make, space, dict(fixed or {}), closure=closure, note=note)


def inner_class(parameters: list[inspect.Parameter]) -> str | None:
    """The required parameter that takes an optimizer's class, beside parameters that come first; None without one."""
    if not parameters or parameters[0].name not in PARAMS:
        return None
    inner = (p.name for p in parameters[1:] if p.name in (*WRAPPED, *WRAPPED_CLASS) and p.default is p.empty)
    return next(inner, None)


def _direct(target: Callable[..., Any], first: str, accepts: set[str]) -> Callable[..., Any]:
    def make(model: Any, run: Run, **hyperparameters: Any) -> Any:
        if "run" in accepts:
            hyperparameters["run"] = run
        if run.fused and "fused" in accepts and not {"fused", "foreach"} & hyperparameters.keys():
            hyperparameters["fused"] = True
        if first in MODEL:
            return target(model, **hyperparameters)
        return target(model.named_parameters() if first in NAMED else model.parameters(), **hyperparameters)

    return make


def _wrapper(target: Callable[..., Any], accepts: set[str], baseline: Contender) -> Callable[..., Any]:
    """What both know goes to both; what only one knows goes to that one."""

    def make(model: Any, run: Run, **hyperparameters: Any) -> Any:
        inner = {k: v for k, v in hyperparameters.items() if k in baseline.space or k in baseline.fixed}
        outer = {k: v for k, v in hyperparameters.items() if k in accepts or k not in inner}
        given = {"params": model.parameters(), "run": run}
        outer |= {name: value for name, value in given.items() if name in accepts}
        return target(baseline.make(model, run, **{**baseline.fixed, **inner}), **outer)

    return make


def _wrapper_of_class(
    target: Callable[..., Any], accepts: set[str], baseline: Contender, beside: str | None
) -> Callable[..., Any]:
    """The class comes first and the parameters after it, or it has a name of its own beside them."""

    def make(model: Any, run: Run, **hyperparameters: Any) -> Any:
        settings = {**baseline.fixed, **hyperparameters}
        known = {k: v for k, v in settings.items() if k in {**baseline.space, **baseline.fixed}}
        kind = type(baseline.make(model, run, **known))
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
    short = name.rpartition(":")[2]
    given = ["model.parameters()", *(["lr=lr"] if rate else []), *(f"{each}=…" for each in missing)]
    return f"a factory:\n    def my_{short.lower()}(model, lr):\n        return {short}({', '.join(given)})"
