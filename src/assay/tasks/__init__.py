"""Tasks: what contenders are judged on. One file for each source of data, and this registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from assay.contenders import load
from assay.contenders.load import Origin, apart, changes_of, module_of, origin_of, source_of
from assay.core import Task, TaskInfo, other_reach
from assay.errors import AssayError, UsageError, nearest, own_frames
from assay.tasks.char_attention import char_attention
from assay.tasks.digits import digits
from assay.tasks.friedman import friedman1
from assay.tasks.given import with_factory
from assay.tasks.logistic import logistic_regression
from assay.tasks.mnist1d import mnist1d_cnn, mnist1d_gru, mnist1d_mlp
from assay.tasks.own import KINDS
from assay.tasks.own import hf as hf
from assay.tasks.own import images as images
from assay.tasks.own import table as table
from assay.tasks.own import text as text
from assay.tasks.own import torchvision as torchvision
from assay.tasks.python_source import python_gpt, python_gpt_small, python_softmax
from assay.tasks.quadratic import quadratic

TASKS: dict[str, tuple[Callable[..., Task], str]] = {
    "mnist1d-mlp": (mnist1d_mlp, "MNIST-1D, one hidden layer of 256: the task of the original study"),
    "mnist1d-cnn": (mnist1d_cnn, "MNIST-1D, three convolutions: the network its paper recommends"),
    "mnist1d-gru": (mnist1d_gru, "MNIST-1D read in order by a GRU's unrolled cell: gradients through time"),
    "digits": (
        digits,
        "scikit-learn's digits, an MLP with batch normalisation: fixed data, partitioned anew by each replicate",
    ),
    "friedman1": (friedman1, "regression on Friedman's first function, whose noise is known"),
    "char-attention": (char_attention, "a small transformer that spells the names of Unicode's characters"),
    "quadratic": (quadratic, "a noisy quadratic of condition 1000, whose optimum is known"),
    "logistic": (
        logistic_regression,
        "logistic regression on made-up data with a known best: a comparison takes seconds",
    ),
    "python-gpt-small": (
        python_gpt_small,
        "a small GPT on the source of Python's own library: next tokens, with a heavy tail",
    ),
}

SUITE = tuple(TASKS)
"""What `--task suite` stands for."""

TASKS |= {
    "python-gpt": (python_gpt, "the same at twice the width and four times the context"),
    "python-softmax": (python_softmax, "softmax regression on the same text: the convex core of that question"),
}


def find(name: str | Task, options: Mapping[str, Any] | None = None) -> Task:
    """The task of that name, or that `pkg.mod:name` or `path/file.py:name` leads to, built with the options given.

    Raises:
        UsageError: an unknown name or option; a file or module that fails to import, or names something else.
    """
    given = dict(options or {})
    batch_size = given.pop("batch_size", None)
    if isinstance(name, Task):
        _asked(name.name, name, given)
        task = with_factory(_batched(name, batch_size))
        origin = _origin(task, task.model)
        return replace(task, **origin._replace(source=task.source or origin.source)._asdict())
    kind, _, place = name.partition(":")
    if place and kind in KINDS:
        if sized := [f"--{option}" for option in ("width", "depth") if option in given and given.get("model")]:
            raise UsageError(
                f"task {name}: {' and '.join(sized)} would say nothing, for --model {given['model']} has its own sizes"
            )
        build = partial(KINDS[kind], place)
    elif ":" in name:
        build = load(name)
    elif name in TASKS:
        build, _ = TASKS[name]
    elif name == "suite":
        raise UsageError("suite is several tasks: give it by itself, not in a list")
    else:
        yours = "path/file.py:name, text:FILE, table:FILE, images:FOLDER, hf:NAME, torchvision:NAME"
        raise UsageError(f"no task is called {name!r}; {nearest(name, TASKS)} (your own: {yours})")
    asked = _asked(name, build, given)
    try:
        with apart(f"task {name} was made"):
            task = build(**given) if callable(build) else build
    except (TypeError, ValueError) as error:
        raise UsageError(f"task {name}: {error}") from error
    except AssayError:
        raise
    except Exception as error:
        raise UsageError(f"task {name} fails when it is made: {own_frames(error)}") from error
    if not isinstance(task, Task):
        raise UsageError(
            f"task {name} is {type(task).__name__}; it must be an assay.Task, or a function that returns one"
        )
    made_in = module_of(name) if isinstance(build, Task) else KINDS.get(kind, build)
    note = "; ".join(filter(None, (task.note, changes_of(task.model if isinstance(build, Task) else build))))
    task = replace(task, reference=name, options={**asked, **task.options}, note=note)
    task = with_factory(_batched(task, batch_size))
    origin = _origin(task, made_in) if ":" in name else Origin(source_of(made_in))
    return replace(task, **origin._asdict())


def _origin(task: Task, made_in: Any) -> Origin:
    """What a task is made of, its data a factory by now.

    The data sets themselves are compared by digest before a record is believed.
    """
    metric = {"score": task.metric.score, "constant": task.metric.constant}
    parts = {"data": task.data, "model": task.model, "loss": task.loss, "published": task.published, **metric}
    return origin_of(made_in, compared=("data", "published"), **parts)


class Spread(NamedTuple):
    """The spread of a replicate's paired difference on record, in the metric's file units, and how it was measured."""

    sd: float
    final_seeds: int
    replicates: int | None  # that it was measured on; None: not known
    second: bool  # tuned by the honest protocol's second edition


_FIRST = {"mnist1d-mlp": 12, "logistic": 12, "digits": 6, "friedman1": 6, "quadratic": 6}
_SECOND = {"mnist1d-mlp": Spread(0.00446, 12, 84, second=True)}  # benchmarks/half_width.py --seeds 6
"""By name: what was measured by each edition. Here and not in the tasks' own files, whose bytes name their records."""


def spread_of(task: Task, second: bool) -> Spread | None:
    """What is on record of a task, if anything; by the second edition where that is asked and known."""
    if task.replicate_sd is None:
        return None
    own = task.name in TASKS and task.replicate_sd == find(task.name).replicate_sd
    if second and own and task.name in _SECOND:
        return _SECOND[task.name]
    return Spread(task.replicate_sd, 8, _FIRST.get(task.name) if own else None, second=False)


def takes(name: str, option: str) -> bool:
    """Does a task known by name take an option, batch size and epochs aside, which all do? Of others: True, `find` will tell."""
    kind = name.partition(":")[0]
    build = KINDS.get(kind) or (TASKS[name][0] if name in TASKS else None)
    return build is None or option in ("batch_size", "epochs") or option in inspect.signature(build).parameters


def _batched(task: Task, batch_size: int | None) -> Task:
    """The task with batches of another size, which is one of its options then."""
    if batch_size is None or batch_size == task.batch_size:
        return task
    if batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: it must be 1 at least")
    return replace(task, batch_size=batch_size, options={**task.options, "batch_size": batch_size})


def _asked(name: str, build: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that differ from a task's defaults, in its order. UsageError that says which it takes for others."""
    parameters = {} if isinstance(build, Task) or not callable(build) else inspect.signature(build).parameters
    for option in given:
        if option not in parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            takes = ", ".join(f"--{p.replace('_', '-')}" for p in (*parameters, "batch_size", "epochs"))
            raise UsageError(f"task {name} takes no --{option.replace('_', '-')}; it takes {takes}")
    return {n: given[n] for n, parameter in parameters.items() if n in given and given[n] != parameter.default}


def again(info: TaskInfo) -> Task:
    """The task of a plan, made again. UsageError for one without a reference, or whose source has changed."""
    if not info.reference:
        raise UsageError(f"task {info.name} was given as a Python object: without a reference it can't be made again")
    task = find(info.reference, info.options)
    if task.source != info.source:
        raise UsageError(f"the source of task {info.name} was edited since the record was made")
    if info.reach and task.reach != info.reach:
        raise UsageError(other_reach(f"task {info.name}", info.reach, task.reach))
    return replace(task, epochs=info.epochs, margin=info.margin, margin_reason=info.margin_reason)
