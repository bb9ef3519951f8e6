"""Every optimizer of torch gives the loop's numbers, from the eager form and from traced, replayed steps."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from assay.contenders.schedules import Schedule
from assay.core import Contender
from assay.engine.train import train_with
from assay.optim import GNSAdam, GradNormScaled
from assay.space import Float
from assay.training import loop

from .small import KINDS, LR, assert_same, contender, make_task, members, numerics

NAMES = (
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ASGD",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
)
OPTIMIZERS = {
    **{
        name: getattr(torch.optim, name)
        for name in NAMES
    },
    "amsgrad": lambda p, lr: torch.optim.Adam(p, lr=lr, amsgrad=True, weight_decay=0.1),
    "maximize": lambda p, lr: torch.optim.AdamW(p, lr=lr, maximize=True),
    "nesterov": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9, nesterov=True, dampening=0.0),
    "centered": lambda p, lr: torch.optim.RMSprop(p, lr=lr, centered=True, momentum=0.5),
    "foreach": lambda p, lr: torch.optim.Adam(p, lr=lr, foreach=True),
    "fused": lambda p, lr: torch.optim.Adam(p, lr=lr, fused=True),
    "GNSAdam": GNSAdam,
    "GNS-SGD": lambda p, lr: GradNormScaled(p, torch.optim.SGD, lr=lr, momentum=0.9),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gives_the_loops_numbers(name: str, kind: str) -> None:
    task, arm = make_task(epochs=2), contender(OPTIMIZERS[name])
    found = train_with(KINDS[kind], task, arm, members(), numerics())
    assert_same(found, loop.train(task, arm, members(), numerics()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_may_be_a_members_own(kind: str) -> None:
    arm = contender(
        lambda p, lr, beta1, beta2, eps, decay: torch.optim.AdamW(p, lr, (beta1, beta2), eps, decay),
        {
            **LR,
            "beta1": Float(0.5, 0.95),
            "beta2": Float(0.9, 0.999),
            "eps": Float(1e-8, 1e-2),
            "decay": Float(0.01, 1.0),
        },
    )
    own = [
        {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.01},
        {"lr": 0.02, "beta1": 0.5, "beta2": 0.95, "eps": 1e-3, "decay": 0.5},
        {"lr": 0.03, "beta1": 0.7, "beta2": 0.9, "eps": 1e-5, "decay": 0.1},
    ]
    chunk = [msgspec.structs.replace(m, hyperparameters=h) for m, h in zip(members(), own, strict=True)]
    assert_same(
        train_with(KINDS[kind], make_task(), arm, chunk, numerics()), loop.train(make_task(), arm, chunk, numerics())
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", ["tune", "final"])
def test_a_schedule_acts_on_every_step(kind: str, phase: str) -> None:
    def two_groups(model, run, lr):
        first, *rest = model.parameters()
        return torch.optim.Adam([{"params": [first], "lr": lr / 3}, {"params": rest}], lr=lr)

    arm = Contender("scheduled", two_groups, LR, schedule=lambda fraction: (1 - fraction) ** 2)
    found = train_with(KINDS[kind], make_task(), arm, members(phase=phase), numerics())
    assert_same(found, loop.train(make_task(), arm, members(phase=phase), numerics()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fixed", [{}, {"lr": 0.01}], ids=["beside a rate", "alone"])
def test_each_member_warms_up_for_its_own_share(kind: str, fixed: dict[str, float]) -> None:
    space = {"warmup": Float(0.05, 0.5)} if fixed else {**LR, "warmup": Float(0.05, 0.5)}
    arm = contender(torch.optim.Adam, space, fixed=fixed, schedule=Schedule("cosine"), schedule_takes=("warmup",))
    rates = [{} if fixed else {"lr": 0.003 * (i + 1)} for i in range(3)]
    chunk = [
        msgspec.structs.replace(m, hyperparameters={**rates[i], "warmup": warmup})
        for i, (m, warmup) in enumerate(zip(members(), (0.0, 0.1, 0.45), strict=True))
    ]
    expected = loop.train(make_task(), arm, chunk, numerics())
    assert_same(train_with(KINDS[kind], make_task(), arm, chunk, numerics()), expected)
    by_name = [
        loop.train(make_task(), replace(arm, schedule=Schedule("cosine", m.hyperparameters["warmup"]), schedule_takes=(),
                   make=lambda model, run, lr=0.01, warmup=0.0: torch.optim.Adam(model.parameters(), lr=lr)), [m], numerics())
        for m in chunk
    ]  # fmt: skip
    np.testing.assert_array_equal(expected.train_loss, np.concatenate([one.train_loss for one in by_name]))


@pytest.mark.parametrize("kind", KINDS)
def test_members_of_one_chunk_may_have_all_in_common(kind: str) -> None:
    chunk = [members()[1]] * 3
    arm = contender(torch.optim.Adam)
    assert_same(
        train_with(KINDS[kind], make_task(), arm, chunk, numerics()), loop.train(make_task(), arm, chunk, numerics())
    )


def test_single_precision_agrees_over_the_first_epochs() -> None:
    arm = contender(torch.optim.Adam)
    found = train_with(KINDS["eager"], make_task(), arm, members(), numerics("float32"))
    assert_same(found, loop.train(make_task(), arm, members(), numerics("float32")), rtol=1e-4)
