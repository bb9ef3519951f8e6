"""What a task was asked for beside its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def asked(build: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task's function that differ from their defaults. `given`: its arguments (its `locals()`)."""
    defaults = {name: p.default for name, p in inspect.signature(build).parameters.items()}
    return {name: given[name] for name, default in defaults.items() if given[name] != default}


def at_least(name: str, value: int, least: int = 1) -> int:
    """The value. ValueError below `least`."""
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")
    return value
