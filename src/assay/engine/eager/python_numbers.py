"""Numbers: 0-dimensional tensors that stand where an optimizer had Python numbers, and Python's own functions of them.

`math.sqrt(1 - beta2**t)` and `max(lr, floor)` read a tensor's value, and members differ: others stand in their place.
"""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from assay.engine.torch_private import torch_functions_off

Item = Callable[[Tensor], Any]  # a one-element tensor → the number in it, which may stay a tensor

_MARK = "_assay_number"
_MATH: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in (
        "sqrt", "exp", "log", "log2", "log10", "log1p", "expm1", "pow", "sin", "cos", "tan", "tanh", "atan", "sinh", "cosh",
        "asin", "acos", "hypot", "isnan", "isinf", "isfinite", "atan2", "erf")},
    "fabs": torch.abs,
    **{name: lambda x, round=getattr(torch, name): round(x).to(torch.int64) for name in ("floor", "ceil", "trunc")},
}  # fmt: skip


def as_number(tensor: Tensor) -> Tensor:
    """Mark a 0-dimensional tensor as one that stands for a Python number."""
    setattr(tensor, _MARK, True)
    return tensor


def is_number(value: Any) -> bool:
    """Whether a tensor stands for a Python number."""
    return isinstance(value, Tensor) and _MARK in value.__dict__


def same(a: Any, b: Any) -> bool:
    """Whether two Python numbers are equal, or both NaN."""
    return a == b or (a != a and b != b)


def mapped(change: Callable[[Tensor], Any], value: Any) -> Any:
    """The value with each tensor changed, in lists, tuples and dictionaries too."""
    if isinstance(value, Tensor):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)([mapped(change, v) for v in value])
    return {k: mapped(change, v) for k, v in value.items()} if type(value) is dict else value


def number_functions(item: Item) -> dict[tuple[ModuleType, str], Callable[..., Any]]:
    """What stands for `math.sqrt` and its kin, `min` and `max`, by module and name."""
    return {
        **{(math, name): _math(item, getattr(math, name), form) for name, form in _MATH.items()},
        (builtins, "max"): _extreme(item, builtins.max, lambda a, b: b > a),
        (builtins, "min"): _extreme(item, builtins.min, lambda a, b: b < a),
    }


def _math(item: Item, plain: Callable[..., Any], tensor_form: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        numbers = [item(a) if isinstance(a, Tensor) else a for a in args]
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(*numbers)
        with torch_functions_off():
            return mapped(as_number, tensor_form(*map(_wide, numbers)))

    return function


def _extreme(item: Item, plain: Callable[..., Any], replaces: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Python keeps the first of equals, and what compares false with NaN."""

    def function(*args: Any, **kwargs: Any) -> Any:
        candidates: Any = args
        if len(args) == 1:
            candidates = args[0] if type(args[0]) in (list, tuple) else ()
        if kwargs or not any(isinstance(a, Tensor) and a.numel() == 1 for a in candidates):
            return plain(*args, **kwargs)
        numbers = mapped(item, candidates)
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(numbers)
        floating = any(isinstance(a, float) or (isinstance(a, Tensor) and a.is_floating_point()) for a in numbers)
        with torch_functions_off():
            wide = [_wide(a) if floating else torch.as_tensor(a) for a in numbers]
            return as_number(functools.reduce(lambda a, b: torch.where(replaces(a, b), b, a), wide))

    return function


def _wide(value: Any) -> Tensor:
    return value.to(torch.float64) if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
