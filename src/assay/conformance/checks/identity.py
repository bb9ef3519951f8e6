"""Is it a known optimizer in disguise, at another learning rate or other settings?

Its steps on a sequence of gradients that doesn't depend on the parameters are compared with each known optimizer's, whose
learning rate and settings are fitted. What fits to rounding there must then agree, with the same factor, while it minimises
losses of other shapes, at other learning rates.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from assay.conformance.fit import EQUAL, PARALLEL, Fit, Fitted, path_of
from assay.conformance.known import Known, Settings, hinted, known
from assay.conformance.lab import Lab, Loss, Shapes, Training, difference, finite, flat, groups_of, start_values
from assay.conformance.report import Failed, Passed, skip_if

_STEPS = 32
_LONG = 1000
_LOOK = 20  # how often the difference is looked at
_NO_SHARE = 1e-3  # a share of the last step that is less is none
_SHORT = 1e-4
_VARIES = 1e-2  # relative spread of factors that a schedule has
_EQUAL_ELSEWHERE = 1e-5  # rounding grows as the parameters feed back


def check_identity(lab: Lab) -> Passed:
    """Compare with every known optimizer, the simplest first."""
    skip_if(lab.facts.get("single"), "it doesn't work in float64, where rounding is small enough to tell")
    lab.shows("")
    if itself := _itself(lab.training(torch.float64).optimizer):
        return Passed(f"it is {itself} itself", {"is": itself, "itself": True})
    rows = sequence(lab.shapes)
    training, path = _walked(lab, rows)
    nearest, paced = None, None
    for candidate in known():
        hints = hinted(candidate, training.optimizer)
        fit = Fit(candidate, training.start, rows, path, lab.lr or 1.0)
        found = fit.best(hints)
        if found.misfit < EQUAL and _agrees(lab, found) and (apart := _apart_for_long(lab, found)) is not None:
            _example(lab, candidate, found.factor, found.settings)
            raise Failed(
                f"this is {candidate.name} with lr × {found.factor:.3g}{_settings_text(found)}: the same steps to rounding, "
                f"at these settings and a constant rate (over {_LONG:,} steps in float64 at most {apart:.1g} apart)"
            )
        nearest = min((f for f in (nearest, found) if f), key=lambda f: f.misfit)
        paced = paced or _pace(lab, fit, {**candidate.fitted, **hints})
    _momentum_on_a_schedule(lab, rows, path)
    assert nearest is not None
    name = nearest.candidate.name
    value = {"is": None, "nearest": name, "difference": nearest.misfit}
    if paced:
        return _same_but_for_the_rate(lab, paced, value)
    if nearest.misfit < EQUAL:
        return Passed(
            f"it is no known optimizer: on gradients that are given its steps are {name}'s, while it minimises a loss, or over "
            "many steps, they are others",
            value,
        )
    return Passed(f"it is no known optimizer; the nearest, {name}, steps otherwise by {nearest.misfit:.2g}", value)


def _walked(lab: Lab, rows: list[list[Tensor]]) -> tuple[Training, Tensor]:
    """Its training on these gradients, and the path (elements, steps). Skip where that tells nothing."""
    start = lab.start(torch.float64)
    training = Training(lab, start)
    path = path_of(training, rows)
    way, size = float(path.abs().max()), float(flat(start).abs().max())
    if 0 < way < _SHORT * size:  # the way would drown in the rounding of where it begins
        training = Training(lab, [s * (way / size) for s in start])
        path = path_of(training, rows)
    skip_if(not finite([path]) or not path.any(), "it doesn't move to numbers on the gradients it is compared on")
    return training, path


def _itself(optimizer: Any) -> str | None:
    """The name under which its very class is registered (of two, that whose fixed settings it has)."""
    same = [k for k in known() if type(optimizer) is k.kind]
    group = (groups_of(optimizer) or [{}])[0]
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


_Pace = tuple[Known, Settings, Tensor]  # each of its steps is that one's, but for a factor on the rate (steps,)


def _pace(lab: Lab, fit: Fit, settings: Settings) -> _Pace | None:
    """The pace, where steps differ by varying factors only, on given gradients and while it minimises losses."""
    factors = fit.factors(settings)
    if factors is None or not float(factors.std()) > _VARIES * float(factors.mean()):
        return None
    for shapes, loss in _problems():
        training = Training(lab, start_values(shapes, torch.float64, seed=13))
        rows, path = [], []
        for _ in range(20):
            params = [p.detach().clone().requires_grad_() for p in training.params]
            rows.append(list(torch.autograd.grad(loss(params), params)))
            training.minimise(loss)
            path.append(training.way())
        if Fit(fit.candidate, training.start, rows, torch.stack(path, 1), fit.lr).factors(settings) is None:
            return None
    return fit.candidate, settings, factors


def _momentum_on_a_schedule(lab: Lab, rows: list[list[Tensor]], path: Tensor) -> None:
    """Fail where each step is a share of the last one plus a share of the gradient, and the shares come from the step count.

    They are fitted step by step, then used, over 1,000 steps, to foretell what it does on other gradients.
    """
    lab.shows("")
    fitted = _shares(rows, path)
    if (
        fitted is None
        or not float(fitted[1:, 0].std()) > _VARIES * float(fitted[1:, 0].abs().mean()) > _NO_SHARE * _VARIES
    ):
        return
    long = [row for row, _ in zip(_cycled(lab, 29), range(_LONG), strict=False)]
    other = [row for row, _ in zip(_cycled(lab, 37), range(_LONG), strict=False)]
    training, start = lab.training(torch.float64), lab.start(torch.float64)
    fitted = _shares(long, path_of(training, long))
    again = Training(lab, start)
    seen = path_of(again, other)
    if fitted is None:
        return
    step, place, apart = torch.zeros_like(seen[:, 0]), torch.zeros_like(seen[:, 0]), 0.0
    for t, row in enumerate(other):
        step = fitted[t, 0] * step + fitted[t, 1] * flat(row)
        place = place + step
        apart = max(apart, difference([place], [seen[:, t]]))
    if apart < _EQUAL_ELSEWHERE and _foretold_on_losses(lab, fitted):
        low, high = float(fitted[1:, 0].min()), float(fitted[1:, 0].max())
        lab.shows(_SCHEDULED_MOMENTUM.format(fault=f"momentum on a schedule, {low:.3g} to {high:.3g}"))
        raise Failed(
            f"this is sgd-momentum with a schedule inside momentum, {low:.3g} to {high:.3g}: each step is a share of the last "
            f"one plus one of the gradient (over {_LONG:,} steps in float64 at most {apart:.1g} apart)"
        )


def _foretold_on_losses(lab: Lab, shares: Tensor) -> bool:
    """Do the shares foretell it also where gradients are those of the parameters at which it stands?"""
    for shapes, loss in _problems():
        training = Training(lab, start_values(shapes, torch.float64, seed=13))
        params = training.values()
        steps = [torch.zeros_like(p) for p in params]
        for last, given in shares[:25].tolist():
            grads = torch.autograd.grad(loss(wanting := [p.clone().requires_grad_() for p in params]), wanting)
            steps = [last * s + given * g for s, g in zip(steps, grads, strict=True)]
            params = [p + s for p, s in zip(params, steps, strict=True)]
            training.minimise(loss)
        if difference(training.values(), params) > _EQUAL_ELSEWHERE:
            return False
    return True


def _cycled(lab: Lab, seed: int) -> Iterator[list[Tensor]]:
    """Gradients without an end: those of `sequence`, in ever other sizes."""
    rows = sequence(lab.shapes, seed=seed)
    for t in itertools.count():
        yield [g * (1.5 + math.sin(0.1 * t)) for g in rows[t % len(rows)]]


def _shares(rows: list[list[Tensor]], path: Tensor) -> Tensor | None:
    """Of each step (steps, 2): its share of the last step, and of the gradient; None where there is more to it."""
    taken = torch.diff(path, dim=1, prepend=torch.zeros_like(path[:, :1]))
    shares = []
    for t, row in enumerate(rows):
        before = taken[:, t - 1] if t else torch.zeros_like(taken[:, 0])
        given = torch.stack([before, flat(row)], 1)
        scale = given.norm(dim=0).clamp_min(1e-300)
        share = torch.linalg.lstsq(given / scale, taken[:, t, None], driver="gelsd").solution[:, 0] / scale
        rest = float((given @ share - taken[:, t]).norm())
        if not rest <= 1e-8 * float(taken[:, t].norm()) or not float(taken[:, t].norm()):
            return None
        shares.append(share)
    return torch.stack(shares)


_SCHEDULED_MOMENTUM = """
p = torch.nn.Parameter(torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3))
opt := [p]
last, rest = torch.zeros(12, dtype=torch.float64), []
for t in range(20):
    before = p.detach().clone()
    p.grad = torch.sin(torch.arange(12.0, dtype=torch.float64) * (t + 1) + 1).view(4, 3)
    opt.step()
    step = (p.detach() - before).flatten()
    given = torch.stack([last, p.grad.flatten()], 1)
    shares = torch.linalg.lstsq(given, step[:, None], driver="gelsd").solution
    print(t + 1, shares.flatten().tolist())  # of the last step, of the gradient
    rest.append(((given @ shares)[:, 0] - step).norm() / step.norm())
    last = step
assert max(rest) > 1e-6, "{fault}"
"""


def _same_but_for_the_rate(lab: Lab, pace: _Pace, value: dict[str, Any]) -> Passed:
    """A fault where the factors come from the step count alone: then they are the same on other gradients."""
    candidate, settings, factors = pace
    low, high = float(factors.min()), float(factors.max())
    rows = sequence(lab.shapes, seed=23)
    training = lab.training(torch.float64)
    fit = Fit(candidate, training.start, rows, path_of(training, rows), lab.lr or 1.0)
    elsewhere = fit.factors({**candidate.fitted, **hinted(candidate, training.optimizer)})
    if elsewhere is not None and difference([factors], [elsewhere]) < PARALLEL:
        _example(lab, candidate, 1.0, settings)
        raise Failed(
            f"this is {candidate.name} with a schedule built in: lr × {float(factors[0]):.3g} at the first step, {low:.3g} to "
            f"{high:.3g} in all (so does a bias correction that is off by one)"
        )
    return Passed(
        f"each step is {candidate.name}'s, at a rate that follows the gradients (lr × {low:.3g} to {high:.3g})",
        {**value, "is_scheduled": candidate.name},
    )


def _agrees(lab: Lab, found: Fitted) -> bool:
    """Does it take the same steps on all losses, at this learning rate and at a third of it, and for long?

    One that doesn't look at the rate it is given takes those of this rate at the third, too.
    """
    lr = lab.lr or 1.0
    compared = 0
    for shapes, loss in _problems():
        start = start_values(shapes, torch.float64, seed=13)
        for rate in (lr, lr / 3):
            try:
                training = Training(lab, start, lr=rate)
            except Exception:
                continue
            training.minimise(loss, steps=25)
            apart = []
            for own in {rate if "lr" in lab.settings else lr, lr}:
                walk = found.walk(start, own)
                for _ in range(25):
                    walk.minimise(loss)
                moved = walk.moved()
                if finite(moved) and max(float(m.norm()) for m in moved) < 1e6:
                    apart.append(difference(training.moved(), moved))
            if apart and min(apart) > _EQUAL_ELSEWHERE:
                return False
            compared += bool(apart)
    return compared >= 2


def _apart_for_long(lab: Lab, found: Fitted) -> float | None:
    """The largest relative difference over 1,000 steps; None where the steps aren't the same, in these and as many on large
    gradients. Some rules begin as another one, and change when they have warmed up.
    """
    rows, start = sequence(lab.shapes, seed=29), start_values(lab.shapes, torch.float64, seed=31)
    training, walk = Training(lab, start), found.walk(start, lab.lr or 1.0)
    turned = rows[_LONG % len(rows) :] + rows[: _LONG % len(rows)]
    large = [[1e3 * g for g in row] for row in turned]  # in the end: a bound that is hardly ever met is another rule
    largest = 0.0
    for step in range(_LONG):
        training.feed(rows[step % len(rows)])
        walk.feed(rows[step % len(rows)])
        if step % _LOOK == _LOOK - 1:
            largest = max(largest, difference(training.moved(), walk.moved()))
    for row in large:
        training.feed(row)
        walk.feed(row)
    return largest if max(largest, difference(training.moved(), walk.moved())) <= _EQUAL_ELSEWHERE else None


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


def _settings_text(found: Fitted) -> str:
    """The settings that differ from the candidate's own."""
    own = found.candidate.fitted

    def differs(name: str, value: float) -> bool:
        if name == "eps" and abs(math.log(max(value, 1e-30) / max(own.get("eps", 1e-8), 1e-30))) <= 0.1:
            return False
        room = 1e-4 * min(max(abs(value), 1e-30), max(1 - value, 1e-3))
        return name not in own or abs(value - own[name]) > room

    return "".join(f", {k} {v:.6g}" for k, v in found.settings.items() if differs(k, v))


def _example(lab: Lab, candidate: Known, factor: float, settings: Settings) -> None:
    """The known optimizer beside this one, on gradients that depend on no parameter."""
    given = ", ".join(f"{k}={v!r}" for k, v in candidate.arguments(factor * (lab.lr or 1.0), settings).items())
    lab.shows(
        f"""
import {candidate.text.rpartition(".")[0]}
p, q = (torch.nn.Parameter(torch.linspace(-1, 1, 12, dtype=torch.float64).view(4, 3)) for _ in range(2))
opt := [p]
other = {candidate.text}([q], {given})
spread = []
for t in range(20):
    before = p.detach().clone(), q.detach().clone()
    p.grad = torch.sin(torch.arange(12.0, dtype=torch.float64) * (t + 1) + 1).view(4, 3)
    q.grad = p.grad.clone()
    opt.step()
    other.step()
    ratio = (p.detach() - before[0]) / (q.detach() - before[1])
    print(t + 1, ratio.mean().item())
    spread.append((ratio.std() / ratio.mean().abs()).item())
assert max(spread) > 1e-3, "each step is the other's, times one factor for all elements"
"""
    )
