"""Tasks: what contenders are judged on. One file each, and this registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from assay.contenders import load
from assay.contenders.source import source_of
from assay.core import Task, TaskInfo
from assay.errors import UsageError, nearest

from .logistic import logistic_regression
from .mnist1d import mnist1d_mlp

TASKS: dict[str, tuple[Callable[..., Task], str]] = {
    "mnist1d-mlp": (mnist1d_mlp, "MNIST-1D, one hidden layer of 256: the task of the original study"),
    "logistic": (
        logistic_regression,
        "logistic regression on made-up data with a known best: a comparison takes seconds",
    ),
}


def find(name: str | Task, options: Mapping[str, Any] | None = None) -> Task:
    """The task of that name, or that `pkg.mod:name` or `path/file.py:name` leads to, built with the options given.

    Raises:
        UsageError: an unknown name or option; a file or module that fails to import, or names something else.
    """
    if isinstance(name, Task):
        return replace(name, source=name.source or source_of(name.model))
    if ":" in name:
        build, _ = load(name)
    elif name in TASKS:
        build, _ = TASKS[name]
    else:
        raise UsageError(f"no task is called {name!r}; {nearest(name, TASKS)} (your own: path/file.py:name)")
    try:
        task = build if isinstance(build, Task) else build(**(options or {}))
    except (TypeError, ValueError) as error:
        raise UsageError(f"task {name}: {error}") from error
    if not isinstance(task, Task):
        raise UsageError(
            f"task {name} is {type(task).__name__}; it must be an assay.Task, or a function that returns one"
        )
    return replace(task, reference=name, source=source_of(task.model if isinstance(build, Task) else build))


def again(info: TaskInfo) -> Task:
    """The task of a plan, made again. UsageError for one without a reference, or whose source has changed."""
    if not info.reference:
        raise UsageError(f"task {info.name} was given as a Python object: without a reference it can't be made again")
    task = find(info.reference, info.options)
    if task.source != info.source:
        raise UsageError(f"the source of task {info.name} was edited since the record was made")
    return replace(task, epochs=info.epochs, margin=info.margin, margin_reason=info.margin_reason)
