"""Numbers: 0-dimensional tensors that stand where an optimizer had Python numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor

_MARK = "_assay_number"


def as_number(tensor: Tensor) -> Tensor:
    """Mark a 0-dimensional tensor as one that stands for a Python number."""
    setattr(tensor, _MARK, True)
    return tensor


def is_number(value: Any) -> bool:
    """Whether a tensor stands for a Python number."""
    return isinstance(value, Tensor) and _MARK in value.__dict__


def as_numbers(result: Any) -> Any:
    """Mark every tensor of a result as a number."""
    if isinstance(result, Tensor):
        return as_number(result)
    return type(result)(map(as_numbers, result)) if type(result) in (list, tuple) else result
