"""What code reaches beyond the objects it belongs to: attributes of classes and functions, globals, generators of the process.

Members in one process share all of it, and a compiled step doesn't run Python: what changes there as a training goes on
can be right in the loop only. So it is written down before a step, and compared after it.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import itertools
import random
import sys
import types
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assay.engine.eager.object_graph import Leaf, own_attributes, places, token
from assay.engine.refusal import NotVectorizable
from assay.training.data import version

LONGEST = 2_000  # entries of a container that are looked at one by one
MOST = 50_000  # places that are looked at; whoever reaches more isn't compared, and so trusted with nothing
_FOREIGN = (sys.stdlib_module_names | {"torch", "numpy", "polars", "assay"}) - {"__main__"}


def surroundings(*roots: Any, kept: Iterable[Any] = ()) -> dict[str, Any]:
    """What the code of these objects reaches beyond them, by path, in a form to be compared within a process.

    `kept`: objects that all members share, whose own data is part of it, too.
    """
    look = _Look()
    for root in roots:
        look.into(root)
    for thing in kept:
        look.into(thing, its_own=True)
    drawn: Any = np.random.get_state()
    look.found["Python's random"] = hash(random.getstate())
    look.found["numpy.random"] = (zlib.crc32(drawn[1].tobytes()), *map(str, drawn[2:]))
    return look.found


def see_unchanged(before: dict[str, Any], after: dict[str, Any]) -> None:
    """NotVectorizable, with what differs, where something does; what is the same object, a NaN say, doesn't."""
    paths = before.keys() | after.keys()
    if changed := sorted(path for path in paths if (before.get(path),) != (after.get(path),)):
        raise NotVectorizable(f"its code changes what all members share: {changed[0]}")


class _Look:
    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.seen: set[int] = set()
        self.kept: list[Any] = []  # so that no id is given away twice
        self.told = 0  # objects whose own data is looked at, which have no path
        self.looked = 0  # places

    def _new(self, thing: Any) -> bool:
        if id(thing) in self.seen:
            return False
        self.seen.add(id(thing))
        self.kept.append(thing)
        return True

    def into(self, root: Any, its_own: bool = False) -> None:
        """The classes and functions of whatever `root` holds; its own data only where that is asked for."""
        pending = [root]
        while pending:
            value = pending.pop()
            if isinstance(value, _LEAVES) or not self._new(value):
                continue
            self._code_of(value)
            if its_own:
                self.seen.discard(id(value))
                self.told += 1
                self._value(f"object {self.told}", value)
            pending += () if isinstance(value, type) or _closed(value) else _inside(value)

    def _code_of(self, value: Any) -> None:
        if isinstance(value, type):
            self.seen.discard(id(value))
            self._class(value)
        elif isinstance(value, types.FunctionType):
            self.seen.discard(id(value))
            self._function(value)
        elif not isinstance(value, dict | list | tuple):
            self._class(type(value))

    def _class(self, cls: type) -> None:
        for parent in cls.__mro__:
            if _foreign(parent.__module__) or not self._new(parent):
                continue
            for name, thing in list(vars(parent).items()):
                if not name.startswith(("__", "_abc_")):
                    self._value(f"{parent.__qualname__}.{name}", thing)
                elif isinstance(thing, types.FunctionType):
                    self._function(thing)

    def _function(self, function: types.FunctionType) -> None:
        if _is_foreign(function) or not self._new(function):
            return
        where = f"{function.__module__}.{function.__qualname__}"
        self._kept_on(where, function)
        for i, thing in enumerate((*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())):
            self._value(f"{where}({i})", thing)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if cell != types.CellType():
                self._value(f"{where}: {name}", cell.cell_contents)
        for name in _names(function.__code__):
            if name in function.__globals__ or name in sys.modules:  # imported in the function, perhaps
                found = function.__globals__.get(name, sys.modules.get(name))
                self._value(f"{function.__module__}.{name}", found, _names(function.__code__))

    def _kept_on(self, where: str, function: types.FunctionType) -> None:
        """What was put on a function; what it was laid around is looked at by itself."""
        for name, thing in list(vars(function).items()):
            if name not in ("hooked", "__wrapped__") or function.__code__ is not _TORCHS:
                self._value(f"{where}.{name}", thing)

    def _value(self, path: str, value: Any, names: frozenset[str] = frozenset()) -> None:
        """`names`: that code mentions, some of them perhaps of a module's."""
        if not _is_there(value):
            return
        if isinstance(value, types.MethodType):
            self._value(f"{path}.__self__", value.__self__)
        value = _behind(value)
        if isinstance(value, types.FunctionType):
            if value.__code__ is _TORCHS:
                self._kept_on(f"{path}, as it is called", value)
                value = getattr(value, "__wrapped__", value)
            if isinstance(value, types.FunctionType) and not _is_foreign(value):
                self.found[f"{path} is"] = hash(value.__code__)
        if isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, types.ModuleType):
            foreign = _foreign(value.__name__)
            if foreign or self._new(value):
                for name in names & vars(value).keys():  # of others' modules what may have been put there to be kept
                    thing = vars(value)[name]
                    if not foreign or isinstance(thing, _KEPT):
                        self._value(f"{value.__name__}.{name}", thing, names)
        else:
            for label, told in self._told(value):
                self.found[path + label] = told

    def _told(self, value: Any) -> Iterator[tuple[str, Any]]:
        kind = type(value).__module__
        if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
            state = getattr(value, "bit_generator", value)
            yield "", repr(getattr(state, "state", None) or getattr(state, "get_state", state.__repr__)())
        elif kind == "itertools":
            tells = isinstance(value, itertools.count | itertools.repeat)
            yield "", repr(value) if tells else Unknown()
        elif isinstance(value, Tensor):
            yield "", _of_tensor(value)
        elif isinstance(value, np.ndarray):
            yield "", _of_array(value)
        elif isinstance(value, contextvars.ContextVar):
            yield from ((f".get(){label}", told) for label, told in self._told(value.get(None)))
        elif _stateless(value):
            return
        elif isinstance(value, dict | list | set | frozenset) and len(value) > LONGEST:
            yield "", len(value)
        elif self._new(value) or not own_attributes(value):
            yield from self._places(value)

    def _places(self, value: Any) -> Iterator[tuple[str, Any]]:
        """What is kept in an object, by path."""
        try:
            for place in places(value, {}, shut=_closed):
                self.looked += 1
                if self.looked > MOST:
                    yield " (more than can be looked at)", Unknown()
                    return
                if place.kind == "inner":
                    self._code_of(place.value)
                else:
                    yield f".{place.path}".rstrip("."), _of_place(place)
        except NotVectorizable:  # it can't be looked into
            yield "", Unknown()


class Unknown:
    """State that can't be told, and so is taken for changed: it is equal to nothing."""


def _is_there(value: Any) -> bool:
    """Whether it can be asked for its class: a proxy of what is gone can't."""
    try:
        return value.__class__ is not None
    except Exception:
        return False


def _behind(value: Any) -> Any:
    """The function that a method, a property or a cache stands for."""
    if isinstance(value, types.MethodType | classmethod | staticmethod):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    return value.__wrapped__ if isinstance(value, functools._lru_cache_wrapper) else value


# torch lays this around the step of an optimizer's class when one is first made, which is no state of the class
_TORCHS = torch.optim.Optimizer.profile_hook_step(lambda self: None).__code__
_STATELESS = (  # or not a contender's
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MappingProxyType,
    types.GenericAlias,
    types.UnionType,
    np.ufunc,
)
_CLOSED = {
    "polars", "typing", "abc", "enum", "dataclasses", "inspect", "importlib", "_frozen_importlib",
    "_frozen_importlib_external", "logging", "threading", "_thread", "re", "io", "_io", "concurrent", "multiprocessing",
}  # fmt: skip
_KEPT = (bool, int, float, complex, str, bytes, list, dict, set)
_LEAVES = (
    Tensor,
    np.ndarray,
    str,
    bytes,
    int,
    float,
    complex,
    types.ModuleType,
    types.BuiltinFunctionType,
    type(None),
)


def _inside(value: Any) -> Iterator[Any]:
    """What an object holds."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from value
    elif isinstance(value, types.FunctionType):
        yield from (cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType())
    elif isinstance(value, types.MethodType | functools.partial):
        yield from (getattr(value, n, None) for n in ("__self__", "__func__", "func", "args", "keywords"))
    else:
        yield from own_attributes(value).values()
        for cls in type(value).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                with contextlib.suppress(AttributeError):
                    yield object.__getattribute__(value, name)


def _closed(value: Any) -> bool:
    """Whether neither it nor what it holds is a contender's."""
    return isinstance(value, _STATELESS) or type(value).__module__.partition(".")[0] in _CLOSED


def _stateless(value: Any) -> bool:
    """Whether it keeps nothing itself; of torch's objects modules, optimizers and schedulers do."""
    kind = type(value).__module__.partition(".")[0]
    keeping = torch.nn.Module | torch.optim.Optimizer | torch.optim.lr_scheduler.LRScheduler
    return _closed(value) or kind == "assay" or (kind == "torch" and not isinstance(value, keeping))


def _of_place(place: Leaf) -> Any:
    value = place.value
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, Tensor):
        return _of_tensor(value)
    told = token(place)
    unpicklable = isinstance(told, tuple) and told[1:] == ("",)
    return Unknown() if unpicklable and not _stateless(value) else told


def _of_array(array: np.ndarray) -> tuple[Any, ...]:
    if array.dtype.hasobject:
        return array.shape, array.dtype.str, id(array)
    return array.shape, array.dtype.str, zlib.crc32(np.ascontiguousarray(array).data)


def _of_tensor(tensor: Tensor) -> tuple[int, int]:
    return id(tensor), version(tensor)


@functools.lru_cache(maxsize=10_000)
def _names(code: types.CodeType) -> frozenset[str]:
    """Names of globals and attributes that code mentions, the code within it too."""
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(code.co_names).union(*inner)


def _is_foreign(function: types.FunctionType) -> bool:
    """By where it was written, too: `functools.wraps` gives a user's function the module of what it is laid around."""
    return _foreign(function.__module__) and _foreign(function.__globals__.get("__name__"))


def _foreign(module: str | None) -> bool:
    """Python's, torch's, NumPy's and assay's own modules keep nothing of a contender's or a task's."""
    return (module or "").partition(".")[0] in _FOREIGN
