"""The baseline as a control alters it: what it does step by step, and that both engines agree on it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
import torch

from assay.contenders import contenders
from assay.controls.altered import MakeHalted, MakeReplayed
from assay.controls.plan import REPLAY_SPACE
from assay.core import Run
from assay.engine.select.parity import probe
from assay.training.numerics import loop_here

from .. import tiny

RUN = Run(total_steps=20, epochs=2, steps_per_epoch=10)


def steps(optimizer, model: torch.nn.Module, number: int) -> list[torch.Tensor]:
    """The parameters as one vector, before and after each of so many steps on fixed pseudo-random gradients."""
    generator = torch.Generator().manual_seed(1)
    seen = [torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()]
    for _ in range(number):
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        optimizer.step()
        seen.append(torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone())
    return seen


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return tiny.network().double()


def test_a_replay_has_the_direction_of_the_baseline_and_the_lengths_it_is_given():
    (baseline,) = contenders(["sgd"])
    lengths = torch.rand(3, 20, dtype=torch.float64) + 0.1
    ours, theirs = model(), model()
    replayed = steps(MakeReplayed(baseline, lengths)(ours, RUN, multiplier=2.0, replicate=1, lr=0.3), ours, 20)
    plain = steps(torch.optim.SGD(theirs.parameters(), lr=0.3), theirs, 20)
    for t in range(20):
        moved, direction = replayed[t + 1] - replayed[t], plain[t + 1] - plain[t]  # SGD's doesn't depend on where it is
        assert float(moved.norm()) == pytest.approx(2 * float(lengths[1, t]), rel=1e-6)
        assert float(torch.cosine_similarity(moved, direction, dim=0)) == pytest.approx(1, abs=1e-9)


def test_replaying_its_own_lengths_it_is_itself():
    """Adam, given the lengths of Adam's own steps, takes Adam's own steps."""
    (baseline,) = contenders(["adam"])
    ours, theirs = model(), model()
    plain = steps(torch.optim.Adam(theirs.parameters(), lr=0.01), theirs, 20)
    own = torch.stack([(b - a).norm() for a, b in pairwise(plain)])[None]
    replayed = steps(MakeReplayed(baseline, own)(ours, RUN, multiplier=1.0, lr=0.01), ours, 20)
    torch.testing.assert_close(replayed[-1], plain[-1], rtol=1e-9, atol=1e-12)


def test_without_a_direction_it_stays():
    (baseline,) = contenders(["sgd"])
    ours = model()
    optimizer = MakeReplayed(baseline, torch.ones(1, 20, dtype=torch.float64))(ours, RUN, lr=0.1)
    before = torch.nn.utils.parameters_to_vector(ours.parameters()).detach().clone()
    for p in ours.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(torch.nn.utils.parameters_to_vector(ours.parameters()).detach(), before)


def test_sabotage_takes_the_first_tenth_of_the_steps_and_then_none():
    (baseline,) = contenders(["adam"])
    ours, theirs = model(), model()
    halted = steps(MakeHalted(baseline)(ours, RUN, lr=0.01), ours, 20)
    plain = steps(torch.optim.Adam(theirs.parameters(), lr=0.01), theirs, 2)
    torch.testing.assert_close(halted[2], plain[2])
    for later in halted[3:]:
        torch.testing.assert_close(later, halted[2], rtol=0, atol=0)


def with_closure(model, lr):
    return torch.optim.LBFGS(model.parameters(), lr=lr, max_iter=2)


def test_a_baseline_that_needs_a_closure_gets_it():
    from assay.contenders.adapt import adapt

    baseline = replace(adapt(with_closure, "lbfgs"), closure="yes")
    ours = model()
    optimizer = MakeHalted(baseline)(ours, RUN, lr=0.1)
    x, y = torch.randn(8, 4, dtype=torch.float64), torch.randint(0, 2, (8,))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(ours(x), y)
        loss.backward()
        return loss

    first = float(closure().detach())
    for _ in range(3):
        optimizer.step(closure)
    assert float(closure().detach()) < first


@pytest.mark.parametrize(
    ("name", "compiled"), [("adam", False), ("sgd-momentum", False), ("gns-adam", True), ("adam+cosine", True)]
)
def test_both_engines_agree_on_what_is_altered(task, name, compiled):
    (baseline,) = contenders([name])
    numerics = msgspec.structs.replace(loop_here(), engine="vectorized", compiled=compiled)
    halted = replace(baseline, make=MakeHalted(baseline))
    space = {**baseline.space, **REPLAY_SPACE}
    replayed = replace(baseline, make=MakeReplayed(baseline, torch.rand(3, 40)), space=space)
    for contender in (halted, replayed):
        assert probe(task, contender, numerics) is None
