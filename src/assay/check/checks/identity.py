"""Is it a known optimizer in disguise, at another learning rate or other settings?

Its steps on a sequence of gradients that doesn't depend on the parameters are compared with each known optimizer's, whose
learning rate and settings are fitted. What fits to rounding there must then agree, with the same factor, while it minimises
losses of other shapes, at other learning rates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from assay.check.fit import EQUAL, PARALLEL, Fit
from assay.check.known import Known, Settings, arguments, hinted, known
from assay.check.lab import Lab, Loss, Shapes, Training, difference, finite, start_values
from assay.check.outcome import Failed, Passed, Skip

_STEPS = 32
_LONG = 1200
_SHORT = 1e-4
_VARIES = 1e-2  # relative spread of factors that a schedule has
_EQUAL_ELSEWHERE = 1e-5  # rounding grows as the parameters feed back


def check_identity(lab: Lab) -> Passed:
    """Compare with every known optimizer, the simplest first."""
    if lab.facts.get("single"):
        raise Skip("it doesn't work in float64, where rounding is small enough to tell")
    lab.shows("")
    rows = sequence(lab.shapes)
    start = start_values(lab.shapes, torch.float64)
    training = Training(lab, start)
    itself = _itself(training.optimizer)
    if itself:
        return Passed(f"it is {itself} itself", {"is": itself, "itself": True})
    path = _path(training, rows)
    way, size = float(path.abs().max()), max(float(s.abs().max()) for s in start)
    if 0 < way < _SHORT * size:  # the way would drown in the rounding of where it begins
        start = [s * (way / size) for s in start]
        training = Training(lab, start)
        path = _path(training, rows)
    if not all(bool(torch.isfinite(p).all()) for p in path) or not float(path.abs().max()):
        raise Skip("it doesn't move to numbers on the gradients it is compared on")
    lr = lab.lr or 1.0
    nearest: tuple[float, str] = (math.inf, "")
    paced: list[tuple[Known, Settings, Tensor]] = []
    for candidate in known():
        fit = Fit(candidate, start, rows, path, lr)
        misfit, factor, settings = fit.best(hinted(candidate, training.optimizer))
        if misfit < nearest[0]:
            nearest = misfit, candidate.name
        if misfit < EQUAL and _agrees(lab, candidate, factor, settings, lr):
            _example(lab, candidate, factor * lr, settings)
            raise Failed(
                f"this is {candidate.name} with lr × {factor:.3g}{_settings_text(candidate, settings)}: the same steps "
                "to rounding, at these settings and a constant rate"
            )
        plain = {**candidate.fitted, **hinted(candidate, training.optimizer)}
        factors = None if paced else fit.factors(plain)
        if (
            factors is not None
            and float(factors.std()) > _VARIES * float(factors.mean())
            and _paced(lab, candidate, plain, lr)
        ):
            paced.append((candidate, plain, factors))
    value = {"is": None, "nearest": nearest[1], "difference": nearest[0]}
    if paced:
        candidate, plain, factors = paced[0]
        name = candidate.name
        low, high = float(factors.min()), float(factors.max())
        if difference([factors], [_factors_elsewhere(lab, candidate, lr)]) < PARALLEL:
            _example_of_schedule(lab, candidate, lr, plain)
            raise Failed(
                f"this is {name} with a schedule built in: lr × {float(factors[0]):.3g} at the first step, "
                f"{low:.3g} to {high:.3g} in all (so does a bias correction that is off by one)"
            )
        return Passed(
            f"each step is {name}'s, at a rate that follows the gradients (lr × {low:.3g} to {high:.3g})",
            {**value, "is_scheduled": name},
        )
    if nearest[0] < EQUAL:
        return Passed(
            f"it is no known optimizer: on gradients that are given its steps are {nearest[1]}'s, while it minimises a loss, "
            "or over many steps, they are others",
            value,
        )
    return Passed(f"it is no known optimizer; the nearest, {nearest[1]}, steps otherwise by {nearest[0]:.2g}", value)


def _itself(optimizer: Any) -> str | None:
    """The name under which its very class is registered (of two, that whose fixed settings it has)."""
    same = [k for k in known() if type(optimizer) is k.kind]
    group = (getattr(optimizer, "param_groups", None) or [{}])[0]
    for candidate in reversed(same):
        wanted = {**candidate.fixed, **({"momentum": 0.9} if candidate.name == "sgd-momentum" else {})}
        if all(group.get(k) == v for k, v in wanted.items()):
            return candidate.name
    return same[0].name if same else None


def sequence(shapes: Shapes, seed: int = 11) -> list[list[Tensor]]:
    """Gradients that tell rules apart: sizes from 1e-5 to 10 by element, lengths that wander, zeros, and a quiet end."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [10 ** (torch.rand(s, generator=generator, dtype=torch.float64) * 6 - 5) for s in shapes]
    rows = []
    for t in range(_STEPS):
        length = math.exp(1.5 * math.sin(1.3 * t)) * (0.02 if t > _STEPS * 0.7 else 1.0)
        row = []
        for size in sizes:
            g = (torch.randn(size.shape, generator=generator, dtype=torch.float64) + 0.3) * size * length
            row.append(torch.where(torch.rand(size.shape, generator=generator) < 0.1, 0.0, g))
        rows.append(row)
    return rows


def _factors_elsewhere(lab: Lab, candidate: Known, lr: float) -> Tensor:
    """The factors on other gradients: the same where they come from the step count alone."""
    start, rows = start_values(lab.shapes, torch.float64), sequence(lab.shapes, seed=23)
    training = Training(lab, start)
    fit = Fit(candidate, start, rows, _path(training, rows), lr)
    factors = fit.factors({**candidate.fitted, **hinted(candidate, training.optimizer)})
    return torch.zeros(_STEPS) if factors is None else factors


def _paced(lab: Lab, candidate: Known, settings: Settings, lr: float) -> bool:
    """Are its steps the candidate's, but for a factor each, also on the gradients it meets while it minimises losses?"""
    for shapes, loss in _problems():
        start = start_values(shapes, torch.float64, seed=13)
        training = Training(lab, start)
        rows, path = [], []
        for _ in range(20):
            params = [p.detach().clone().requires_grad_() for p in training.params]
            rows.append(list(torch.autograd.grad(loss(params), params)))
            training.minimise(loss)
            path.append(torch.cat([m.flatten() for m in training.moved()]))
        fit = Fit(candidate, start, rows, torch.stack(path, 1), lr)
        if fit.factors(settings) is None:
            return False
    return True


def _path(training: Training, rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Displacements (elements, steps)."""
    path = []
    for row in rows:
        training.feed(row)
        path.append(torch.cat([m.flatten() for m in training.moved()]))
    return torch.stack(path, 1)


def _agrees(lab: Lab, candidate: Known, factor: float, settings: Settings, lr: float) -> bool:
    """Does it take the same steps on three losses, at this learning rate and at a third of it?

    One that doesn't look at the rate it is given takes those of this rate at the third, too.
    """
    compared = 0
    for shapes, loss in _problems():
        start = start_values(shapes, torch.float64, seed=13)
        for rate in (lr, lr / 3):
            try:
                training = Training(lab, start, lr=rate)
            except Exception:
                continue
            for _ in range(25):
                training.minimise(loss)
            apart = []
            for own in {rate if "lr" in lab.settings else lr, lr}:
                moved = _minimised(candidate, start, loss, factor * own, settings)
                if finite(moved) and max(float(m.norm()) for m in moved) < 1e6:
                    apart.append(difference(training.moved(), moved))
            if apart and min(apart) > _EQUAL_ELSEWHERE:
                return False
            compared += bool(apart)
    return compared >= 2 and _agrees_for_long(lab, candidate, factor, settings, lr)


def _minimised(candidate: Known, start: Sequence[Tensor], loss: Loss, lr: float, settings: Settings) -> list[Tensor]:
    """How far 25 steps of a known optimizer lead."""
    params = [Parameter(s.clone()) for s in start]
    other = candidate.make(params, lr, settings)
    for _ in range(25):
        for p in params:
            p.grad = None
        loss(params).backward()
        other.step()
    return [p.detach() - s for p, s in zip(params, start, strict=True)]


def _agrees_for_long(lab: Lab, candidate: Known, factor: float, settings: Settings, lr: float) -> bool:
    """Does it take the same 1,200 steps? Some rules begin as another one, and change when they have warmed up."""
    rows, start = sequence(lab.shapes, seed=29), start_values(lab.shapes, torch.float64, seed=31)
    training, params = Training(lab, start), [Parameter(s.clone()) for s in start]
    other = candidate.make(params, factor * lr, settings)
    for step in range(_LONG + len(rows)):
        row = rows[step % len(rows)]
        if step == _LONG and _apart(training, params, start) > _EQUAL_ELSEWHERE:
            return False
        if step >= _LONG:  # large ones, in the end: a bound that is hardly ever met is another rule
            row = [1e3 * g for g in row]
        training.feed(row)
        for p, g in zip(params, row, strict=True):
            p.grad = g.clone()
        other.step()
    return _apart(training, params, start) < _EQUAL_ELSEWHERE


def _apart(training: Training, params: Sequence[Tensor], start: Sequence[Tensor]) -> float:
    """How far what it moved is from what the other one did."""
    return difference(training.moved(), [p.detach() - s for p, s in zip(params, start, strict=True)])


def _problems() -> list[tuple[Shapes, Loss]]:
    """Least squares, logistic regression, a network of one hidden layer, and one whose weights' lengths mean nothing."""
    generator = torch.Generator().manual_seed(17)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x, y, labels = normal(20, 6), normal(20, 2), (normal(20) > 0).double()

    def squares(params: Sequence[Tensor]) -> Tensor:
        return (x @ params[0] + params[1] @ torch.ones(3, 2, dtype=torch.float64) / 3 - y).square().mean()

    def logistic(params: Sequence[Tensor]) -> Tensor:
        logits = (x @ params[0]).sum(1) + (x @ params[1].T).sum(1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)

    def network(params: Sequence[Tensor]) -> Tensor:
        return (torch.tanh(x @ params[0]) @ params[1] - y).square().mean()

    def normalised(params: Sequence[Tensor]) -> Tensor:
        rows = [p / p.norm(dim=1, keepdim=True) for p in params]  # so that gradients are at right angles to weights
        return (torch.tanh(x @ rows[0].T) @ rows[1].T - y).square().mean()

    return [
        (((6, 2), (20, 3)), squares),
        (((6, 4), (3, 6)), logistic),
        (((6, 5), (5, 2)), network),
        (((5, 6), (2, 5)), normalised),
    ]


def _settings_text(candidate: Known, settings: Settings) -> str:
    """The settings that differ from the candidate's own."""
    own = candidate.fitted
    others = {
        k: v
        for k, v in settings.items()
        if k not in own or abs(v - own[k]) > 1e-4 * min(max(abs(v), 1e-30), max(1 - v, 1e-3))
    }
    others = {
        k: v
        for k, v in others.items()
        if k != "eps" or abs(math.log(max(v, 1e-30) / max(own.get("eps", 1e-8), 1e-30))) > 0.1
    }
    return "".join(f", {k} {v:.6g}" for k, v in others.items())


def _example(lab: Lab, candidate: Known, lr: float, settings: Settings) -> None:
    lab.shows(
        _SIDE_BY_SIDE.format(
            other=_other(candidate, lr, settings),
            before="",
            after="",
            shown='assert not torch.allclose(p, q, rtol=1e-6), "the same steps"',
        ),
        params=_COUNTED,
    )


def _example_of_schedule(lab: Lab, candidate: Known, lr: float, settings: Settings) -> None:
    lab.shows(
        _SIDE_BY_SIDE.format(
            other="spread = []\n" + _other(candidate, lr, settings),
            before="    before = p.detach().clone(), q.detach().clone()\n",
            after="    ratio = (p.detach() - before[0]) / (q.detach() - before[1])\n"
            "    print(t + 1, ratio.mean().item())\n"
            "    spread.append((ratio.std() / ratio.mean().abs()).item())\n",
            shown='assert max(spread) > 1e-3, "each step is the other\'s, times one factor for all elements"',
        ),
        params=_COUNTED,
    )


_COUNTED = "p = torch.nn.Parameter(torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3))"
_SIDE_BY_SIDE = """
{other}
for t in range(20):
{before}    p.grad = torch.sin(torch.arange(12.0, dtype=torch.float64) * (t + 1) + 1).view(4, 3)
    q.grad = p.grad.clone()
    opt.step()
    other.step()
{after}{shown}
"""


def _other(candidate: Known, lr: float, settings: Settings) -> str:
    """Lines that make the known optimizer over a copy `q` of `p`."""
    options = {"lr": lr, **candidate.fixed, **arguments(settings)}
    given = ", ".join(f"{k}={v!r}" for k, v in options.items())
    head = candidate.text.rpartition(".")[0]
    return f"import {head}\nq = torch.nn.Parameter(p.detach().clone())\nother = {candidate.text}([q], {given})"
