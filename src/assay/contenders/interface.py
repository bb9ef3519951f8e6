"""How an optimizer's step wants to be called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def needs_closure(step: Callable[..., Any] | None) -> bool:
    """Has a step (of an instance, or of a class) a positional parameter without a default, `self` aside?"""
    try:
        parameters = inspect.signature(step).parameters.values()  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.default is p.empty and p.kind in positional and p.name != "self" for p in parameters)
