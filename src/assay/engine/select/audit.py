"""The audit: a member trained over its whole length by the loop and by its engine, and compared epoch by epoch.

The parity probe sees the first steps of small batches; this sees whatever comes later. Rounding grows as a training goes on: how
much it has grown is measured on a twin whose weights began a little apart.

In a run, one member in each hundred that an engine has trained is trained again by the loop, in its own number type. Where their
curves are further apart than `NEAR`, and than its twin's, both ways train it in float64: compiled steps are interpreted, as they
are in the probe, and dropout is left out, for its masks are equal in distribution only (the twin of a run draws others). A fault
that is smaller in every epoch is left to `assay verify --retrain`, which always asks float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import numpy as np
import torch
from torch import nn

from assay.core import Contender, Curves, Member, Numerics, Task
from assay.engine.eager.population import Population
from assay.engine.refusal import refusal
from assay.engine.select.parity import scored_otherwise, without_dropout
from assay.engine.train import train_with
from assay.errors import UsageError
from assay.training import loop

APART = 1e-12  # of each weight, at the twin's start: ten thousand times what float64 rounds off
ROUNDING = 1e-7  # of a value, and a thousandth of that of its curve's largest, that needs no twin
GROWN = 10  # times the twin's distance
NEAR = 3e-3  # as ROUNDING, in a run: what is further apart is asked of a twin, which costs as much as the audit
CURVES = ("train_loss", "grad_norm", "update_norm")
_Enough = Callable[[np.ndarray], bool]  # of loop.train


def see_that_it_is_the_loops(
    task: Task, contender: Contender, member: Member, numerics: Numerics, curves: Curves, place: int
) -> None:
    """The audit of a member in a run, which left the curves at `place`.

    Raises:
        UsageError: they are not what the loop gives, up to rounding: its line, and both curves.
    """
    plain = msgspec.structs.replace(numerics, engine="loop", compiled=False, chunk_size=1)
    expected = loop.train(task, contender, [member], plain)

    def twin(enough: _Enough) -> Curves:
        apart = 10 * torch.finfo(getattr(torch, numerics.dtype)).eps  # what each step rounds off adds up
        other = msgspec.structs.replace(member, noise=member.noise + 1)
        return loop.train(_moved(task, apart), contender, [other], plain, enough)

    if _unlike(expected, curves, place, NEAR, twin) is not None and (
        unlike := audit(task, contender, member, numerics)
    ):
        raise UsageError(
            f"{contender.name}, {member.words}: its engine doesn't give the "
            f"loop's numbers: {unlike}. Its train_loss by epoch: {_listed(curves.train_loss[place])}; by the loop: "
            f"{_listed(expected.train_loss[0])}. Run it with --engine loop --fresh, and please report it"
        )


def _listed(curve: np.ndarray) -> str:
    """A curve in a line: all of it, or its first and last epochs."""
    shown = [f"{value:.4g}" for value in curve]
    return " ".join(shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-5:]])


def audit(task: Task, contender: Contender, member: Member, numerics: Numerics) -> str | None:
    """None where the engine of these numerics gives the loop's numbers for this member, up to rounding; else a line."""
    task = without_dropout(task)
    exact = msgspec.structs.replace(numerics, dtype="float64", chunk_size=1)
    kind = Population
    if numerics.compiled:
        from assay.engine.compiled.population import Interpreted as kind
    try:
        expected = loop.train(task, contender, [member], exact)
    except Exception:  # a model that keeps to float32 can't be told from rounding over a whole training
        return None
    try:
        found = train_with(kind, task, contender, [member], exact)
    except Exception as error:
        return f"the engine refuses it by itself: {refusal(error)}"

    def twin(enough: _Enough) -> Curves:
        return loop.train(_moved(task, APART), contender, [member], exact, enough)

    return _unlike(expected, found, 0, ROUNDING, twin)


def _unlike(
    expected: Curves, found: Curves, place: int, rounding: float, twin_of: Callable[[_Enough], Curves]
) -> str | None:
    """A line where the member at `place` is further from what was expected than rounding, as a twin shows it."""
    counts = int(expected.gradient_evaluations[0]), int(found.gradient_evaluations[place])
    if counts[0] != counts[1] and expected.diverged[0] == found.diverged[place]:
        return f"it evaluates the gradient {counts[1]} times, by the loop {counts[0]}"
    scored = list(_scores_apart(expected, found, place, rounding))
    if _apart(expected, found, place, rounding, None) is None and not scored:
        return None

    def enough(so_far: np.ndarray) -> bool:
        """Whether rounding has taken the twin as far as the engine ever is: nothing later can be wrong any more."""
        epochs = so_far.shape[1]
        for name, twin in zip(CURVES, so_far[2:], strict=True):
            a, b = getattr(expected, name)[0], getattr(found, name)[place]
            if not GROWN * np.abs(twin - a[:epochs]).max() >= np.abs(a - b)[epochs:].max(initial=0.0):  # NaN: not yet
                return False
        validation = expected.validation[:1, :epochs]
        return not scored or scored_otherwise(validation, so_far[None, 0], rounding) is not None

    twin = twin_of(enough)
    grown = any(_scores_apart(expected, twin, 0, rounding))
    return _apart(expected, found, place, rounding, twin) or (None if grown else next(iter(scored), None))


def _scores_apart(expected: Curves, found: Curves, place: int, tolerance: float) -> Iterator[str]:
    """The kinds of scores that differ by more than rounding, or one sample that tips over, a line each."""
    for name in ("validation", "test"):
        a, b = getattr(expected, name), getattr(found, name)
        if (
            a is not None
            and b is not None
            and (much := scored_otherwise(a[:1], b[place : place + 1], tolerance)) is not None
        ):
            yield f"its {name} scores differ by {much:.2g} from the loop's"


def _apart(expected: Curves, found: Curves, place: int, rounding: float, twin: Curves | None) -> str | None:
    """The first epoch in which they are further apart than rounding, in one line with both values."""
    first: tuple[int, str] | None = None
    for name in CURVES:
        a, b = getattr(expected, name)[0], getattr(found, name)[place]
        allowed = rounding * (np.nan_to_num(np.abs(a)) + 1e-3 * np.nanmax(np.abs(a), initial=0.0))
        if twin is not None:  # from where rounding has grown on, whatever comes is allowed
            grown = np.nan_to_num(np.abs(getattr(twin, name)[0] - a), nan=np.inf)
            allowed = np.maximum(allowed, GROWN * np.maximum.accumulate(np.where(np.isnan(a), 0.0, grown)))
        wrong = (np.isnan(a) != np.isnan(b)) | (np.nan_to_num(np.abs(a - b)) > allowed)
        if twin is not None:
            wrong &= np.isfinite(allowed)
        if wrong.any() and (first is None or int(wrong.argmax()) < first[0]):
            first = int(wrong.argmax()), name
    if first is None:
        return None
    epoch, name = first
    a, b = getattr(expected, name)[0], getattr(found, name)[place]
    return f"{name} is {b[epoch]:.6g} in epoch {epoch + 1}, by the loop {a[epoch]:.6g}, in float64"


def _moved(task: Task, apart: float) -> Task:
    """The same with weights a little apart."""

    def model() -> nn.Module:
        made = task.model()
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in made.parameters():
                p.data = p.data.double() * (1 + apart * torch.randn(p.shape, generator=draw, dtype=torch.float64))
        return made

    return replace(task, model=model)
