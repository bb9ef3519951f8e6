"""Python's own functions of numbers, for numbers that are tensors: `math.sqrt(1 - beta2**t)`, `max(lr, floor)`."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from assay.engine.eager.op_tables import MATH
from assay.engine.eager.python_numbers import as_numbers
from assay.engine.eager.torch_private import torch_functions_off

Item = Callable[[Tensor], Any]  # a one-element tensor → the number in it, which may stay a tensor


def number_functions(item: Item) -> dict[tuple[ModuleType, str], Callable[..., Any]]:
    """What stands for `math.sqrt` and its kin, `min` and `max`, by module and name."""
    return {
        **{(math, name): _math(item, getattr(math, name), form) for name, form in MATH.items()},
        (builtins, "max"): _extreme(item, builtins.max, lambda a, b: b > a),
        (builtins, "min"): _extreme(item, builtins.min, lambda a, b: b < a),
    }


def _math(item: Item, plain: Callable[..., Any], tensor_form: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        if not any(isinstance(a, Tensor) for a in args):
            return plain(*args)
        numbers = [item(a) if isinstance(a, Tensor) else a for a in args]
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(*numbers)
        with torch_functions_off():
            return as_numbers(tensor_form(*map(_wide, numbers)))

    return function


def _extreme(item: Item, plain: Callable[..., Any], replaces: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Python keeps the first of equals, and what compares false with NaN."""

    def function(*args: Any, **kwargs: Any) -> Any:
        candidates: Any = args
        if len(args) == 1:
            candidates = args[0] if type(args[0]) in (list, tuple) else ()
        if kwargs or not any(isinstance(a, Tensor) and a.numel() == 1 for a in candidates):
            return plain(*args, **kwargs)
        numbers = [item(a) if isinstance(a, Tensor) else a for a in candidates]
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(numbers)
        floating = any(isinstance(a, float) or (isinstance(a, Tensor) and a.is_floating_point()) for a in numbers)
        with torch_functions_off():
            wide = [_wide(a) if floating else torch.as_tensor(a) for a in numbers]
            return as_numbers(functools.reduce(lambda a, b: torch.where(replaces(a, b), b, a), wide))

    return function


def _wide(value: Any) -> Tensor:
    return value.to(torch.float64) if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
