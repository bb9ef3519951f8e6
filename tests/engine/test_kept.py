"""What optimizers keep, and where they keep it: numbers that several places share, the model, ids, counts that begin again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assay.core import Contender
from assay.engine.compiled.population import Interpreted
from assay.engine.train import train_with
from assay.training import loop

from .small import KINDS, LR, assert_same, contender, make_task, members, numerics


class Beginning(torch.optim.Optimizer):
    """Counts to three and begins again, as Lookahead does."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr, "counter": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            group["counter"] += 1
            back = group["counter"] >= 3
            if back:
                group["counter"] = 0
            for p in group["params"]:
                slow = self.state[p].setdefault("slow", p.clone())
                p.sub_(p.grad, alpha=group["lr"])
                if back:
                    slow.lerp_(p, 0.5)
                    p.copy_(slow)


class OneNumberForAll(torch.optim.Optimizer):
    """Computes a coefficient once a step and keeps it beside each parameter, for the next step."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr, "step": 0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            group["step"] += 1
            coefficient = 2.0 * group["lr"] / (group["step"] + 3)
            for p in group["params"]:
                state = self.state[p]
                p.sub_(p.grad, alpha=state.get("coefficient", group["lr"]))
                state["coefficient"] = coefficient


class ById(torch.optim.Optimizer):
    """Keys its state by `id(p)`, in a dictionary of its own."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.kept: dict[int, torch.Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                kept = self.kept.setdefault(id(p), torch.zeros_like(p))
                kept.mul_(0.9).add_(p.grad)
                p.sub_(kept, alpha=group["lr"])


class Close(torch.optim.Optimizer):
    """Asks torch whether things are close."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                near = torch.isclose(p, p.grad, rtol=0.5, atol=group["lr"])
                if not torch.allclose(p, p + 1):
                    p.sub_(torch.where(near, 0.5, 1.0) * p.grad * group["lr"])


class Holding(torch.optim.SGD):
    """Keeps the model."""

    def __init__(self, model: torch.nn.Module, lr: float) -> None:
        super().__init__(model.parameters(), lr=lr)
        self.model = model

    def step(self, closure: Any = None) -> None:
        super().step()
        with torch.no_grad():
            for p in self.model.parameters():
                p.mul_(0.999)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("optimizer", [Beginning, OneNumberForAll, ById])
def test_gives_the_loops_numbers(optimizer: type, kind: str) -> None:
    task, arm = make_task(), contender(optimizer)
    found = train_with(KINDS[kind], task, arm, members(), numerics())
    assert_same(found, loop.train(task, arm, members(), numerics()))


def test_what_is_close_is_close() -> None:
    task, arm = make_task(), contender(Close)
    found = train_with(KINDS["eager"], task, arm, members(), numerics())
    assert_same(found, loop.train(task, arm, members(), numerics()))


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimizer_may_hold_the_model(kind: str) -> None:
    arm = Contender("holding", lambda model, run, lr: Holding(model, lr), LR)
    found = train_with(KINDS[kind], make_task(), arm, members(), numerics())
    assert_same(found, loop.train(make_task(), arm, members(), numerics()))


def test_a_count_that_begins_again_runs_compiled() -> None:
    missed: list[int] = []

    class Watched(Interpreted):
        def step(self, *batch: Any) -> torch.Tensor:
            traces = super().step(*batch)
            missed.append(self.missed)
            return traces

    train_with(Watched, make_task(), contender(Beginning), members(), numerics())
    assert missed[-1] == 0


@pytest.mark.parametrize("equal_nan", [False, True])
def test_isclose_is_torchs(equal_nan: bool) -> None:
    from assay.engine.eager.optimizer_mode import OptimizerMode
    from assay.engine.torch_private import batched, expanded, vmap_level

    odd = torch.tensor([0.0, 1.0, 1.0 + 1e-6, float("inf"), -float("inf"), float("nan")], dtype=torch.float64)
    x, y = odd.repeat(6), odd.repeat_interleave(6)
    with vmap_level(2) as level, OptimizerMode(2, level, {}):
        result = torch.isclose(batched(x.repeat(2, 1), level), batched(y.repeat(2, 1), level), equal_nan=equal_nan)
    with vmap_level(2):
        found = expanded(result, 2)
    assert torch.equal(found[1], torch.isclose(x, y, equal_nan=equal_nan))
