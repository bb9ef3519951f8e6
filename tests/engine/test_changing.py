"""What changes in Python while a training goes on, and what only evaluation sees: never a wrong number for it.

Found by a reviewer: a compiled step doesn't run Python, so a phase, a counter in the model or a rate of dropout that
changes long after the probe's last step must be seen when the step is made.
"""

from __future__ import annotations

import array
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from assay.core import EngineOptions
from assay.engine.compiled.population import Interpreted
from assay.engine.eager.population import Population
from assay.engine.refusal import NotVectorizable
from assay.engine.select.choose import choose_engine
from assay.engine.select.parity import probe
from assay.engine.train import train_with
from assay.training import loop
from assay.training.numerics import Demand
from assay.workers.jobs import pack, train_chunk

from .small import KINDS, assert_same, contender, make_task, members, numerics

LATE = 40  # later than the probe looks


class Phased(torch.optim.SGD):
    """Ten times as fast after LATE steps, by a word, a whole object or something that Python can't look into."""

    def __init__(self, params, lr: float, phase: Any = "warm", main: Any = "main") -> None:
        super().__init__(params, lr=lr)
        self.count, self.phase, self.main = 0, phase, main

    @torch.no_grad()
    def step(self, closure=None) -> None:
        self.count += 1
        if self.count == LATE:
            self.phase = self.main
        scale = 10 if self.phase == self.main else 1
        for p in self.param_groups[0]["params"]:
            p.sub_(scale * self.param_groups[0]["lr"] * p.grad)


PHASES = {
    "word": ("warm", "main"),
    "array": (array.array("i", [0]), array.array("i", [1])),
    "set": ({1}, {2}),
    "numpy": (np.zeros(1), np.ones(1)),
}


def same_or_refused(kind: Any, task: Any, arm: Any) -> str:
    """The reason, where it is refused; else its numbers are the loop's."""
    expected = loop.train(task, arm, members(), numerics())
    try:
        found = train_with(kind, task, arm, members(), numerics())
    except NotVectorizable as error:
        return str(error)
    assert_same(found, expected, rtol=1e-9)
    return ""


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("phases", PHASES.values(), ids=PHASES)
def test_a_phase_that_changes_late(kind: Any, phases: tuple[Any, Any]) -> None:
    arm = contender(lambda params, lr: Phased(params, lr, *phases))
    reason = same_or_refused(kind, make_task(epochs=12), arm)
    assert ("changes as it goes: phase" in reason) == (kind is not Population)


class Telling(torch.optim.SGD):
    """Prints its loss-free thoughts."""

    @torch.no_grad()
    def step(self, closure=None) -> None:
        print("a step")
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * p.grad)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_prints_goes_on_printing(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    reason = same_or_refused(kind, make_task(), contender(Telling))
    assert reason == ("" if kind is Population else "it prints as it steps")
    assert "a step" in capsys.readouterr().out


class Counting(nn.Module):
    """Counts its passes in training; the activation, or the dropout, changes after LATE of them."""

    def __init__(self, dropout: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.passes, self.dropout = nn.Linear(6, 5), nn.Linear(5, 3), 0, dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.passes += 1
        late = self.passes > LATE
        hidden = torch.relu(self.a(x)) if late and not self.dropout else torch.tanh(self.a(x))
        if self.dropout and late:
            hidden = nn.functional.dropout(hidden, 0.5, self.training)
        return self.b(hidden)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_model_that_counts(kind: Any) -> None:
    reason = same_or_refused(kind, make_task(Counting, epochs=12), contender(torch.optim.Adam))
    assert ("the model changes what it keeps as it trains" in reason) == (kind is not Population)


def test_dropout_that_begins_late() -> None:
    reason = same_or_refused(Population, make_task(lambda: Counting(True), epochs=12), contender(torch.optim.Adam))
    assert reason == "the model's dropout changes as it trains"


class Remembering(nn.Module):
    """Training leaves something behind that only evaluation reads."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.line = how, nn.Linear(6, 3)
        self.register_buffer("seen", torch.zeros(6), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return self.line(x - 5 * self.seen)
        if self.how == "replaced":
            self.seen = x.mean(0)
        else:
            self.seen.copy_(x.mean(0))
        return self.line(x)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("how", ["replaced", "written"])
def test_a_buffer_that_evaluation_reads(kind: Any, how: str) -> None:
    reason = same_or_refused(kind, make_task(lambda: Remembering(how)), contender(torch.optim.Adam))
    assert reason == ("the model replaces its buffer seen instead of changing its values" if how == "replaced" else "")


def test_the_probe_looks_at_scores_too(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Population.scores
    monkeypatch.setattr(Population, "scores", lambda *a: np.roll(right(*a), 1))
    assert "validation scores differ" in str(probe(make_task(), contender(torch.optim.Adam), numerics()))


def test_step_hooks_are_named_as_the_reason() -> None:
    def hooked(params: Any, lr: float) -> Any:
        optimizer = torch.optim.SGD(params, lr=lr)
        optimizer.register_step_post_hook(lambda *_: None)
        return optimizer

    assert same_or_refused(Population, make_task(), contender(hooked)).startswith("it has step hooks")


class Wary(torch.optim.SGD):
    """Takes a parameter's sign once its gradients come to so much together."""

    def __init__(self, params: Any, lr: float, limit: float = 1e9, kind: type = bool) -> None:
        super().__init__(params, lr=lr)
        self.limit, self.kind = limit, kind

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in self.param_groups[0]["params"]:
            total = self.state[p].setdefault("total", torch.zeros(()))
            total += p.grad.norm()
            p.sub_(self.param_groups[0]["lr"] * (p.grad if self.kind(total < self.limit) else p.grad.sign()))


def test_a_branch_that_the_data_decide_is_compiled_as_long_as_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    missed: list[int] = []

    class Watched(Interpreted):
        def step(self, *batch):
            traces = super().step(*batch)
            missed.append(self.missed)
            return traces

    assert same_or_refused(Watched, make_task(epochs=12), contender(Wary)) == ""
    assert (len(missed), missed[-1]) == (59, 0)


def test_members_that_leave_it_train_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.engine.compiled.population.Compiled", Interpreted)
    task, arm = make_task(epochs=12), contender(partial(Wary, limit=8.0))
    left = "takes another branch than where its compiled steps were traced"
    assert left in same_or_refused(Interpreted, task, arm)
    found = train_chunk(pack(task), pack(arm), members(), numerics(compiled=True))
    assert all(left in reason for reason in found.fallback)
    assert_same(found, loop.train(task, arm, members(), numerics()))


class Unset(torch.optim.SGD):
    """Names a number that isn't equal to itself."""

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * torch.where(p.isnan(), torch.nan, p.grad))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_number_that_is_none_is_no_change(kind: Any) -> None:
    assert same_or_refused(kind, make_task(), contender(Unset)) == ""


def settled(make: Any) -> Any:
    demand = Demand(600, at_once=4, processes=2)
    return choose_engine(
        make_task(), contender(make), EngineOptions(engine="vectorized", compile="on"), demand
    ).numerics


def test_what_cant_be_compiled_runs_eagerly() -> None:
    found = settled(partial(Wary, kind=int))
    assert (found.engine, found.compiled) == ("vectorized", False)
    assert "not compiled: it reads a value that the data decides" in found.reason


def test_without_a_compiler_steps_are_eager() -> None:
    from torch._inductor import config

    with config.patch({"cpp.cxx": ("/nowhere/g++",)}):
        found = settled(torch.optim.Adam)
    assert (found.engine, found.compiled) == ("vectorized", False)
