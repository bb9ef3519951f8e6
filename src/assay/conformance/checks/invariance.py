"""What leaves its steps as they are: order, scale, and how parameters are cut into tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from assay.conformance.checks.closure import takes_closure
from assay.conformance.lab import Lab, Training, difference, linear
from assay.conformance.report import Passed, Skip, fail_if, skip_if

_STEPS = 8
_SCALE = 16.0  # a power of two: scaling rounds nothing


def _plain(lab: Lab) -> tuple[list[Tensor], list[list[Tensor]], Training]:
    start, rows = lab.start(lab.exact), lab.rows(_STEPS, lab.exact)
    return start, rows, Training(lab, start).feed_all(rows).skip_if_random()


def _first_order(lab: Lab) -> tuple[list[Tensor], list[list[Tensor]], Training]:
    skip_if(lab.mode == "graph", "it differentiates the gradient, so the gradient alone doesn't tell")
    return _plain(lab)


def check_order(lab: Lab) -> Passed:
    """Parameters given in the reverse order take the same steps."""
    lab.shows_alike("[p, q]", "[q, p]", "the order matters")
    start, rows, plain = _plain(lab)
    reverse = Training(lab, start[::-1]).feed_all([row[::-1] for row in rows])
    apart = difference(plain.moved(), reverse.moved()[::-1])
    fail_if(apart > lab.tolerance, f"the order in which parameters are given changes its steps (by {apart:.2g})")
    return Passed("parameters in the reverse order take the same steps")


def _power(plain: Training, scaled: Training, what: str) -> Passed:
    a, b = plain.way(), scaled.way()
    if not (float(a.norm()) and float(b.norm())) or not bool(torch.isfinite(b).all()):
        raise Skip(f"with {what} times {_SCALE:g} it doesn't move, or not to numbers")
    power = math.log(float(b.norm() / a.norm())) / math.log(_SCALE)
    cosine = plain.cosine(scaled)
    parallel = cosine > 1 - 1e-6
    invariant = abs(power) < 1e-3 and parallel
    value = {"power": power, "cosine": cosine, "invariant": invariant}
    if invariant:
        return Passed(f"scaling {what} leaves its steps as they are", value)
    if parallel:
        return Passed(f"steps grow as the {power:+.2f} power of a factor on {what}", value)
    length = f"changes the steps' length by {_SCALE**power:.3g}"
    return Passed(f"a factor of {_SCALE:g} on {what} {length} and turns them (cosine {cosine:.3f})", value)


def check_gradient_scale(lab: Lab) -> Passed:
    """Gradients 16 times as large."""
    start, rows, plain = _first_order(lab)
    scaled = Training(lab, start).feed_all([[g * _SCALE for g in row] for row in rows])
    return _power(plain, scaled, "the gradient")


def check_loss_scale(lab: Lab) -> Passed:
    """The loss 16 times as large, seen through the closure where the step takes one."""
    start, rows, plain = _first_order(lab)
    scaled = Training(lab, start)
    if lab.mode == "no" and takes_closure(scaled.optimizer):
        lab.mode = "yes"
    for row in rows:
        scaled.minimise(lambda params, row=row: linear(row)(params) * _SCALE)
    return _power(plain, scaled, "the loss")


def check_splitting(lab: Lab) -> Passed:
    """A matrix given as two halves."""
    start, rows, plain = _plain(lab)
    halves = [*start[0].split(2), *start[1:]]
    split = Training(lab, halves).feed_all([[*row[0].split(2), *row[1:]] for row in rows])
    moved = split.moved()
    apart = difference(plain.moved(), [torch.cat(moved[:2]), *moved[2:]])
    value = {"invariant": apart <= lab.tolerance, "difference": apart}
    if value["invariant"]:
        return Passed("a matrix given as two halves takes the same steps", value)
    return Passed(f"a matrix given as two halves takes other steps (by {apart:.2g}): it works on whole tensors", value)
