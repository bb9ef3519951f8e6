"""What of a class or a function is as it was installed, and what a user has put there."""

from __future__ import annotations

import sys
import types
from types import FunctionType, ModuleType
from typing import Any

from assay.contenders.packages import owner_of


def installed(thing: Any) -> bool:
    """Is it no more than a package and its version: a class or function as it was installed, with nothing of a user's in it?"""
    if isinstance(thing, type):
        return owner_of(thing.__module__) is not None and not (made_while_running(thing) or patched(thing))
    return isinstance(thing, FunctionType) and owner_of(home_of(thing)) is not None and not thing.__closure__


def made_while_running(kind: type) -> bool:
    """Whether a class is one that `types.new_class` or `make_dataclass` made, which says that it is the standard library's."""
    module = sys.modules.get(kind.__module__)
    return kind.__module__ in ("types", "abc", "dataclasses") and vars(module).get(kind.__name__) is not kind


def unhooked(function: FunctionType) -> FunctionType:
    """An optimizer's own `step`, which torch wraps in its class when the first of them is made."""
    hooked = hasattr(function, "hooked") and home_of(function) == "torch.optim.optimizer"
    return getattr(function, "__wrapped__", function) if hooked else function


def home_of(function: FunctionType) -> str:
    """The module whose text a function is in, whatever `functools.wraps` says."""
    return str(function.__globals__.get("__name__") or "")


def patched(kind: type) -> dict[str, FunctionType]:
    """The functions of a user's that were put into an installed class, or one that it inherits from, by where they are."""
    found: dict[str, FunctionType] = {}
    for base in (base for base in kind.__mro__ if owner_of(base.__module__)):
        for name, own in vars(base).items():
            function = unhooked(own) if isinstance(own, FunctionType) else None
            # generated ones, of data classes, have no home, or that of their class
            if (
                function
                and home_of(function)
                and not owner_of(home_of(function))
                and not owner_of(function.__module__ or "")
            ):
                found[f"{base.__qualname__}.{name}"] = function
    return found


def altered(found: Any) -> bool:
    """Has something of a user's been put in an installed thing's place?"""
    return isinstance(found, type | FunctionType) and not installed(found)


_IN_C = (
    types.BuiltinFunctionType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


def is_there(value: Any, name: str) -> bool:
    """Is it what a loaded module holds by that name?"""
    return any(isinstance(module, ModuleType) and vars(module).get(name) is value for module in [*sys.modules.values()])


def is_data(value: Any) -> bool:
    """Is it a number or an array, of which the installed ones are always the same?"""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    arrays = ((numpy.ndarray,) if numpy else ()) + ((torch.Tensor,) if torch else ())
    return type(value) in (bool, int, float, complex, *arrays)


def in_c(value: Any) -> bool:
    """Is it a function that is no bytecode: one of C, or what Cython makes?"""
    return isinstance(value, _IN_C) or type(value).__name__ in ("cython_function_or_method", "fused_cython_function")
