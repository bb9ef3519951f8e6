"""The parity probe: before a population trains, a few members train both ways, and every number must agree.

Every tuned hyperparameter is varied, in double precision where the model allows, over epochs with a smaller last batch.
Compiled steps are traced at one step and replayed at the others, their graphs interpreted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
from torch import nn
from torch.nn import functional

from assay.core import Contender, Curves, Member, Numerics, Split, Splits, Task
from assay.engine.eager.model_mode import DROPOUTS, dropout_sites
from assay.engine.eager.patching import PatchingMode
from assay.engine.eager.population import DRAWN_AGAIN, Population
from assay.engine.refusal import refusal
from assay.engine.train import train_with
from assay.space import Choice, Int
from assay.training import loop
from assay.training.data import load
from assay.training.step import make_model, own_randomness

MEMBERS = 3
EPOCHS = 6  # sixty steps in all: past a fiftieth
STEPS = 10  # an epoch; the last is a smaller batch
PART = 3  # samples of the micro-batches that are tried
TOLERANCE = {"float64": 1e-5, "float32": 1e-3}  # relative to the largest value compared
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_TRACES = ("train_loss", "grad_norm", "update_norm")


def probe(
    task: Task,
    contender: Contender,
    numerics: Numerics,
    split: int = 0,
    kind: Callable[..., Population] | None = None,
) -> str | None:
    """None where the vectorized engine gives the loop's numbers, else one line that says what differs, or why it can't run.

    Args:
        split: seed of the data set to take the first batches of; one that the plan uses is at hand already.
        kind: the populations to try; by default eager ones, or compiled ones whose graphs are interpreted.
    """
    if contender.closure != "no" and _dropped(task, numerics, split):
        return DRAWN_AGAIN
    if kind is None:
        kind = Population
        if numerics.compiled:
            from assay.engine.compiled.population import Interpreted

            kind = Interpreted
    return _compared(partial(train_with, kind), task, contender, numerics, split)


def probe_loop(task: Task, contender: Contender, numerics: Numerics, split: int = 0) -> str | None:
    """The same of the loop with its model compiled, or its batches in parts, beside the plain one."""
    forward_of = None
    if numerics.compiled:
        from assay.engine.compiled.forward import forward_of
    half = numerics if not numerics.micro_batch else msgspec.structs.replace(numerics, micro_batch=PART)
    return _compared(partial(loop.train, forward_of=forward_of), task, contender, half, split)


def _compared(
    train: Callable[..., Curves], task: Task, contender: Contender, numerics: Numerics, split: int
) -> str | None:
    small = without_dropout(_small(task, split))
    few = members(contender, split)
    exact = msgspec.structs.replace(numerics, dtype="float64", chunk_size=MEMBERS, precision=msgspec.UNSET)
    plain = msgspec.structs.replace(exact, micro_batch=msgspec.UNSET)
    try:
        expected = loop.train(small, contender, few, plain)
    except Exception:  # a model that keeps to float32, or one that the loop can't train either: the caller must know
        exact, plain = (msgspec.structs.replace(n, dtype="float32") for n in (exact, plain))
        expected = loop.train(small, contender, few, plain)
    try:
        if _dropped(small, exact, split):
            return "the model draws dropout that can't be switched off, so its numbers can't be compared"
        found = train(small, contender, few, exact)
    except Exception as error:
        return str(refusal(error))
    return _difference(small, expected, found, TOLERANCE[exact.dtype])


def _dropped(task: Task, numerics: Numerics, split: int) -> bool:
    """Whether the task's model draws dropout."""
    inputs, _ = load(task, split, numerics.dtype, numerics.device).train
    with own_randomness():
        return bool(dropout_sites(make_model(task, numerics), inputs[: task.batch_size]))


def members(contender: Contender, split: int = 0) -> list[Member]:
    """Members that differ in every tuned hyperparameter, each spread over the inner part of its range."""
    return [
        Member(0, "tune", 0, i, _hyperparameters(contender, i), split, init=1 + i, batches=11 + i, noise=21 + i)
        for i in range(MEMBERS)
    ]


def _hyperparameters(contender: Contender, i: int) -> dict[str, Any]:
    """The i-th member's: a Latin square, so that no two hyperparameters move together."""
    chosen: dict[str, Any] = {}
    for k, (name, dimension) in enumerate(contender.space.items()):
        if isinstance(dimension, Choice):
            chosen[name] = dimension.options[i % len(dimension.options)]
            continue
        place = (0.25, 0.5, 0.75)[(i * (2 if k % 3 else 1) + k) % 3]
        value = dimension.from_unit(place)
        chosen[name] = round(value) if isinstance(dimension, Int) else value
    return chosen


def _difference(task: Task, expected: Curves, found: Curves, tolerance: float) -> str | None:
    """What differs most between two engines' curves, in one line; None within the tolerance."""
    if (expected.diverged != found.diverged).any():
        return f"members diverge in epochs {found.diverged.tolist()}, in the loop in {expected.diverged.tolist()}"
    if (expected.gradient_evaluations != found.gradient_evaluations).any():
        counts = f"{found.gradient_evaluations.tolist()}, in the loop {expected.gradient_evaluations.tolist()}"
        return f"members evaluate the gradient {counts} times"
    if (unlike := scored_otherwise(expected.validation, found.validation, tolerance)) is not None:
        return f"validation scores differ by {unlike:.1e} from the loop's"
    compared: dict[str, tuple[np.ndarray, np.ndarray]] = {n: (getattr(expected, n), getattr(found, n)) for n in _TRACES}
    if expected.weights is not None and found.weights is not None:
        state = task.model().state_dict()
        ends = np.cumsum([tensor.numel() for tensor in state.values()])
        parts = (np.split(weights, ends[:-1], axis=1) for weights in (expected.weights, found.weights))
        compared |= dict(zip(state, zip(*parts, strict=True), strict=True))
    worst, where = 0.0, ""
    for name, (a, b) in compared.items():
        finite = np.isfinite(a)
        if (finite != np.isfinite(b)).any():
            return f"{name} is finite in one engine only"
        a, b = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
        scale = np.abs(a).max(1)
        amount = float((np.abs(a - b).max(1) / np.where(scale > 0, scale, 1.0)).max())
        if amount > worst:
            worst, where = amount, name
    return f"{where} differs by {worst:.1e} of its size from the loop's" if worst > tolerance else None


def scored_otherwise(expected: np.ndarray, found: np.ndarray, tolerance: float) -> float | None:
    """The largest difference of scores, where it is more than rounding, or than one sample that tips over."""
    both = np.isfinite(expected) & np.isfinite(found)
    if not both.any():
        return None
    steps = np.diff(np.unique(expected[both]))
    steps = steps[steps > 1e-9]
    whole = steps / steps.min() if len(steps) else steps
    tipped = 1.01 * steps.min() if len(steps) and np.abs(whole - whole.round()).max() < 1e-3 else 0.0
    apart = float(np.abs(expected - found)[both].max())
    return apart if apart > max(tolerance * max(1e-9, float(np.abs(expected[both]).max())), tipped) else None


def _small(task: Task, split: int) -> Task:
    splits = task.draw(split)
    batch = min(task.batch_size, max(1, len(splits.train.inputs) // STEPS))
    wanted = batch * (STEPS - 1) + max(1, batch // 2)

    def first(part: Split, n: int = 4 * batch) -> Split:
        return Split(part.inputs[:n], part.targets[:n])

    validation = splits.test if splits.validation is None else first(splits.validation)
    small = Splits(first(splits.train, wanted), validation, first(splits.test))
    return replace(task, data=lambda _: small, epochs=EPOCHS, batch_size=batch, published=None)


def without_dropout(task: Task) -> Task:
    """Masks are equal in distribution only, so they are left out: of modules, and of what a model's own code calls."""

    def model() -> nn.Module:
        made = task.model()
        for module in made.modules():
            if isinstance(module, _DROPOUTS):
                module.p = 0.0
            elif isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
        # a class, not an attribute: models are copied
        made.__class__ = type(type(made).__name__, (_Quiet, type(made)), {"__module__": type(made).__module__})
        return made

    return replace(task, model=model)


class _Quiet:
    """Ahead of a model's own class: whatever dropout its forward pass calls drops nothing."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with _NoDropout():
            return super().forward(*args, **kwargs)  # type: ignore[misc]


class _NoDropout(PatchingMode):
    """Dropout gives what it is given, called by its name or through torch."""

    def replacements(self) -> dict[tuple[Any, str], Callable[..., Any]]:
        return {(functional, name): _as_it_is for name in DROPOUTS}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        run = _as_it_is if getattr(func, "__name__", "") in DROPOUTS else func
        return run(*args, **(kwargs or {}))


def _as_it_is(input: Any, *_: Any, **__: Any) -> Any:
    return input
