"""What can't be vectorized is refused with a reason, never computed wrongly."""

from __future__ import annotations

import functools
import random
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from assay.engine.refusal import NotVectorizable
from assay.engine.select.parity import probe
from assay.engine.train import train, train_with
from assay.errors import UsageError
from assay.space import Choice, Float, Int
from assay.training import loop
from assay.training.data import load

from .small import KINDS, LR, contender, make_task, members, numerics


class Plain(torch.optim.Optimizer):
    def __init__(self, params, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.prepare()

    def prepare(self) -> None: ...

    def rule(self, p: Any, lr: float) -> None:
        p.add_(p.grad, alpha=-lr)

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                self.rule(p, group["lr"])


class Noisy(Plain):
    def rule(self, p: Any, lr: float) -> None:
        p.add_(torch.randn_like(p), alpha=lr)


class Generating(Plain):
    def prepare(self):
        self.random = random.Random(0)


class Disagreeing(Plain):
    def rule(self, p: Any, lr: float) -> None:
        p.sub_(p.grad if lr > 0.004 else p.grad.sign() * lr)


class Printing(Plain):
    def rule(self, p: Any, lr: float) -> None:
        print(f"{lr:.3f}")
        super().rule(p, lr)


class Numpying(Plain):
    def rule(self, p: Any, lr: float) -> None:
        p.sub_(lr * float(p.grad.numpy().sum()))


REFUSED = {Noisy: "random", Generating: "random", Disagreeing: "branch", Printing: "prints", Numpying: "NumPy"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", REFUSED)
def test_refuses_with_a_reason(optimizer: type, kind: str) -> None:
    with pytest.raises(NotVectorizable, match=REFUSED[optimizer]):
        train_with(KINDS[kind], make_task(), contender(optimizer), members(), numerics())
    assert REFUSED[optimizer] in (probe(make_task(), contender(optimizer), numerics()) or "")


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_a_schedule_that_gives_no_number_at_one_members_value(kind: str) -> None:
    def late(done: float, level: float) -> float:
        return float("nan") if 0.4 < level < 0.6 and done > 0.6 else 1.0

    arm = contender(
        torch.optim.Adam, {"lr": Float(0.1, 1), "level": Float(0, 1)}, schedule=late, schedule_takes=("level",)
    )
    chunk = [msgspec.structs.replace(m, hyperparameters={"lr": 0.1, "level": i / 2}) for i, m in enumerate(members())]
    for engine in (lambda *asked: train_with(KINDS[kind], *asked), loop.train):
        with pytest.raises(NotVectorizable if engine is not loop.train else UsageError, match="its schedule gives nan"):
            engine(make_task(), arm, chunk, numerics())


def test_refuses_what_evaluates_as_often_as_each_member_needs() -> None:
    with pytest.raises(NotVectorizable, match="different branches"):
        train(make_task(), contender(torch.optim.LBFGS, closure="yes"), members(), numerics())


def test_refuses_no_members() -> None:
    with pytest.raises(NotVectorizable, match="no members"):
        train(make_task(), contender(torch.optim.SGD), [], numerics())


def test_refuses_hyperparameters_that_change_what_is_kept() -> None:
    arm = contender(lambda p, lr, history: Keeping(p, lr, history), {**LR, "history": Int(1, 5)})
    chunk = [m for i in (1, 2) for m in members(1, history=i)]
    with pytest.raises(NotVectorizable, match="keep different things"):
        train(make_task(), arm, chunk, numerics())
    arm = contender(
        lambda p, lr, nesterov: torch.optim.SGD(p, lr, 0.9, nesterov=nesterov),
        {**LR, "nesterov": Choice((True, False))},
    )
    chunk = [m for switch in (True, False) for m in members(1, nesterov=switch)]
    with pytest.raises(NotVectorizable, match="switch"):
        train(make_task(), arm, chunk, numerics())


class Keeping(Plain):
    def __init__(self, params, lr, history):
        self.history = [torch.zeros(3) for _ in range(history)]
        super().__init__(params, lr)


_HIDDEN: dict[str, torch.Tensor] = {}


class Hiding(Plain):
    """Keeps its momentum where no one can see it: in a global."""

    def rule(self, p: Any, lr: float) -> None:
        kept = _HIDDEN.setdefault(str(tuple(p.shape)), torch.zeros(p.shape, dtype=p.dtype))
        kept.mul_(0.9).add_(p.grad)
        p.sub_(kept * lr)


def test_what_is_hidden_is_never_computed_wrongly() -> None:
    for kind in KINDS:
        _HIDDEN.clear()
        assert probe(make_task(), contender(Hiding), numerics(compiled=kind == "interpreted")) is not None


def test_rejects_a_recurrent_layer_without_a_batching_rule() -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = torch.nn.GRU(2, 4, batch_first=True), torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.cell(x)[0][:, -1])

    with pytest.raises(NotVectorizable, match="gru"):
        train(make_task(Recurrent, (5, 2)), contender(torch.optim.SGD), members(), numerics())


class Writes(nn.Module):
    def __init__(self, training: bool) -> None:
        super().__init__()
        self.layer, self.wanted = nn.Linear(6, 3), training

    def forward(self, x):
        return self.layer(x.relu_() if self.training == self.wanted else x)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("warm", [0, 1])
def test_data_that_a_model_writes_to_is_not_used_again(training, warm):
    task = make_task(lambda: Writes(training))
    kind = functools.partial(KINDS["eager"], warm=warm)
    before = load(task, members()[0].split).validation[0].clone()
    with pytest.raises(NotVectorizable, match="writes to the inputs or targets that it is given"):
        train_with(kind, task, contender(torch.optim.SGD), members(), numerics())
    assert torch.equal(load(task, members()[0].split).validation[0], before)
