"""Numbers: 0-dimensional tensors that stand where an optimizer had Python numbers, and Python's own functions of them.

`math.sqrt(1 - beta2**t)` and `max(lr, floor)` read a tensor's value, and members differ: others stand in their place. Where
Python would raise (a division by zero, a number out of a function's domain, an overflow), torch goes on with NaN, infinity
or a wrong whole number: what must hold for Python not to raise is *required* of each operation.
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

from assay.engine.refusal import hands_on
from assay.engine.torch_private import torch_functions_off

Item = Callable[[Tensor], Any]  # a one-element tensor → the number in it, which may stay a tensor
Require = Callable[[Any], None]  # is told what must be true

LARGEST, WHOLE_LIMIT = 1.7976931348623157e308, 9.2e18  # of float64, and of what int64 holds

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


def sound_power(base: Any, exponent: Any, result: Tensor) -> Tensor:
    """Where Python has a real power too: not 0 to a negative one, nor a root of a negative number, nor an overflow."""
    return _finite(result, base, exponent)


def _finite(result: Tensor, *operands: Any) -> Tensor:
    """Finite, or computed from what isn't."""
    sound = result.abs() <= LARGEST
    for operand in operands:
        if isinstance(operand, Tensor) and operand.is_floating_point():
            sound = sound | ~(operand.abs() <= LARGEST)
    return sound


_SOUND: dict[str, Callable[..., Any]] = {  # result, operands → whether Python computes it too
    "sqrt": lambda _, x: ~(x < 0),
    **dict.fromkeys(("log", "log2", "log10"), lambda _, x: ~(x <= 0)),
    "log1p": lambda _, x: ~(x <= -1),
    **dict.fromkeys(("asin", "acos"), lambda _, x: ~(x.abs() > 1)),
    **dict.fromkeys(("sin", "cos", "tan"), lambda _, x: ~(x.abs() > LARGEST)),
    **dict.fromkeys(("exp", "expm1", "sinh", "cosh", "pow", "hypot"), _finite),
    **dict.fromkeys(("floor", "ceil", "trunc"), lambda _, x: x.abs() <= WHOLE_LIMIT),
}


def number_functions(item: Item, require: Require) -> dict[tuple[ModuleType, str], Callable[..., Any]]:
    """What stands for `math.sqrt` and its kin, `min` and `max`, by module and name."""
    return {
        **{(math, name): _math(item, require, name, form) for name, form in _MATH.items()},
        (builtins, "max"): _extreme(item, builtins.max, lambda a, b: b > a),
        (builtins, "min"): _extreme(item, builtins.min, lambda a, b: b < a),
    }


def _math(item: Item, require: Require, name: str, tensor_form: Callable[..., Any]) -> Callable[..., Any]:
    plain, sound = getattr(math, name), _SOUND.get(name)

    @hands_on
    def function(*args: Any) -> Any:
        numbers = [item(a) if isinstance(a, Tensor) else a for a in args]
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(*numbers)
        with torch_functions_off():
            operands = [_wide(n) for n in numbers]
            result = tensor_form(*operands)
            if sound is not None:
                require(sound(result, *operands))
            return mapped(as_number, result)

    return function


def _extreme(item: Item, plain: Callable[..., Any], replaces: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Python keeps the first of equals, and what compares false with NaN."""

    @hands_on
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
