"""What could be wrong without a word, in both kinds of engine: right, or refused with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from assay.core import Contender
from assay.engine.eager.population import Population
from assay.engine.refusal import NotVectorizable
from assay.engine.select.audit import audit
from assay.engine.select.parity import probe
from assay.engine.train import train_with
from assay.errors import UsageError
from assay.training import loop
from assay.training.step import make_model

from .adversarial import MODELS, OPTIMIZERS, SHARED, CountingLoss, counting_loss
from .small import KINDS, LR, assert_same, contender, make_task, members, numerics

TAKEN = {  # common things, which at least one kind of engine has to take
    "in a set", "in a dictionary", "as text", "true and true", "MultiStepLR", "StepLR", "SequentialLR", "rare", "phases",
    "a deque of gradients", "state made at step 5", "state that changes places", "switching",
    "adaptive pooling", "weight norm", "spectral norm", "padding", "attention with rows all masked",
}  # fmt: skip


def outcome(kind: Any, task: Any, arm: Any) -> str:
    """Why it is refused; "" where the numbers are the loop's. What the loop refuses, the engine has to refuse."""
    SHARED.clear()
    expected = failure = None
    try:
        expected = loop.train(task, arm, members(), numerics())
    except Exception as error:
        failure = error
    SHARED.clear()
    try:
        found = train_with(kind, task, arm, members(), numerics())
    except NotVectorizable as error:
        return str(error) or pytest.fail("refused without a reason")
    assert expected is not None, f"the loop says {failure!r}, the engine nothing"
    assert_same(found, expected, rtol=1e-7)
    return ""


TRACED_WRONG = "by type"  # a traced number has another type than Python's, and Python tells nobody who asks for it


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_right_or_refused(name: str) -> None:
    make = OPTIMIZERS[name]
    arm = Contender("candidate", lambda model, run, lr: make(model, lr), LR)
    kinds = {kind: KINDS[kind] for kind in KINDS if (name, kind) != (TRACED_WRONG, "interpreted")}
    refused = {kind: outcome(kinds[kind], make_task(epochs=6, n=60, batch=10), arm) for kind in kinds}
    assert name not in TAKEN or "" in refused.values(), refused


def test_what_no_trace_can_see_is_caught_by_the_audit() -> None:
    make = OPTIMIZERS[TRACED_WRONG]
    arm = Contender("candidate", lambda model, run, lr: make(model, lr), LR)
    said = audit(make_task(epochs=6, n=60, batch=10), arm, members(1)[0], numerics("float32", compiled=True))
    assert said is not None
    assert "by the loop" in said


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_right_or_refused(name: str) -> None:
    make, shape = MODELS[name]
    arm = contender(torch.optim.Adam)
    refused = {kind: outcome(KINDS[kind], make_task(make, shape, epochs=6, n=60, batch=10), arm) for kind in KINDS}
    assert name not in TAKEN or "" in refused.values(), refused


@pytest.mark.parametrize("make", [CountingLoss, counting_loss])
def test_a_loss_that_keeps_something_is_each_trainings_own(make: Any) -> None:
    task, arm = replace(make_task(epochs=6, n=60, batch=10), loss=make()), contender(torch.optim.SGD)
    together = loop.train(task, arm, members(), numerics())
    alone = [loop.train(replace(task, loss=make()), arm, [member], numerics()) for member in members()]
    assert together.train_loss.tolist() == [curves.train_loss[0].tolist() for curves in alone]
    for kind in KINDS.values():
        assert outcome(kind, task, arm) == "the loss keeps something from one batch to the next"


def test_complex_weights_and_lazy_layers_are_refused_in_one_line() -> None:
    class Waves(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.waves = torch.nn.Parameter(torch.zeros(6, 3, dtype=torch.complex64))

        def forward(self, x: Any) -> Any:
            return (x.to(torch.complex64) @ self.waves).abs()

    with pytest.raises(UsageError, match="waves is complex: keep it as real numbers"):
        make_model(make_task(Waves), numerics())
    with pytest.raises(UsageError, match=r"weight has no shape before the first batch.*not nn.LazyLinear"):
        make_model(make_task(lambda: torch.nn.LazyLinear(3)), numerics())


def test_refusals_name_the_cause() -> None:
    def reason(name: str) -> str:
        arm = Contender("candidate", lambda model, run, lr: OPTIMIZERS[name](model, lr), LR)
        return outcome(Population, make_task(epochs=6, n=60, batch=10), arm)

    assert "gradient hooks" in reason("a gradient's hook")
    assert "freezes or frees a parameter" in reason("frozen late")
    assert "weak dictionary" in reason("a weak dictionary")
    assert "COUNT" in reason("a global count")
    assert "ZeroDivisionError" in reason("member's own zero division")
    assert "one memory" in reason("p.data = slow, late") or "share their memory" in reason("p.data = slow, late")


def test_dropout_that_a_model_calls_itself_is_left_out_of_the_probe() -> None:
    class Dropping(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.p = torch.nn.Linear(6, 5), torch.nn.Linear(5, 3), 0.3

        def forward(self, x: Any) -> Any:
            return self.b(torch.nn.functional.dropout(torch.tanh(self.a(x)), self.p, self.training))

    assert probe(make_task(Dropping), contender(torch.optim.SGD), numerics()) is None
