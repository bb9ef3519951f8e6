"""What a task was asked for beside its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import ParamSpec

from assay.core import Task

Options = ParamSpec("Options")


def recorded(build: Callable[Options, Task]) -> Callable[Options, Task]:
    """A task's function whose tasks hold, as `options`, the arguments that differ from their defaults."""
    signature = inspect.signature(build)

    @wraps(build)
    def with_options(*args: Options.args, **kwargs: Options.kwargs) -> Task:
        given = signature.bind(*args, **kwargs).arguments
        asked = {name: value for name, value in given.items() if value != signature.parameters[name].default}
        return replace(build(*args, **kwargs), options=asked)

    return with_options


def at_least(name: str, value: int, least: int = 1) -> int:
    """The value. ValueError below `least`."""
    if value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")
    return value
