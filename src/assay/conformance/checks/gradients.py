"""Gradients that are None, zero, NaN or huge; and are they left as they were?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from assay.conformance.lab import (
    LONG_ENOUGH,
    MATRICES,
    Lab,
    Training,
    finite,
    groups_of,
    quadratic,
    same,
    start_values,
)
from assay.conformance.report import Failed, Passed, fail_if, skip_if


def check_none_grad(lab: Lab) -> Passed:
    """A parameter without a gradient stays, also one that had one before; one whose gradient comes later moves then;
    with none at all nothing moves.
    """
    lab.shows(
        f"""
p, q, r = (torch.nn.Parameter(torch.ones(s)) for s in ((4, 3), (4, 3), (3, 5)))
opt := [p, q, r]
for late in (False, True):
    for _ in range({LONG_ENOUGH}):
        p.grad, q.grad, r.grad = torch.ones(4, 3), torch.ones(4, 3) if late else None, torch.ones(3, 5)
        opt.step()
    assert late or torch.equal(q, torch.ones(4, 3)), "q moves without a gradient"
    assert not late or not torch.equal(q, torch.ones(4, 3)), "q never moves"
    assert not torch.equal(r, torch.ones(3, 5)), "r never moves"
"""
    )
    training = Training(lab, start_values((*lab.shapes, (3, 5)), lab.exact))
    training.minimise(_without_the_second, steps=LONG_ENOUGH)
    _, second, third = training.moves()
    fail_if(second, "a parameter moves though its gradient is None")
    fail_if(not third, "of two parameters with gradients around one without, the second never moves")
    training.minimise(quadratic, steps=LONG_ENOUGH)
    fail_if(not training.moves()[1], "a parameter whose first gradient comes late never moves")
    _one_that_ends(lab, training)
    _decayed(lab)
    if lab.mode != "graph":  # there is nothing to differentiate
        lab.shows("opt.step()  # no parameter has a gradient yet")
        training = lab.training().feed_all([[None] * len(lab.shapes)] * 2)
        fail_if(any(training.moves()), "parameters move though no gradient was ever given")
    return Passed("a parameter without a gradient stays where it is, and moves while it has one")


def _decayed(lab: Lab) -> None:
    """The same with weight decay, where the groups hold one."""
    training = Training(lab, start_values((*lab.shapes, (3, 5)), lab.exact))
    holding = [g for g in groups_of(training.optimizer) if isinstance(g.get("weight_decay"), int | float)]
    if not holding:
        return
    lab.shows(
        f"""
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(3, 5))
opt := [p, q]
opt.param_groups[0]["weight_decay"] = 0.1
for _ in range({LONG_ENOUGH}):
    p.grad = torch.ones(4, 3)
    opt.step()
assert torch.equal(q, torch.ones(3, 5)), "q decays without a gradient"
"""
    )
    training.decay_by(0.1)
    training.minimise(_without_the_second, steps=LONG_ENOUGH)
    fail_if(training.moves()[1], "weight decay moves a parameter whose gradient is None")


def _without_the_second(params: Sequence[Tensor]) -> Tensor:
    return quadratic([params[0], params[2]])


def _one_that_ends(lab: Lab, training: Training) -> None:
    lab.shows(
        """
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(3, 5))
opt := [p, q]
for t in range(40):
    p.grad = torch.ones(4, 3) if t < 12 else torch.full((4, 3), 1e-12)
    q.grad = torch.ones(3, 5) if t < 12 else None
    if t == 30:  # what averages weights now and then has done so since
        before = q.detach().clone()
    opt.step()
assert torch.equal(q, before), "q goes on though its gradient is None"
"""
    )

    def hardly(params: Sequence[Tensor]) -> Tensor:
        # what couples parameters, as LBFGS does, may move them all, so these gradients hardly count
        return 1e-12 * _without_the_second(params)

    training.minimise(hardly, steps=18)
    before = training.params[1].detach().clone()
    training.minimise(hardly, steps=10)
    if not torch.equal(training.params[1], before):
        raise Failed("a parameter goes on moving after its gradient has become None")


def check_zero_grad(lab: Lab) -> Passed:
    """Zero gradients, before and after others, leave numbers."""
    lab.shows(
        """
for g in (0.0, 0.0, 1.0, 0.0):
    p.grad = torch.full((4, 3), g)
    opt.step()
assert torch.isfinite(p).all(), "p is not finite"
"""
    )
    training = lab.training()
    zeros = [torch.zeros(s) for s in lab.shapes]
    for step, row in enumerate([zeros, zeros, zeros, *lab.rows(2), zeros, zeros]):
        training.feed(row)
        if not finite(training.values()):
            when = "later" if step else "at once"
            raise Failed(f"a gradient of zeros makes parameters NaN or infinite ({when}): a division by zero")
    return Passed("parameters stay finite")


def check_nan_grad(lab: Lab) -> Passed:
    """A NaN gradient doesn't raise; whether it reaches the parameters is said."""
    lab.shows('p.grad = torch.full((4, 3), float("nan"))\nopt.step()')
    rows = lab.rows(4)
    training = lab.training().feed_all(rows[:2])
    before = training.values()
    training.feed([torch.full(s, float("nan")) for s in lab.shapes])
    if not finite(training.values()):
        return Passed("they reach the parameters, so that a run that has diverged is seen")
    skipped = same(before, training.values())
    training.feed_all(rows[2:])
    if not finite(training.values()):
        return Passed("they reach the parameters one step later")
    return Passed("the step is skipped" if skipped else "they are hidden: the step is taken as if they were numbers")


def check_huge_grad(lab: Lab) -> Passed:
    """Gradients of 1e10, far from overflow in float32, leave numbers."""
    other = "3, 5" if lab.shapes == MATRICES else "5"
    lab.shows(
        f"""
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones({other}))
opt := [p, q]
for t in range(3):
    for x in (p, q):
        x.grad = 1e10 * torch.cos(torch.arange(float(x.numel())) * (t + 1)).sign().view_as(x)
    opt.step()
assert torch.isfinite(p).all() and torch.isfinite(q).all(), "not finite"
"""
    )
    training = lab.training()
    for row in lab.rows(3):
        training.feed([g.sign() * 1e10 for g in row])
        if not finite(training.values()):
            raise Failed("gradients of 1e10 make parameters NaN or infinite, though float32 reaches 3e38")
    return Passed("parameters stay finite at gradients of 1e10")


def check_grads_intact(lab: Lab) -> Passed:
    """After the step each .grad holds the bits it held before."""
    skip_if(lab.mode != "no", "its closure makes the gradients")
    lab.shows(
        """
opt.param_groups[0].update({k: 0.1 for k in ("weight_decay",) if k in opt.param_groups[0]})
p.grad = torch.linspace(0.1, 2, 12).view(4, 3)
before = p.grad.clone()
opt.step()
assert p.grad is not None and torch.equal(p.grad, before), "the step changed p.grad"
"""
    )
    for note in ("", " (with weight_decay)"):
        training = lab.training()
        if note:
            training.decay_by(0.1)
        for row in lab.rows(3):
            training.feed(row)
            after = [p.grad for p in training.params if p.grad is not None]
            if len(after) < len(row):
                raise Failed("the step removes the gradients: what reads them afterwards (norms, logs) finds None")
            fail_if(not same(after, row), f"the step changes .grad in place{note}")
    return Passed("each gradient has the same bits after the step")


def check_clears_grads(lab: Lab) -> Passed:
    """zero_grad() and zero_grad(set_to_none=True) make gradients None, set_to_none=False zero, of every parameter."""
    training = lab.training()
    clear: Any = getattr(training.optimizer, "zero_grad", None)
    skip_if(not callable(clear), "it has no zero_grad")
    lab.shows(
        """
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(3, 5))
opt := [p, q]
for given in ({}, {"set_to_none": True}, {"set_to_none": False}):
    p.grad, q.grad = torch.ones(4, 3), torch.ones(3, 5)
    opt.zero_grad(**given)
    for g in (p.grad, q.grad):
        if given.get("set_to_none", True):
            assert g is None, f"after zero_grad(**{given}) there is a gradient"
        else:
            assert g is not None and not g.any(), f"after zero_grad(**{given}) a gradient is {g}"
"""
    )
    training.feed_all(lab.rows(2))
    for given in ({}, {"set_to_none": True}, {"set_to_none": False}):
        for p in training.params:
            p.grad = torch.ones_like(p)
        clear(**given)
        left = [p.grad for p in training.params]
        how = f"zero_grad({', '.join(f'{k}={v}' for k, v in given.items())})"
        if given.get("set_to_none", True):
            fail_if(any(g is not None and g.any() for g in left), f"{how} leaves gradients as they were")
            fail_if(any(g is not None for g in left), f"{how} leaves zeros where torch's own leaves None")
        else:
            fail_if(any(g is None for g in left), f"{how} leaves None where zeros were asked for")
            fail_if(any(g is not None and g.any() for g in left), f"{how} leaves gradients as they were")
    return Passed("gradients become None, or zero where that is asked for")
