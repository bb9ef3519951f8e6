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


def check_views(lab: Lab) -> Passed:
    """Parameters that are views of one flat tensor: it is written in place, nothing beside them, and steps are the same."""
    room = 3
    start = lab.start(lab.exact)
    sizes = [s.numel() for s in start]
    lab.shows(
        f"""
whole = torch.ones({room} + 12 + {room} + 12 + {room})
p = torch.nn.Parameter(whole[{room} : {room} + 12].view(4, 3))
q = torch.nn.Parameter(whole[{2 * room} + 12 : {2 * room} + 24].view(4, 3))
opt := [p, q]
for t in range({LONG_ENOUGH}):
    p.grad, q.grad = torch.full((4, 3), 0.5), torch.full((4, 3), 1.5)
    opt.step()
assert torch.equal(whole[{room} : {room} + 12].view(4, 3), p), "the tensor that p is a view of is not written"
assert torch.equal(whole[: {room}], torch.ones({room})), "the tensor is written beside p"
assert torch.equal(whole[{room} + 12 : {2 * room} + 12], torch.ones({room})), "the tensor is written beside p"
"""
    )
    whole = torch.full((room + sum(size + room for size in sizes),), 7.0, dtype=lab.exact)
    views, beside, place = [], torch.ones_like(whole, dtype=torch.bool), room
    for value, size in zip(start, sizes, strict=True):
        views.append(whole[place : place + size].view(value.shape).copy_(value))
        beside[place : place + size] = False
        place += size + room
    training = Training(lab, views, copied=False).feed_all(lab.rows(LONG_ENOUGH, lab.exact))
    seen = all(torch.equal(p.detach(), view) for p, view in zip(training.params, views, strict=True))
    fault = "parameters are not written in place: of a parameter that is a view of a flat tensor, that keeps old values"
    fail_if(not seen, f"{fault} (p.data = … makes it another tensor's)")
    fail_if(bool((whole[beside] != 7).any()), "what lies beside a parameter in memory is written, too")
    plain = lab.training(lab.exact, LONG_ENOUGH).skip_if_random()
    apart = difference(plain.moved(), training.moved())
    fail_if(apart > lab.tolerance, f"parameters that are views of one tensor take other steps (by {apart:.2g})")
    return Passed("views of one flat tensor are written in place, and take the same steps")


def check_complex(lab: Lab) -> Passed:
    """Complex parameters take the steps of their real and imaginary parts, or turn as their gradients turn; or are refused."""
    kind = torch.complex64 if lab.exact == torch.float32 else torch.complex128
    skip_if(lab.mode == "graph", "it differentiates the gradient, so the gradient alone doesn't tell")
    lab.shows(
        f"""
start = torch.complex(torch.linspace(-1, 1, 12), torch.linspace(2, 1, 12)).to({kind}).view(4, 3)
p, q = torch.nn.Parameter(start.clone()), torch.nn.Parameter(torch.view_as_real(start).clone())
opt := [p]
other := [q]
for t in range(12):
    p.grad = torch.polar(1 + torch.arange(12.0) % 5, torch.arange(12.0) + t).to({kind}).view(4, 3)
    q.grad = torch.view_as_real(p.grad).clone()
    opt.step()
    other.step()
moved = torch.view_as_real(p.detach() - start), (q - torch.view_as_real(start)).detach()
assert torch.allclose(*moved, rtol=1e-4, atol=1e-9), "it goes elsewhere than the real and imaginary parts do"
"""
    )
    shapes = tuple((*s, 2) for s in lab.shapes)
    reals, pairs = start_values(shapes, lab.exact), gradients(shapes, 12, lab.exact)
    start = [torch.view_as_complex(r) for r in reals]
    rows = [[torch.view_as_complex(g) for g in row] for row in pairs]
    try:
        training = Training(lab, start).feed_all(rows)
    except Exception as error:
        told = " ".join(str(error).split())[:90]
        says = any(word in told.lower() for word in ("complex", "dtype", "real"))
        raise Skip(
            f"it refuses complex parameters: {told}" if says else f"complex parameters end in a {type(error).__name__}"
        ) from None
    training.skip_if_random()
    if any(p.dtype != kind for p in training.params):
        raise Failed(f"complex parameters become {training.params[0].dtype}")
    fail_if(not finite(training.params), "complex parameters become NaN or infinite at gradients of everyday size")
    moved = _parts(training)
    try:
        real = Training(lab, reals).feed_all(pairs).moved()
        if difference(moved, real) <= 10 * lab.tolerance:
            return Passed("complex parameters take the steps of their real and imaginary parts")
    except ValueError:  # it takes matrices only
        pass
    phase = torch.polar(torch.ones((), dtype=lab.exact), torch.full((), 0.7, dtype=lab.exact))
    other = Training(lab, [s * phase for s in start]).feed_all([[g * phase for g in row] for row in rows])
    back = [torch.view_as_real(torch.view_as_complex(m) / phase) for m in _parts(other)]
    if difference(moved, back) <= 10 * lab.tolerance:
        return Passed("complex parameters turn as their gradients turn")
    raise Failed(
        "complex parameters move neither as their real and imaginary parts do, nor turn as their gradients turn: a product "
        "somewhere takes no conjugate, or only real parts are read"
    )


def _parts(training: Training) -> list[Tensor]:
    """How far each complex parameter is from its start: real and imaginary parts, in a last dimension."""
    pairs = zip(training.params, training.start, strict=True)
    return [torch.view_as_real((p.detach() - s).contiguous()) for p, s in pairs]
