"""Models of every kind, stacked; and members that stay out of each other's way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from assay.core import Member
from assay.engine.train import train, train_with
from assay.training import loop

from .small import KINDS, assert_same, contender, make_task, members, numerics


class Unrolled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(2, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.head(h)


class Attending(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=dropout, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.block(self.embed(x)).mean(1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.b.weight = self.a.weight
        self.unused = nn.Parameter(torch.zeros(2))
        self.frozen = nn.Parameter(torch.ones(6), requires_grad=False)

    def forward(self, x):
        return self.head(torch.relu(self.b(torch.relu(self.a(x)))) * self.frozen)


chain = nn.Sequential
MODELS = {
    "convolution": (lambda: chain(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)), (2, 5)),
    "image": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)), (1, 6, 6)),
    "layer norm": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)), (6,)),
    "group norm": (lambda: chain(nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 3)), (2, 5)),
    "recurrence": (Unrolled, (5, 2)),
    "attention": (Attending, (5, 2)),
    "tied": (Tied, (6,)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_models_train_as_in_the_loop(name: str, kind: str) -> None:
    model, shape = MODELS[name]
    task, arm = make_task(model, shape, epochs=2), contender(torch.optim.Adam)
    assert_same(train_with(KINDS[kind], task, arm, members(), numerics()), loop.train(task, arm, members(), numerics()))


def dropping(p: float):
    return lambda: nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Dropout(p), nn.Linear(64, 3))


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_draws_each_member_masks_of_its_own(kind: str) -> None:
    one = members(1)[0]
    fields = {f: getattr(one, f) for f in one.__struct_fields__}
    same, other = Member(**fields), Member(**{**fields, "noise": 99})
    curves = train_with(
        KINDS[kind], make_task(dropping(0.5)), contender(torch.optim.SGD), [one, same, other], numerics()
    )
    np.testing.assert_allclose(curves.train_loss[0], curves.train_loss[1], rtol=1e-9)
    assert not np.isclose(curves.train_loss[0], curves.train_loss[2], rtol=1e-6).any()


def test_dropout_agrees_with_the_loop_in_distribution() -> None:
    """The same member under many noise seeds: mean losses agree within four standard errors of their difference."""
    one = members(1)[0]
    fields = {f: getattr(one, f) for f in one.__struct_fields__}
    chunk = [Member(**{**fields, "noise": s}) for s in range(40)]
    task, arm = make_task(dropping(0.5)), contender(torch.optim.SGD)
    a = train(task, arm, chunk, numerics()).train_loss[:, -1]
    b = loop.train(task, arm, chunk, numerics()).train_loss[:, -1]
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    assert abs(a.mean() - b.mean()) < 4 * error
    assert 0.5 < a.std() / b.std() < 2


def test_attention_with_dropout_runs() -> None:
    task = make_task(lambda: Attending(0.2), (5, 2), epochs=2)
    assert np.isfinite(train(task, contender(torch.optim.Adam), members(), numerics()).train_loss).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_diverged_member_disturbs_nobody(kind: str) -> None:
    task, arm = make_task(epochs=4), contender(torch.optim.SGD)
    wild = Member(0, "tune", 0, 1, {"lr": 1e200}, 1, 11, 21, 31)
    chunk = [members()[0], wild, members()[2]]
    found = train_with(KINDS[kind], task, arm, chunk, numerics())
    assert_same(found, loop.train(task, arm, chunk, numerics()))
    assert found.diverged.tolist() == [0, 1, 0]
    calm = train_with(KINDS[kind], task, arm, [chunk[0], chunk[0], chunk[2]], numerics())
    np.testing.assert_array_equal(found.train_loss[[0, 2]], calm.train_loss[[0, 2]])
    assert found.weights is not None
    assert calm.weights is not None
    np.testing.assert_array_equal(found.weights[[0, 2]], calm.weights[[0, 2]])


def test_a_branch_is_taken_as_the_members_that_are_left_agree() -> None:
    class Guarded(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            norm = sum(p.grad.square().sum() for p in self.param_groups[0]["params"])
            if norm >= 0:  # false for a member that diverged: NaN
                super().step()

    task, arm = make_task(epochs=4), contender(Guarded)
    chunk = [members()[0], Member(0, "tune", 0, 1, {"lr": 1e200}, 1, 11, 21, 31), members()[2]]
    expected = loop.train(task, arm, chunk, numerics())
    assert expected.diverged.tolist() == [0, 1, 0]
    assert_same(
        train(task, arm, [chunk[0], chunk[2]], numerics()), loop.train(task, arm, [chunk[0], chunk[2]], numerics())
    )
