"""Parameter groups, groups added later, and learning rates that a scheduler sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from assay.conformance.lab import LONG_ENOUGH, Lab, Training, difference, flat, gradients, start_values
from assay.conformance.report import Failed, Passed, Skip, fail_if, skip_if


def _rate(training: Training) -> float:
    """The learning rate its groups have; Skip where they have none."""
    rate: Any = training.groups[0].get("lr")
    skip_if(not isinstance(rate, int | float | Tensor), "its groups have no lr")
    return float(rate)


def grouped(lab: Lab, own: Sequence[Mapping[str, Any]], start: Sequence[Tensor] | None = None) -> Training:
    """Over two groups of these settings, one parameter each. Skip where it takes none."""
    probe = lab.training(lab.exact)
    try:
        training = Training(lab, lab.start(lab.exact) if start is None else start, own=own)
    except (ValueError, NotImplementedError) as error:
        raise Skip(f"it refuses parameter groups: {' '.join(str(error).split())[:90]}") from None
    except Exception as error:
        if isinstance(probe.optimizer, Optimizer) and lab.script.takes_params:
            raise
        raise Skip(f"it can't be given parameter groups ({type(error).__name__})") from None
    skip_if(len(training.groups) < 2, "what makes it leaves one group of two")
    return training


def check_groups(lab: Lab) -> Passed:
    """With rates a and b for two groups, each moves as it does where both have its rate."""
    rate = _rate(lab.training(lab.exact))
    low = rate / 4
    lab.shows(
        f"""
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(4, 3))
opt := [{{"params": [p], "lr": {rate:.6g}}}, {{"params": [q], "lr": {low:.6g}}}]
for _ in range({LONG_ENOUGH}):
    p.grad, q.grad = torch.ones(4, 3), torch.ones(4, 3)
    opt.step()
assert not torch.equal(p, q), "the second group moves at the first group's lr"
"""
    )
    rows = lab.rows(LONG_ENOUGH, lab.exact)  # some gather gradients first
    pairs = ((rate, low), (rate, rate), (low, low))
    mixed, high, lower = (grouped(lab, [{"lr": a}, {"lr": b}]).feed_all(rows) for a, b in pairs)
    (first, second), (fast, other_fast), (other_slow, slow) = mixed.moved(), high.moved(), lower.moved()
    apart = difference([first, second], [fast, slow])
    if apart < 1e-4:
        skip_if(difference(high.moved(), lower.moved()) < 1e-6, "no learning rate given to a group changes its steps")
        return Passed("each group moves at its own learning rate")
    fail_if(difference([second], [other_fast]) < 1e-4, "the second group moves at the first group's learning rate")
    fail_if(difference([first], [other_slow]) < 1e-4, "the first group moves at the last group's learning rate")
    raise Failed(f"a group's steps depend on the other group's learning rate (by {apart:.2g})")


def check_grouping(lab: Lab) -> Passed:
    """Two groups of equal settings move as one group does."""
    lab.shows_alike("[p, q]", '[{"params": [p]}, {"params": [q]}]', "two equal groups differ from one")
    one = lab.training(lab.exact, steps=8)
    two = grouped(lab, ({}, {})).feed_all(lab.rows(8, lab.exact))
    one.skip_if_random()
    apart = difference(one.moved(), two.moved())
    if apart > lab.tolerance:
        raise Failed(f"parameters in two groups of equal settings move otherwise than in one (by {apart:.2g})")
    return Passed("two groups of equal settings move as one")


def check_add_group(lab: Lab) -> Passed:
    """A parameter added after two steps moves, at its own rate, and the others go on."""
    training = lab.training(lab.exact)
    add: Any = getattr(training.optimizer, "add_param_group", None)
    skip_if(not callable(add), "it has no add_param_group")
    grouped(lab, ({}, {}))
    lab.shows(
        f"""
p.grad = torch.ones(4, 3)
opt.step()
q = torch.nn.Parameter(torch.ones(4, 3))
opt.add_param_group({{"params": [q]}})
before = p.detach().clone()
for _ in range({LONG_ENOUGH}):
    p.grad, q.grad = torch.ones(4, 3), torch.ones(4, 3)
    opt.step()
assert not torch.equal(q, torch.ones(4, 3)), "the added parameter never moves"
assert not torch.equal(p, before), "the others no longer move"
"""
    )
    rows = gradients((*lab.shapes, lab.shapes[0]), 2 + LONG_ENOUGH, lab.exact)
    training.feed_all([row[:-1] for row in rows[:2]])
    late = torch.nn.Parameter(start_values(lab.shapes[:1], lab.exact, seed=7)[0])
    add({"params": [late]})
    training.params.append(late)
    training.start.append(late.detach().clone())
    before = training.values()
    training.feed_all(rows[2:])
    moved = [not torch.equal(a, b) for a, b in zip(training.values(), before, strict=True)]
    fail_if(not moved[-1], "a parameter added with add_param_group never moves")
    fail_if(not all(moved), "after add_param_group the parameters it had before no longer move")
    return Passed("a parameter added later moves with the others")


def check_schedulers(lab: Lab) -> Passed:
    """A quarter of the rate, set in the group and by a torch scheduler, changes the steps and isn't overwritten; and a
    thousandth of it ends them.
    """
    plain = lab.training(lab.exact)
    rate = _rate(plain)
    lab.shows(_QUARTERED)
    full = _steps(plain)
    ratio = _obeyed(full, _steps(lab.training(lab.exact), "hand"), "a learning rate written into its groups")
    _ends(lab, rate)
    if not isinstance(plain.optimizer, Optimizer):
        return Passed(
            f"steps are {ratio:.2g} times as long where its groups' lr falls to 0.25; torch's schedulers take none but torch's"
        )
    lab.shows(_SCHEDULED)
    _obeyed(full, _steps(lab.training(lab.exact), "torch"), "torch's LambdaLR")
    return Passed(f"steps are {ratio:.2g} times as long where a scheduler sets the rate to 0.25 of {rate:.3g}")


_SWITCH = 6  # the first step at the scheduled rate
_WAIT = 50  # steps until what a thousandth of the rate does is measured, and steps that are
_ENDED = f"""
p, q = (torch.nn.Parameter(torch.zeros(4, 3)) for _ in range(2))
opt := [p]
other := [q]
for each in (opt, other):
    each.param_groups[0].update({{k: 0.0 for k in ("weight_decay",) if k in each.param_groups[0]}})
for t in range({_SWITCH + 2 * _WAIT}):
    if t == 6:
        opt.param_groups[0]["lr"] *= 1e-3
    if t == {_SWITCH + _WAIT}:
        before = p.detach().clone(), q.detach().clone()
    p.grad = torch.sin(torch.arange(12.0) * (min(t, 6) + 1)).view(4, 3)
    q.grad = p.grad.clone()
    opt.step()
    other.step()
ratio = ((p - before[0]).norm() / (q - before[1]).norm()).item()
assert ratio < 0.9, f"a thousandth of the rate, and {{ratio:.2g}} times as far"
"""
_QUARTERED = """
q = torch.nn.Parameter(torch.ones(4, 3))
other := [q]
for t in range(12):
    if t == 6:
        opt.param_groups[0]["lr"] *= 0.25  # as a scheduler does
    rate = opt.param_groups[0]["lr"]
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3)
    q.grad = p.grad.clone()
    opt.step()
    other.step()
    assert opt.param_groups[0]["lr"] == rate, f"step() set lr to {opt.param_groups[0]['lr']} where it was {rate}"
assert not torch.equal(p, q), "a quarter of the rate changes nothing"
"""
_SCHEDULED = """
q = torch.nn.Parameter(torch.ones(4, 3))
other := [q]
scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: 1.0 if t < 6 else 0.25)
for t in range(12):
    p.grad = torch.sin(torch.arange(12.0) + t).view(4, 3)
    q.grad = p.grad.clone()
    opt.step()
    other.step()
    scheduler.step()
assert not torch.equal(p, q), "the scheduler is ignored"
"""


def _ends(lab: Lab, rate: float) -> None:
    """Where the rate falls to a thousandth, does it move less in the end, on one and the same gradient?

    Averages of steps may take their time, and a perturbation that is moved to and fro leads nowhere. From zero, and without
    weight decay where the groups hold one, so that a decay counts for little: a rate that reaches nothing else is not obeyed.
    """
    lab.shows(_ENDED)
    full, ended = _way_in_the_end(lab, 1.0), _way_in_the_end(lab, 1e-3)
    if full and not ended < 0.9 * full:
        raise Failed(
            f"its steps are not scaled by the learning rate: {_WAIT} steps after lr fell to a thousandth of {rate:.3g} it "
            f"still moves {ended / full:.2g} times as far as without"
        )


def _way_in_the_end(lab: Lab, factor: float) -> float:
    """The length of its way in `_WAIT` steps, begun as many after the rate was multiplied."""
    training = Training(lab, [torch.zeros_like(s) for s in lab.start(lab.exact)])
    training.decay_by(0.0)
    *first, last = lab.rows(_SWITCH + 1, lab.exact)
    training.feed_all(first)
    _multiply(training, factor)
    before = flat(training.feed_all([last] * _WAIT).values())
    return float((flat(training.feed_all([last] * _WAIT).values()) - before).norm())


def _multiply(training: Training, factor: float) -> None:
    """Do what a scheduler does."""
    for group in training.groups:
        group["lr"] = group["lr"] * factor


def _steps(training: Training, how: Literal["constant", "hand", "torch"] = "constant") -> list[Tensor]:
    """The steps taken, flat; the rate a quarter from step `_SWITCH` on, set by hand or by torch's scheduler."""
    scheduler = None
    if how == "torch":
        scheduler = torch.optim.lr_scheduler.LambdaLR(training.optimizer, lambda t: 1.0 if t < _SWITCH else 0.25)
    steps = []
    for t, row in enumerate(training.lab.rows(16, training.lab.exact)):
        if how == "hand" and t == _SWITCH:
            _multiply(training, 0.25)
        expected = [float(group["lr"]) for group in training.groups]
        before = flat(training.values())
        training.feed(row)
        for group, wanted in zip(training.groups, expected, strict=True):
            if how != "constant" and float(group["lr"]) != wanted:
                raise Failed(
                    f"a scheduler is overruled: step() overwrites group['lr'], {float(wanted):.4g} becomes "
                    f"{float(group['lr']):.4g}"
                )
        if scheduler:
            scheduler.step()
        steps.append(flat(training.values()) - before)
    return steps


def _obeyed(full: list[Tensor], scheduled: list[Tensor], what: str) -> float:
    """The median of how long the scheduled steps are, as a share of the others."""
    full, scheduled = full[_SWITCH:], scheduled[_SWITCH:]
    ratios = [float(b.norm() / a.norm()) for a, b in zip(full, scheduled, strict=True) if float(a.norm())]
    skip_if(not ratios, "it doesn't move after the first steps")
    if difference(full, scheduled) < 1e-6:
        raise Failed(f"a scheduler is ignored: {what} changes nothing, its steps stay as they were")
    return sorted(ratios)[len(ratios) // 2]
