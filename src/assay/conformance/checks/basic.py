"""Can it be made, does it move, does it descend, does it do so twice alike, and quietly?"""

from __future__ import annotations

import contextlib
import math
import os
import random
import sys
import tempfile
from itertools import pairwise
from typing import IO, Any

import torch
from torch import Tensor

from assay.conformance.lab import LONG_ENOUGH, MATRICES, Lab, Training, finite, quadratic, same, start_values
from assay.conformance.report import Passed, fail_if
from assay.contenders.interface import needs_closure


def check_made(lab: Lab) -> Passed:
    """Make it, over a matrix and a vector; over two matrices where it takes nothing else."""
    lab.shows(
        """
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(5))
opt := [p, q]
assert hasattr(opt, "step"), f"made: {opt}"
"""
    )
    note = ""
    try:
        training = lab.training()
    except ValueError as error:
        lab.shapes = MATRICES
        try:
            training = lab.training()
        except Exception:
            raise error from None
        note = f", of matrices only ({' '.join(str(error).split())[:80]})"
    train = callable(getattr(training.optimizer, "train", None))
    kind = f"{type(training.optimizer).__module__}.{type(training.optimizer).__qualname__}"
    return Passed(f"an optimizer of class {kind}{note}", {"class": kind}, {"shapes": lab.shapes, "train": train})


def _mode(lab: Lab, optimizer: Any) -> Any:
    """How the step wants to be called: as declared, or else with the least that it gets through."""
    if lab.contender.closure != "no":
        return lab.contender.closure
    modes = ("yes", "graph") if needs_closure(optimizer.step) else ("no", "yes", "graph")
    return next((mode for mode in modes if _steps(lab, mode)), modes[0])


def _steps(lab: Lab, mode: Any) -> bool:
    lab.mode = mode
    try:
        lab.training().minimise(quadratic, steps=2)
        return True
    except Exception:
        return False


def _doubles(lab: Lab) -> bool:
    """Do float64 parameters stay so, and computed as such?"""
    try:
        training = lab.training(torch.float64, steps=3)
        return all(p.dtype == torch.float64 for p in training.params) and not lab.in_single()
    except Exception:
        return False


def check_steps(lab: Lab) -> Passed:
    """Steps on gradients far from zero move every parameter: 12, or as many as what gathers gradients may need."""
    lab.shows(
        f"""
p, q = torch.nn.Parameter(torch.ones(4, 3)), torch.nn.Parameter(torch.ones(3, 5))
opt := [p, q]
for _ in range({LONG_ENOUGH}):
    p.grad, q.grad = torch.full((4, 3), 0.5), torch.full((3, 5), 0.5)
    opt.step()
for x in (p, q):
    assert torch.isfinite(x).all() and not torch.equal(x, torch.ones_like(x)), x
"""
    )
    lab.mode = _mode(lab, lab.training().optimizer)
    wide = _doubles(lab)
    dtype = torch.float64 if wide else torch.float32  # steps may be too small for float32 to see
    training = lab.training(dtype, steps=12)
    fail_if(not finite(training.values()), "twelve steps on gradients of everyday size make parameters NaN or infinite")
    if not any(training.moves()):  # some gather gradients first
        training.feed_all(lab.rows(LONG_ENOUGH, dtype)[12:])
    moved = training.moves()
    fail_if(not any(moved), f"it never moves a parameter ({LONG_ENOUGH} steps, gradients far from zero)")
    which = ", ".join(str(i + 1) for i, m in enumerate(moved) if not m)
    fail_if(which, f"of {len(moved)} parameters it never moves number {which}")
    closure = "; its step needs a closure"
    needs = {"no": "", "yes": closure, "graph": f"{closure} with create_graph=True"}
    return Passed(f"every parameter moves{needs[lab.mode]}", facts={"mode": lab.mode, "single": not wide})


def check_descends(lab: Lab) -> Passed:
    """At one learning rate of its range at least, 100 steps take a convex quadratic below half of its start."""
    lab.shows(
        f"""
start, losses = torch.linspace(-1, 1, 12).view(4, 3), []
for lr in {[float(f"{r:.3g}") for r in lab.rates() if r is not None] or [None]}:
    p = torch.nn.Parameter(start.clone())
    opt := [p] at lr
    for _ in range(100):
        p.grad = p.detach() - 2.0  # of the loss ½‖p − 2‖²
        opt.step()
    losses.append(((p - 2) ** 2).sum().item())
assert min(losses) < ((start - 2) ** 2).sum(), losses
"""
    )
    targets = start_values(lab.shapes, torch.float32, seed=5)
    curvatures = [torch.linspace(0.5, 2, t.numel()).view(t.shape) for t in targets]

    def loss(params: Any) -> Any:
        return sum((c * (p - t) ** 2).sum() for p, t, c in zip(params, targets, curvatures, strict=True))

    best, raised = math.inf, None
    first = float(loss(lab.start()))
    for rate in lab.rates():
        training = Training(lab, lab.start(), lr=rate)
        for step in range(100):
            try:
                training.minimise(loss)
            except Exception as error:
                if finite([p.grad for p in training.params if p.grad is not None]):
                    raise
                raised = error  # it has diverged at this rate, and can't go on with what is infinite
                break
            if step % 10 == 9:
                training.switch("eval")
                best = min(best, float(loss(training.values())))  # NaN is no less
                training.switch("train")
                if best < 0.5 * first:
                    at = "its default" if rate is None else f"{rate:.2g}"
                    return Passed(f"the loss falls from {first:.3g} to {best:.3g} in {step + 1} steps at lr {at}")
    if best >= first and raised is not None:
        raise raised
    fault = "the loss of a convex quadratic never falls below its start, at none of"
    fail_if(best >= first, f"{fault} {len(lab.rates())} learning rates")
    return Passed(f"the loss falls, but slowly: from {first:.3g} to {best:.3g} in 100 steps")


def check_deterministic(lab: Lab) -> Passed:
    """Two runs of one seed give the same bits."""
    lab.shows(
        """
def run():
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.ones(4, 3))
    opt := [p]
    for t in range(10):
        p.grad = torch.full((4, 3), 0.5 + t)
        opt.step()
    return p.detach()
assert torch.equal(run(), run()), "two runs of one seed differ"
"""
    )
    first, second = lab.training(steps=10), lab.training(steps=10)
    fault = "two runs of one seed differ: it draws from, or keeps, something that torch.manual_seed doesn't reset"
    fail_if(not same(first.values(), second.values()), fault)
    drawing = ", though it draws random numbers" if second.drew else ""
    return Passed(f"two runs give the same bits{drawing}", {"random": second.drew}, {"deterministic": True})


def check_global_rng(lab: Lab) -> Passed:
    """Steps leave the random numbers of torch, Python and numpy, which all share, as they were; so does making it."""
    lab.shows(
        """
import random, numpy
p.grad = torch.ones(4, 3)
for _ in range(3):
    before = torch.get_rng_state(), random.getstate(), numpy.random.get_state()[1:]
    opt.step()
    assert torch.equal(torch.get_rng_state(), before[0]), "a step changes torch's global generator"
    assert random.getstate() == before[1], "a step changes Python's global generator"
    assert str(numpy.random.get_state()[1:]) == str(before[2]), "a step changes numpy's global generator"
"""
    )
    training = lab.training()
    drawn, others = training.drew, _others_rng()
    left: list[Tensor] = []  # what steps that touch the generator leave
    for t, row in enumerate(lab.rows(LONG_ENOUGH)):
        before = training.rng = torch.Generator().manual_seed(t).get_state()  # another one at each step
        training.feed(row)
        left += [] if torch.equal(training.rng, before) else [training.rng]
    again = any(torch.equal(a, b) for a, b in pairwise(left))
    fail_if(again, "its steps seed torch's global generator: dropout repeats itself at every step of the training")
    shared = "so that dropout, and the order of batches, differ with the optimizer"
    fail_if(left, f"its steps draw from torch's global generator, {shared}")
    changed = [name for name, state in _others_rng().items() if state != others[name]]
    fail_if(changed, f"its steps draw from, or seed, the global generator of {' and '.join(changed)}")
    drawing = ", though making it draws from torch's" if drawn else ""
    return Passed(f"its steps leave the global generators as they are{drawing}")


def _others_rng() -> dict[str, str]:
    """The states of the global generators beside torch's, as text, by what they are of."""
    found = {"Python's random": str(random.getstate())}
    if numpy := sys.modules.get("numpy"):
        _, keys, *rest = numpy.random.get_state()
        found["numpy"] = f"{keys.tobytes().hex()} {rest}"
    return found


def check_quiet(lab: Lab) -> Passed:
    """Nothing is written to standard output or standard error."""
    lab.shows(
        """
p.grad = torch.ones(4, 3)
opt.step()  # prints
raise SystemExit("look at what was printed above")
"""
    )
    with tempfile.TemporaryFile(buffering=0) as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        _printed(output)
        training = lab.training()
        made = _printed(output)
        training.feed_all(lab.rows(5))
        stepping = _printed(output)
    if not finite(training.values()):
        return Passed("it prints nothing" if not stepping else "it prints only of what is not finite")
    fail_if(stepping, f"it prints as it steps: {stepping!r}")
    return Passed(f"it prints when it is made, not after: {made!r}" if made else "it prints nothing")


def _printed(output: IO[bytes]) -> str:
    """The first line of what has come into the file since it was last asked."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    output.seek(0)
    text = output.read().decode(errors="replace")
    output.seek(0)
    output.truncate()
    return next(iter(text.strip().splitlines()), text)[:80]
