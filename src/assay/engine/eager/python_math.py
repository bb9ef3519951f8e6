"""Python's own functions of numbers, for numbers that are tensors: `math.sqrt(1 - beta2**t)`, `max(lr, floor)`."""

from __future__ import annotations

import builtins
import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from assay.engine.eager.op_tables import MATH
from assay.engine.eager.optimizer_mode import Lifting
from assay.engine.eager.python_numbers import mark_all


@contextlib.contextmanager
def lifted_math(mode: Lifting) -> Iterator[None]:
    """`math.sqrt` and its kin, `min` and `max` take such numbers too, inside; they would read their values."""
    functions = {(math, name): _math(mode, getattr(math, name), MATH[name]) for name in MATH}
    functions[builtins, "max"] = _extreme(mode, builtins.max, lambda a, b: b > a)
    functions[builtins, "min"] = _extreme(mode, builtins.min, lambda a, b: b < a)
    before = {(module, name): getattr(module, name) for module, name in functions}
    for (module, name), function in functions.items():
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name), function in before.items():
            setattr(module, name, function)


def _math(mode: Lifting, plain: Callable[..., Any], tensor_form: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        if not any(isinstance(a, Tensor) for a in args):
            return plain(*args)
        numbers = [mode.item(a) if isinstance(a, Tensor) else a for a in args]
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(*numbers)
        with torch._C.DisableTorchFunction():
            return mark_all(tensor_form(*map(_wide, numbers)))

    return function


def _extreme(mode: Lifting, plain: Callable[..., Any], replaces: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Python keeps the first of equals, and what compares false with NaN."""

    def function(*args: Any, **kwargs: Any) -> Any:
        candidates: Any = args
        if len(args) == 1:
            candidates = args[0] if type(args[0]) in (list, tuple) else ()
        if kwargs or not any(isinstance(a, Tensor) and a.numel() == 1 for a in candidates):
            return plain(*args, **kwargs)
        numbers = [mode.item(a) if isinstance(a, Tensor) else a for a in candidates]
        if not any(isinstance(a, Tensor) for a in numbers):
            return plain(numbers)
        floating = any(isinstance(a, float) or (isinstance(a, Tensor) and a.is_floating_point()) for a in numbers)
        with torch._C.DisableTorchFunction():
            wide = [_wide(a) if floating else torch.as_tensor(a) for a in numbers]
            return mark_all(functools.reduce(lambda a, b: torch.where(replaces(a, b), b, a), wide))

    return function


def _wide(value: Any) -> Tensor:
    return value.to(torch.float64) if isinstance(value, Tensor) else torch.tensor(float(value), dtype=torch.float64)
