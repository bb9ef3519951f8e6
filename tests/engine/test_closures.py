"""Optimizers whose step evaluates the gradient itself, once or several times, from weights that they have moved."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from assay.core import Contender, EngineOptions
from assay.engine.eager.population import Population
from assay.engine.refusal import NotVectorizable
from assay.engine.select.choose import choose_engine
from assay.engine.select.parity import probe
from assay.engine.train import train_with
from assay.errors import UsageError
from assay.training import loop
from assay.training.numerics import Demand

from .small import KINDS, LR, assert_same, contender, make_task, members, numerics


class Sharp(torch.optim.Optimizer):
    """Foret et al. 2020, arXiv:2010.01412, around SGD with momentum; `back` puts the weights back."""

    def __init__(self, params: Any, lr: float, back: Callable[[Any, Any, Any], None]) -> None:
        super().__init__(params, {"lr": lr, "rho": 0.05})
        self.base = torch.optim.SGD(self.param_groups, lr=lr, momentum=0.9)
        self.param_groups, self.back = self.base.param_groups, back

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        closure = torch.enable_grad()(closure)
        loss = closure()
        norm = torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                self.keep(p)
                p.add_(p.grad, alpha=group["rho"] / (norm + 1e-12))
        closure()
        for group in self.param_groups:
            for p in group["params"]:
                self.back(self, p, self.state[p])
        self.base.step()
        return loss

    def keep(self, p: Any) -> None:
        self.state[p]["old"] = p.data.clone()


def copied(_: Any, p: Any, state: Any) -> None:
    p.copy_(state["old"])


def given(_: Any, p: Any, state: Any) -> None:
    p.data = state["old"]  # as the implementations do that are copied most


class Keeps(Sharp):
    """Keeps one tensor for all steps, in whose memory the weights are from the first on: perturbing them changes it, too."""

    def keep(self, p: Any) -> None:
        if "old" not in self.state[p]:
            self.state[p]["old"] = torch.zeros_like(p)
        self.state[p]["old"].copy_(p)


class Polyak(torch.optim.SGD):
    """Its step is as long as the loss says."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        with torch.enable_grad():
            loss = closure()
        square = torch.stack([p.grad.square().sum() for p in self.param_groups[0]["params"]]).sum()
        rate = min(loss.item() / (square.item() + 1e-8), self.param_groups[0]["lr"])
        for p in self.param_groups[0]["params"]:
            p.sub_(rate * p.grad)
        return loss


class Zeroed(torch.optim.SGD):
    """Takes away the gradients of the last step before it asks for others."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        self.zero_grad()
        with torch.enable_grad():
            loss = closure()
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"])
        return loss


class NowAndThen(torch.optim.SGD):
    """Every fifth step looks further ahead."""

    taken = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        lr, params = self.param_groups[0]["lr"], self.param_groups[0]["params"]
        closure = torch.enable_grad()(closure)
        loss = closure()
        self.taken += 1
        for _ in range(2 * (self.taken % 5 == 0)):
            for p in params:
                p.sub_(p.grad, alpha=lr)
            closure()
        for p in params:
            p.sub_(p.grad, alpha=lr)
        return loss


class Late(torch.optim.SGD):
    """Ordinary for longer than the probe looks; then it does what a population can't follow."""

    kept: Any = None
    AFTER = 75

    def __init__(self, params: Any, lr: float, how: str) -> None:
        super().__init__(params, lr=lr)
        self.how, self.taken = how, 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        params, lr = self.param_groups[0]["params"], self.param_groups[0]["lr"]
        own = torch.enable_grad()(closure)
        self.taken += 1
        late = self.taken > self.AFTER
        if late and self.how == "a gradient before":
            for p in params:
                if p.grad is not None:
                    p.sub_(p.grad, alpha=lr)
        if late and self.how == "an old tensor in place":
            for p in params:
                self.state[p]["old"].mul_(0.9)
        if late and self.how == "an earlier closure":
            torch.enable_grad()(self.kept)()
        if self.how == "an earlier closure":
            self.kept = closure
        loss = own()
        if late and self.how == "the loss's history" and loss.grad_fn is not None:
            lr = 2 * lr
        if late and self.how == "the loss's need of one" and not loss.requires_grad:
            lr = 2 * lr
        if late and self.how == "what it catches":
            try:
                lr = lr * float(loss)
            except Exception:
                lr = 3 * lr
        for p in params:
            self.state[p]["old"] = p.clone()
            views = p.detach(), p.view(-1)
            p.add_(p.grad, alpha=0.05)
            if not (late and self.how == "views"):
                del views
            p.data = self.state[p]["old"]
            p.sub_(p.grad, alpha=lr)
            if late and self.how == "an old tensor":
                p.sub_(self.state[p]["old"], alpha=0.1)
            if late and self.how == "two of them":
                self.state[p]["other"] = p.clone()
                p.data = self.state[p]["other"]
                p.sub_(p.grad, alpha=lr)
            if late and self.how == "views":
                p.sub_(views[0], alpha=0.1)
        return loss


LATE = (
    "a gradient before", "an old tensor in place", "an earlier closure", "the loss's history", "what it catches", "an old tensor",
    "two of them", "views",
)  # fmt: skip


@pytest.mark.parametrize("how", LATE)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_begins_late_is_seen_when_it_is_done(how: str, kind: Any) -> None:
    arm = with_closure(partial(Late, how=how))
    task = make_task(epochs=20)
    if kind is Population and how != "an earlier closure":
        assert probe(task, arm, numerics()) is None
    try:
        found = train_with(kind, task, arm, members(), numerics())
    except NotVectorizable:
        return
    assert how == "two of them"  # of which nobody reads the first
    assert_same(found, loop.train(task, arm, members(), numerics()), 1e-8)


def test_a_loss_needs_a_gradient() -> None:
    arm = with_closure(partial(Late, how="the loss's need of one"))
    found = train_with(Population, make_task(epochs=20), arm, members(), numerics())
    assert_same(found, loop.train(make_task(epochs=20), arm, members(), numerics()), 1e-8)


class FirstMore(torch.optim.SGD):
    """Its first step evaluates as often as its own loss asks for."""

    taken = 0

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        closure = torch.enable_grad()(closure)
        loss, times = closure(), 0
        while self.taken == 0 and times < 20 * self.param_groups[0]["lr"] * loss * 30 - 1:
            loss, times = closure(), times + 1
        self.taken += 1
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"])
        return loss


def test_each_member_counts_its_own_evaluations() -> None:
    arm = with_closure(FirstMore)
    expected = loop.train(make_task(), arm, members(), numerics())
    assert len(set(expected.gradient_evaluations.tolist())) > 1
    assert_same(train_with(Population, make_task(), arm, members(), numerics()), expected, 1e-8)


class Holds(torch.optim.SGD):
    """Holds the model, and lets its statistics rest while it looks further ahead."""

    def __init__(self, model: Any, lr: float) -> None:
        super().__init__(model.parameters(), lr=lr)
        self.model = model

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        closure = torch.enable_grad()(closure)
        loss = closure()
        self.model.eval()
        closure()
        self.model.train()
        for p in self.param_groups[0]["params"]:
            p.sub_(p.grad, alpha=self.param_groups[0]["lr"])
        return loss


def test_one_that_holds_the_model_is_refused() -> None:
    arm = Contender("candidate", lambda model, run, lr: Holds(model, lr), LR, closure="yes")
    with pytest.raises(NotVectorizable, match="it holds the model"):
        train_with(Population, make_task(normed), arm, members(), numerics())


class Stale(torch.optim.SGD):
    """Begins a step with the gradient of the last one."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        self.zero_grad()
        for p in self.param_groups[0]["params"]:
            if p.grad is not None:
                p.sub_(p.grad, alpha=self.param_groups[0]["lr"])
        with torch.enable_grad():
            return closure()


def with_closure(make: Callable[..., Any]) -> Contender:
    return contender(make, LR, closure="yes")


def normed() -> nn.Module:
    """Its running statistics are brought on by each evaluation."""
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))


def sharp(back: Any) -> Callable[..., Any]:
    return lambda params, lr: Sharp(params, lr, back)


RULES = {
    "zeroed": Zeroed,
    "copied back": sharp(copied),
    "given back": sharp(given),
    "by the loss": Polyak,
    "now and then": NowAndThen,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("phase", ["tune", "final"])
@pytest.mark.parametrize("model", [None, normed])
@pytest.mark.parametrize("rule", RULES)
def test_gives_the_loops_numbers(rule: str, model: Any, phase: str, kind: Any) -> None:
    task, arm = make_task(model, epochs=4), with_closure(RULES[rule])
    found = train_with(kind, task, arm, members(phase=phase), numerics())
    assert_same(found, loop.train(task, arm, members(phase=phase), numerics()), rtol=1e-8)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_member_that_diverges_counts_its_own_evaluations(kind: Any) -> None:
    task, arm = make_task(epochs=4), with_closure(sharp(copied))
    wild = [*members(2), *members(3, lr=1e200)[2:]]
    found = train_with(kind, task, arm, wild, numerics())
    expected = loop.train(task, arm, wild, numerics())
    assert found.diverged.tolist() == expected.diverged.tolist() == [0, 0, 1]
    assert found.gradient_evaluations.tolist() == expected.gradient_evaluations.tolist() == [40, 40, 10]


def test_a_step_that_wants_one_is_seen_to_want_it() -> None:
    task, arm = make_task(), contender(sharp(copied))  # nobody said so
    assert_same(
        train_with(Population, task, arm, members(), numerics()), loop.train(task, arm, members(), numerics()), 1e-8
    )


@pytest.mark.parametrize("make", [lambda params, lr: Keeps(params, lr, given), Stale])
@pytest.mark.parametrize("compiled", [False, True])
def test_what_a_population_cant_do_is_refused_by_the_probe(make: Any, compiled: bool) -> None:
    assert probe(make_task(), with_closure(make), numerics(compiled=compiled)) is not None


def test_dropout_is_left_to_the_loop() -> None:
    task = make_task(lambda: nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.2), nn.Linear(5, 3)))
    arm = with_closure(sharp(copied))
    reason = "the model draws dropout anew each time that its closure is called"
    assert probe(task, arm, numerics()) == reason
    with pytest.raises(NotVectorizable, match=reason):
        train_with(Population, task, arm, members(), numerics())


def test_a_gradients_gradient_is_left_to_the_loop() -> None:
    arm = contender(sharp(copied), LR, closure="graph")
    chosen = choose_engine(
        make_task(), arm, EngineOptions(engine="vectorized", compile="on"), Demand(600, at_once=4, processes=2)
    )
    assert (chosen.numerics.engine, chosen.numerics.reason) == ("loop", "its step differentiates the gradient")
    assert probe(make_task(), arm, numerics()) == "its step differentiates the gradient"


def test_one_that_calls_no_closure_fails_as_in_the_loop() -> None:
    class Idle(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            pass

    for train in (loop.train, partial(train_with, Population)):
        with pytest.raises((UsageError, NotVectorizable), match="never calls the closure that it is given"):
            train(make_task(), with_closure(Idle), members(), numerics())
