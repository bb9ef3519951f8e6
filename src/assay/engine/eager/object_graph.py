"""The numbers and tensors an optimizer keeps, wherever it keeps them: its object graph, walked and compared.

Groups, state, attributes, inner optimizers, closures of functions: everything that can be reached by name is a *leaf*
with a path, and can be replaced in place. Members' graphs are compared path by path: a number that differs is what the
members' hyperparameters are, a tensor is state, and any other difference means that they can't share one step.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import hashlib
import pickle
import random
import types
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from assay.engine.eager.python_numbers import is_number
from assay.engine.refusal import NotVectorizable
from assay.training.data import version
from assay.training.step import Step

Setter = Callable[[Any], None]
_RANDOM = (torch.Generator, random.Random, np.random.Generator, np.random.RandomState)
_PLAIN = (str, bytes, type(None), complex, type, enum.Enum, torch.dtype, torch.device, torch.Size, torch.layout,
          torch.memory_format, range, slice, types.ModuleType, types.BuiltinFunctionType, types.GenericAlias,
          property)  # fmt: skip
_INT64 = 2**63


@dataclass
class Leaf:
    """One place in an object graph. `known` leaves are the model's own parameters and buffers, by name."""

    path: str
    kind: Literal["number", "tensor", "known", "plain", "inner"]
    value: Any
    put: Setter


def walk(root: Any, known: Mapping[int, str]) -> dict[str, Leaf]:
    """Every leaf of `root` by path, in a fixed order. `known`: id → name of the model's parameters and buffers.

    Raises:
        NotVectorizable: a random generator, or an object that can't be looked into.
    """
    return {place.path: place for place in places(root, known) if place.kind != "inner"}


def places(root: Any, known: Mapping[int, str], shut: Callable[[Any], bool] = lambda value: False) -> Iterator[Leaf]:
    """The leaves, and the `inner` objects that hold them; what those hold that are `shut` isn't looked at."""
    seen: set[int] = set()
    pending: deque[tuple[str, Any, Setter]] = deque([("", root, _nowhere)])
    while pending:
        path, value, put = pending.popleft()
        kind = _kind(value, path, known)
        if kind in ("inner", "tensor") and not is_number(value):  # numbers are equal or not, never the same
            # one tuple may stand in two places, and can't be written to; a tensor's second name says nothing new
            if id(value) in seen and type(value) is not tuple:
                continue
            seen.add(id(value))
        if kind == "inner" and not shut(value):
            pending.extend(
                ((path + label).lstrip("."), child, setter) for label, child, setter in _children(value, put, known)
            )
        yield Leaf(path, kind, known[id(value)] if kind == "known" else value, put)


def leaves_of(setup: Step) -> dict[str, Leaf]:
    """The leaves of a member's optimizer."""
    return walk(setup.optimizer, names_of(setup.model))


def numbers_of(setup: Step) -> dict[str, Any]:
    """The numbers among them, by path."""
    return {path: leaf.value for path, leaf in leaves_of(setup).items() if leaf.kind == "number"}


def names_of(model: nn.Module) -> dict[int, str]:
    """id → name of every parameter and buffer."""
    return {id(t): name for name, t in (*model.named_parameters(), *model.named_buffers())}


def replace_known(root: Any, known: Mapping[int, str], replacement: Mapping[str, Tensor]) -> None:
    """Put other tensors in the place of the model's own, as values and as keys of dictionaries."""

    def renamed(key: Any) -> Any:
        if isinstance(key, Tensor) and id(key) in known:
            return replacement[known[id(key)]]
        return id(replacement[known[key]]) if type(key) is int and key in known else key

    found = list(places(root, known))
    for place in found:
        if place.kind == "known":
            place.put(replacement[place.value])
    for value in (place.value for place in found if isinstance(place.value, dict)):
        items = [(renamed(key), item) for key, item in value.items()]
        if any(new is not old for (new, _), old in zip(items, value, strict=True)):
            value.clear()
            for key, item in items:
                value[key] = item


def token(leaf: Leaf) -> Any:
    """What must be equal, between members, of a leaf that is no number; of a number its value."""
    value = leaf.value
    if leaf.kind == "tensor":
        return ("tensor", tuple(value.shape), str(value.dtype), str(value.device.type))
    if leaf.kind == "known":
        return ("known", value)
    if isinstance(value, np.ndarray):
        return ("array", value.shape, value.dtype.str, value.tobytes())
    if isinstance(value, set | frozenset):
        return ("set", *sorted(map(repr, value)))
    if isinstance(value, type | types.BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, property) or not isinstance(value, (*_PLAIN, int, float, np.number, np.bool_)):
        return (type(value).__qualname__, _pickled(value)) if _opaque(value) else type(value).__qualname__
    return value


def _pickled(value: Any) -> str:
    try:
        return hashlib.sha256(pickle.dumps(value)).hexdigest()
    except Exception:  # nothing to compare
        return ""


def attributes(thing: Any) -> dict[str, Any]:
    """What a model keeps beside its parameters and buffers, or any other object, by path: to be compared in one process."""
    known = names_of(thing) if isinstance(thing, nn.Module) else {}
    return {
        path: (id(leaf.value), version(leaf.value)) if leaf.kind == "tensor" else token(leaf)
        for path, leaf in walk(thing, known).items()
        if leaf.kind != "known"
    }


def _code(code: types.CodeType) -> str:
    """A hash of what a function does, the same in each process."""
    constants = [
        _code(c) if isinstance(c, types.CodeType) else repr(c) for c in code.co_consts if not isinstance(c, frozenset)
    ]
    return hashlib.sha256(repr((code.co_code, constants, code.co_names, code.co_varnames)).encode()).hexdigest()


def _nowhere(_: Any) -> None:
    raise NotVectorizable("it keeps a number or a tensor where it can't be replaced")


def _kind(value: Any, path: str, known: Mapping[int, str]) -> Literal["number", "tensor", "known", "plain", "inner"]:
    if isinstance(value, Tensor):
        return "known" if id(value) in known else "tensor"
    if isinstance(value, enum.Enum):
        return "plain"
    if isinstance(value, bool | int | float | np.number | np.bool_):
        return "plain" if isinstance(value, int) and not -_INT64 <= value < _INT64 else "number"
    if isinstance(value, _RANDOM):
        raise NotVectorizable(f"it keeps a random generator in {path}")
    if isinstance(value, weakref.ref):
        return "inner"
    if isinstance(value, (*_PLAIN, np.ndarray)):
        return "plain"
    if isinstance(value, set | frozenset):
        if any(isinstance(item, Tensor) for item in value):
            raise NotVectorizable(f"it keeps tensors in a set, {path}")
        return "plain"
    if hasattr(type(value), "__next__"):
        raise NotVectorizable(f"it keeps a {type(value).__name__} in {path}, which can't be looked into")
    return "plain" if _opaque(value) else "inner"


def _opaque(value: Any) -> bool:
    """An object of C's that can't be looked into (an `array.array`): compared as a whole."""
    if isinstance(value, dict | list | deque | tuple | types.FunctionType | types.MethodType | functools.partial):
        return False
    return not type(value).__dictoffset__ and not any("__slots__" in cls.__dict__ for cls in type(value).__mro__)


def _children(value: Any, put: Setter, known: Mapping[int, str]) -> Iterator[tuple[str, Any, Setter]]:
    if isinstance(value, dict | list | deque):
        yield from _items(value, known)
        yield from _attributes(value) if own_attributes(value) else ()
    elif isinstance(value, tuple):
        yield from _tuple_children(value, put)
    elif isinstance(value, types.FunctionType):
        yield "<code>", f"{value.__module__}.{value.__qualname__} {_code(value.__code__)}", _nowhere
        for name, cell in _cells(value):
            yield f"<{name}>", cell.cell_contents, functools.partial(setattr, cell, "cell_contents")
        for name, item in list(vars(value).items()):
            yield f".{name}", item, functools.partial(setattr, value, name)
        for name in ("__defaults__", "__kwdefaults__"):
            if getattr(value, name):
                yield f"<{name}>", getattr(value, name), functools.partial(setattr, value, name)
    elif isinstance(value, types.MethodType | functools.partial):
        parts = ("__self__", "__func__") if isinstance(value, types.MethodType) else ("func", "args", "keywords")
        for name in parts:
            yield f"<{name}>", getattr(value, name), _nowhere
    elif isinstance(value, weakref.ref):
        yield "<referent>", value(), _nowhere
    else:
        yield from _attributes(value)


def _items(
    value: dict[Any, Any] | list[Any] | deque[Any], known: Mapping[int, str]
) -> Iterator[tuple[str, Any, Setter]]:
    if isinstance(value, dict):
        for key, item in list(value.items()):
            yield f"[{_key(key, known)}]", item, functools.partial(value.__setitem__, key)
    else:
        for i, item in enumerate(value):
            yield f"[{i}]", item, functools.partial(value.__setitem__, i)


def _cells(function: types.FunctionType) -> Iterator[tuple[str, types.CellType]]:
    """What a function has from around it, by name; not what is empty yet."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return ((name, cell) for name, cell in cells if cell != types.CellType())


def _tuple_children(value: tuple[Any, ...], put: Setter) -> Iterator[tuple[str, Any, Setter]]:
    current = list(value)  # shared by the setters: replacing one item must keep what replaced another

    def setter(i: int, item: Any) -> None:
        current[i] = item
        put(type(value)(*current) if hasattr(value, "_fields") else type(value)(current))

    for i, item in enumerate(value):
        yield f"[{i}]", item, functools.partial(setter, i)


def _attributes(value: Any) -> Iterator[tuple[str, Any, Setter]]:
    for name, item in list(own_attributes(value).items()):
        yield f".{name}", item, functools.partial(value.__dict__.__setitem__, name)
    for cls in type(value).__mro__:
        if not cls.__module__.startswith("torch."):
            for name, function in cls.__dict__.items():
                for inner, cell in _cells(function) if isinstance(function, types.FunctionType) else ():
                    if not isinstance(cell.cell_contents, type):  # one for all members: can't be replaced for one
                        yield f"<{cls.__name__}.{name}><{inner}>", cell.cell_contents, _nowhere
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                private = name.startswith("__") and not name.endswith("__")
                name = f"_{cls.__name__.lstrip('_')}{name}" if private else name
                with contextlib.suppress(AttributeError):  # it holds nothing
                    yield f".{name}", object.__getattribute__(value, name), functools.partial(setattr, value, name)


def own_attributes(value: Any) -> dict[str, Any]:
    """What an object keeps under names, without asking it: its own `__getattr__` may answer anything, or raise."""
    try:
        found: Any = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):  # it has slots only; or is a class
        return {}
    return found if type(found) is dict else {}


def _key(key: Any, known: Mapping[int, str]) -> str:
    if isinstance(key, Tensor):
        if id(key) not in known:
            raise NotVectorizable("it keys its state by a tensor that is no parameter of the model")
        return known[id(key)]
    if isinstance(key, weakref.ref):
        raise NotVectorizable("it keeps its state in a weak dictionary")
    if type(key) is int and key in known:
        return f"id of {known[key]}"
    return key if isinstance(key, str) else repr(key)
