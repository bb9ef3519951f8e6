"""Ways to take the same step: for each tensor, for all at once, in one kernel; and with a gradient of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from assay.conformance.lab import MATRICES, Holder, Lab, Shapes, Training, difference, flat, gradients, start_values
from assay.conformance.matrix import label
from assay.conformance.report import Failed, Passed, Skip, fail_if, skip_if

_WAYS: tuple[dict[str, Any], ...] = ({"foreach": False}, {"foreach": True}, {"fused": True})
_ALL = {"weight_decay": 0.1, "maximize": True, "amsgrad": True}  # each of which an implementation may forget
_STEPS = 20
_REFUSALS = (ValueError, RuntimeError, NotImplementedError)
_OF_MIXED = (*_REFUSALS, TypeError, AssertionError)  # no fault where types are mixed


def check_implementations(lab: Lab) -> Passed:
    """foreach=True, and fused=True, take the steps of foreach=False.

    One parameter has no gradient, one is scalar; where it works in float64, then one is float32 beside those.
    """
    ways = [way for way in _WAYS if way.keys() <= lab.declared.keys()]
    skip_if(len(ways) < 2, "it declares no other implementation (foreach, fused)")
    shapes = (*MATRICES, (6, 4)) if lab.shapes == MATRICES else (*lab.shapes, (), (6, 4))
    said = _at(lab, ways, shapes, {})
    with contextlib.suppress(Skip):  # what goes together is for the matrix to say
        _at(lab, ways, shapes, {k: v for k, v in _ALL.items() if k in lab.declared})
    if not lab.facts.get("single"):
        with contextlib.suppress(Skip):
            _at(lab, ways, shapes, {"weight_decay": 0.1} if "weight_decay" in lab.declared else {}, mixed=True)
    return Passed(said)


def _at(
    lab: Lab, ways: Sequence[Mapping[str, Any]], shapes: Shapes, setting: Mapping[str, Any], mixed: bool = False
) -> str:
    """The same at this setting; `mixed`: with float32 among the parameters."""

    def typed(tensors: Sequence[Tensor]) -> list[Tensor]:
        return [t.float() if mixed and i == 1 else t for i, t in enumerate(tensors)]

    start, tolerance = typed(start_values(shapes, lab.exact)), 2e-4 if mixed else lab.tolerance
    rows: list[list[Tensor | None]] = [[*typed(row[:-1]), None] for row in gradients(shapes, _STEPS, lab.exact)]
    done: list[tuple[str, list[Tensor]]] = []
    refused, refusals = [], _OF_MIXED if mixed else _REFUSALS
    for way in ways:
        ((name, value),) = way.items()
        apart_from = {other: None for other in ("foreach", "fused") if other != name and other in lab.declared}
        try:
            training = Training(lab.under(**setting, **way, **apart_from), start).feed_all(rows)
        except refusals as error:
            refused.append(f"{name}={value}: {' '.join(str(error).split())[:90]}")
            continue
        training.skip_if_random()
        done.append((label({**way, **setting}), training.moved()))
    skip_if(len(done) < 2, f"it takes no two of them ({'; '.join(refused)})")
    (first, plain), *others = done
    for name, moved in others:
        _shows(lab, first, name, mixed, 10 * tolerance)
        apart, beside = difference(plain, moved), ", with float32 beside float64," if mixed else ""
        fail_if(apart > 10 * tolerance, f"{name}{beside} takes other steps than {first} (by {apart:.2g})")
    return f"{' and '.join(name for name, _ in done)} take the same steps"


def _shows(lab: Lab, one: str, other: str, mixed: bool, tolerance: float) -> None:
    halved = "a[1].data, b[1].data = a[1].data.float(), b[1].data.float()\n" if mixed else ""
    shapes = "(4, 3), (3, 5)" if lab.shapes == MATRICES else "(4, 3), (5,), ()"
    lab.shows(
        f"""
a, b = ([torch.nn.Parameter(torch.ones(s, dtype={lab.exact})) for s in ({shapes}, (6, 4))] for _ in range(2))
{halved}opt := a with {one.replace(", ", "; ")}
other := b with {other.replace(", ", "; ")}
for t in range({_STEPS}):
    for x, y in zip(a[:-1], b[:-1]):
        x.grad = torch.sin(torch.arange(x.numel(), dtype=x.dtype) + t + 1).view(x.shape)
        y.grad = x.grad.clone()
    opt.step()
    other.step()
assert all(torch.allclose(x - 1, y - 1, rtol={tolerance:g}, atol=0) for x, y in zip(a, b)), "steps differ"
"""
    )


def check_differentiable(lab: Lab) -> Passed:
    """Where differentiable=True is declared, the derivative of a step by its gradient is the difference quotient's."""
    skip_if("differentiable" not in lab.declared, "it doesn't declare differentiable")
    skip_if(lab.mode != "no", "its closure makes the gradients")
    skip_if(lab.facts.get("single"), "it doesn't work in float64, in which difference quotients tell")
    lab.shows(
        """
g = torch.linspace(0.5, 2, 12, dtype=torch.float64).view(4, 3).requires_grad_()
def end(g):
    p = torch.ones(4, 3, dtype=torch.float64)
    opt := [p] with differentiable=True
    for last in (torch.ones(4, 3).double(), torch.full((4, 3), 3.0).double(), g):
        p.grad = last
        opt.step()
    return p.sum()
(derivative,) = torch.autograd.grad(end(g), g)
quotient = (end(g.detach() + 1e-5) - end(g.detach() - 1e-5)) / 2e-5
assert torch.allclose(derivative.sum(), quotient, rtol=1e-3), f"{derivative.sum()} is not {quotient}"
"""
    )
    lab = lab.under(differentiable=True)
    shapes = lab.shapes[:1]
    (start,), early = start_values(shapes, torch.float64), gradients(shapes, 2, torch.float64)
    weights = start_values(shapes, torch.float64, seed=3)[0]

    def end(g: Tensor) -> Tensor:
        p = start.clone()  # no leaf, so that its history is kept
        optimizer = lab.make(Holder([], [{"params": [p]}]))
        with torch.enable_grad():
            for gradient in (*early, [g]):  # what state comes of the early ones is a constant
                p.grad = gradient[0]
                optimizer.step()
            return (p * weights).sum()

    g = torch.ones(shapes[0], dtype=torch.float64).requires_grad_()
    try:
        reached = end(g)
    except (ValueError, NotImplementedError) as error:
        raise Skip(f"it refuses differentiable=True: {' '.join(str(error).split())[:90]}") from None
    fail_if(not reached.requires_grad, "with differentiable=True no gradient comes through the step")
    (derivative,) = torch.autograd.grad(reached, g, allow_unused=True)
    fail_if(derivative is None, "with differentiable=True no gradient comes through the step")
    quotient = torch.zeros_like(g)
    for i in range(g.numel()):
        nudge = torch.zeros(g.numel(), dtype=torch.float64)
        nudge[i] = 1e-5
        nudge = nudge.view(g.shape)
        with torch.no_grad():
            quotient.view(-1)[i] = (end(g.detach() + nudge) - end(g.detach() - nudge)).detach() / 2e-5
    apart = difference([derivative], [quotient])
    if apart > 1e-3:
        raise Failed(f"with differentiable=True the derivative of its step is off by {apart:.2g}")
    return Passed(
        f"the derivative of its step is the difference quotient's (to {apart:.1g}, {flat([g]).numel()} elements)"
    )
