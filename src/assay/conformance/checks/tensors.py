"""Parameters of other types and layouts than the everyday ones."""

from __future__ import annotations

import torch
from torch import Tensor

from assay.conformance.lab import (
    LONG_ENOUGH,
    MATRICES,
    Lab,
    Training,
    difference,
    finite,
    flat,
    gradients,
    start_values,
)
from assay.conformance.report import Failed, Passed, Skip, fail_if, skip_if


def check_float64(lab: Lab) -> Passed:
    """Parameters stay float64, and their steps have its precision."""
    lab.shows(
        """
p = torch.nn.Parameter(torch.zeros(4, 3, dtype=torch.float64))
opt := [p]
for t in range(4):
    p.grad = torch.sin(torch.arange(12.0, dtype=torch.float64) + t + 1).view(4, 3)
    opt.step()
    if p.any():  # later sums of float32 steps needn't fit into float32
        break
assert p.dtype == torch.float64, p.dtype
assert not torch.equal(p, p.float().double()), "the steps were computed in float32"
"""
    )
    training = lab.training(torch.float64, steps=4)
    if any(p.dtype != torch.float64 for p in training.params):
        raise Failed(f"float64 parameters become {training.params[0].dtype}")
    fail_if(lab.in_single(), "float64 parameters move in float32 steps: something on the way is float32")
    return Passed("float64 parameters move in float64 steps")


def check_bf16(lab: Lab) -> Passed:
    """Parameters stay bfloat16, finite, and move the way float32 ones do."""
    for steps in (5, 25):  # some wait before they move
        rows = [[g.bfloat16() for g in row] for row in lab.rows(steps)]
        zeros = [torch.zeros_like(g) for g in rows[0]]
        small, wide = Training(lab, zeros), Training(lab, [z.float() for z in zeros])
        wide.feed_all([[g.float() for g in row] for row in rows])
        if any(wide.moves()):
            break
    else:
        raise Skip("float32 parameters that begin at zero don't move either")
    lab.shows(
        f"""
p = torch.nn.Parameter(torch.zeros(4, 3, dtype=torch.bfloat16))
opt := [p]
q = torch.nn.Parameter(torch.zeros(4, 3))
wide := [q]
for t in range({steps}):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3).bfloat16()
    q.grad = p.grad.float()
    opt.step()
    wide.step()
assert p.dtype == torch.bfloat16, p.dtype
assert torch.isfinite(p).all() and p.any(), p
a, b = (x.detach().double().flatten() / x.double().norm() for x in (p, q))  # torch takes lengths below 1e-8 for 0
assert a @ b > 0.7, "it goes elsewhere than in float32"
"""
    )
    small.feed_all(rows)
    fail_if(any(p.dtype != torch.bfloat16 for p in small.params), f"bfloat16 parameters become {small.params[0].dtype}")
    fail_if(not finite(small.values()), "bfloat16 parameters become NaN or infinite at gradients of everyday size")
    fail_if(not any(small.moves()), "bfloat16 parameters never move")
    cosine = small.cosine(wide)
    if cosine < 0.7:
        raise Failed(f"bfloat16 parameters move elsewhere than float32 ones (cosine {cosine:.2f} after {steps} steps)")
    return Passed(f"bfloat16 parameters move as float32 ones do (cosine {cosine:.3f} after {steps} steps)")


def _rounding(training: Training) -> float:
    """What a few roundings to float32, somewhere on the way, are of the parameters' way, which may be short."""
    size, way = float(flat(training.start).double().norm()), float(training.way().norm())
    return 16 * torch.finfo(torch.float32).eps * size / way if way else 0.0


def _transposed(tensors: list[Tensor]) -> list[Tensor]:
    """The same values in another memory layout."""
    return [t.t().contiguous().t() if t.dim() == 2 else t for t in tensors]


def check_noncontiguous(lab: Lab) -> Passed:
    """Transposed parameters, and transposed gradients of plain parameters, take the plain steps."""
    start, rows = start_values(MATRICES, lab.exact), gradients(MATRICES, 6, lab.exact)
    plain = Training(lab, start).feed_all(rows).skip_if_random()
    cases = (
        ("parameters", "torch.nn.Parameter(torch.ones(3, 4).t())", _transposed(start)),
        ("gradients", "torch.nn.Parameter(torch.ones(4, 3))", start),
    )
    for what, made, begun in cases:
        lab.shows(
            f"""
p = {made}
opt := [p]
q = torch.nn.Parameter(torch.ones(4, 3))
for t in range(6):
    p.grad = torch.sin(torch.arange(12.0) + t).view(3, 4).t()
    opt.step()
other := [q]
for t in range(6):
    q.grad = torch.sin(torch.arange(12.0) + t).view(3, 4).t().contiguous()
    other.step()
assert torch.allclose(p, q, rtol=1e-4, atol=1e-6), "the memory layout changes the steps"
"""
        )
        other = Training(lab, begun).feed_all([_transposed(row) for row in rows])
        apart = difference(plain.moved(), other.moved())
        fault = f"the steps of non-contiguous {what} are others than those of contiguous ones (by {apart:.2g})"
        fail_if(apart > max(lab.tolerance, _rounding(plain)), fault)
    return Passed("transposed parameters and gradients take the same steps as plain ones")


def check_zero_dim(lab: Lab) -> Passed:
    """A parameter of shape () moves like the others."""
    skip_if(lab.shapes == MATRICES, "it takes matrices only")
    lab.shows(
        f"""
p = torch.nn.Parameter(torch.tensor(1.0))
opt := [p]
for _ in range({LONG_ENOUGH}):
    p.grad = torch.tensor(1.0)
    opt.step()
assert p.shape == () and torch.isfinite(p) and p.item() != 1.0, p
"""
    )
    shapes = (*lab.shapes, ())
    training = Training(lab, start_values(shapes, lab.exact)).feed_all(gradients(shapes, LONG_ENOUGH, lab.exact))
    last = training.params[-1]
    fail_if(last.shape != (), f"a zero-dimensional parameter takes the shape {tuple(last.shape)}")
    fail_if(not finite([last]), "a zero-dimensional parameter becomes NaN or infinite")
    fail_if(not training.moves()[-1], "a zero-dimensional parameter never moves")
    return Passed("a parameter of shape () moves like the others")
