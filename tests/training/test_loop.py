"""The reference engine against a loop written out by hand with torch alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from assay import seeds
from assay.contenders import contenders
from assay.core import Contender, Member, Numerics
from assay.errors import UsageError
from assay.space import Float
from assay.training import loop
from assay.training.data import load
from assay.workers import jobs

from .. import tiny

NUMERICS = Numerics("loop", False, 1, "float32", "cpu", 1, torch.__version__, "test")


def member(phase="final", index=0, **hyperparameters) -> Member:
    return Member(0, phase, 0, index, hyperparameters or {"lr": 0.01}, **seeds.of_member(0, "honest", 0, phase, index))


def by_hand(m: Member, make, epochs: int):
    """Mean loss, gradient norm, update norm and validation accuracy by epoch, the obvious way, in float32."""
    splits = tiny.clouds(m.split)
    assert splits.validation is not None
    x, y = (torch.from_numpy(a) for a in splits.train)
    vx, vy = (torch.from_numpy(a) for a in splits.validation)
    torch.manual_seed(m.init)
    model = tiny.network()
    optimizer = make(model.parameters())
    order = torch.Generator().manual_seed(m.batches)
    rows = []
    for _ in range(epochs):
        permutation = torch.randperm(100, generator=order)
        losses, grads, updates = [], [], []
        for start in range(0, 100, 32):
            batch = permutation[start : start + 32]
            before = nn.utils.parameters_to_vector(model.parameters()).detach().clone()
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            grads.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm().item())
            optimizer.step()
            updates.append((nn.utils.parameters_to_vector(model.parameters()) - before).norm().item())
            losses.append(loss.item())
        accuracy = (model(vx).argmax(1) == vy).double().mean().item()
        rows.append((np.mean(losses), np.mean(grads), np.mean(updates), accuracy))
    return np.array(rows).T


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.01)),
        ("sgd-momentum", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
        ("rmsprop", lambda p: torch.optim.RMSprop(p, lr=0.01)),
    ],
)
def test_equals_a_loop_written_by_hand(task, name, make):
    m = member()
    curves = loop.train(task, contenders([name, "adagrad"])[0], [m], NUMERICS)
    loss, grad, update, accuracy = by_hand(m, make, task.epochs)
    np.testing.assert_allclose(curves.train_loss[0], loss, rtol=1e-5)
    np.testing.assert_allclose(curves.grad_norm[0], grad, rtol=1e-5)
    np.testing.assert_allclose(curves.update_norm[0], update, rtol=1e-4)
    np.testing.assert_allclose(curves.validation[0], accuracy, atol=1e-12)
    assert curves.gradient_evaluations.tolist() == [8]
    assert curves.test is not None


def test_a_schedule_multiplies_each_groups_initial_rate(task):
    seen: list[float] = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            seen.append(self.param_groups[0]["lr"])
            return super().step(closure)

    watched = Contender(
        "w", lambda model, run, lr: Watched(model.parameters(), lr=lr), {"lr": Float(0.1, 1)}, schedule=lambda t: 1 - t
    )
    loop.train(task, watched, [member(lr=0.5)], NUMERICS)
    assert seen == pytest.approx([0.5 * (1 - t / 8) for t in range(8)])


def test_a_closure_is_given_where_asked_for_and_every_gradient_counted(task):
    class Twice(torch.optim.SGD):
        @torch.no_grad()
        def step(self, closure=None):
            assert closure is not None
            first, second = closure(), closure()
            assert torch.equal(first, second)
            super().step()
            return second

    twice = Contender(
        "t", lambda model, run, lr: Twice(model.parameters(), lr=lr), {"lr": Float(0.1, 1)}, closure="yes"
    )
    curves = loop.train(task, twice, [member(lr=0.1)], NUMERICS)
    assert curves.gradient_evaluations.tolist() == [16]
    plain = loop.train(task, contenders(["sgd", "adam"])[0], [member(lr=0.1)], NUMERICS)
    np.testing.assert_allclose(curves.validation, plain.validation)


def test_a_diverged_member_is_a_value_and_leaves_the_others_alone(task):
    sgd = contenders(["sgd", "adam"])[0]
    fine = member(index=1, lr=0.1)
    together = loop.train(task, sgd, [member(lr=1e30), fine], NUMERICS)
    alone = loop.train(task, sgd, [fine], NUMERICS)
    assert together.diverged.tolist()[0] > 0
    assert together.diverged.tolist()[1] == 0
    assert np.isnan(together.validation[0, -1])
    np.testing.assert_array_equal(together.validation[1], alone.validation[0])


def test_tuning_never_sees_the_test_split(task):
    """A trial's curves hold no test score, and its weights give the very score that training to the end would."""
    adam = contenders(["adam", "sgd"])[0]
    tuned = member("tune")
    curves = loop.train(task, adam, [tuned], NUMERICS)
    assert curves.test is None
    assert curves.weights is not None
    later = loop.score_weights(task, [tuned], curves.weights, NUMERICS)
    same = Member(**{**{f: getattr(tuned, f) for f in Member.__struct_fields__}, "phase": "final"})
    final = loop.train(task, adam, [same], NUMERICS)
    assert final.test is not None
    assert later[0] == final.test[0, -1]


def test_the_global_generator_is_left_alone(task):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    loop.train(task, contenders(["adam", "sgd"])[0], [member()], NUMERICS)
    assert torch.equal(torch.rand(4), expected)


class Late(nn.Module):
    """Writes to what it is evaluated on, or trained on, from its third batch on."""

    def __init__(self, training: bool) -> None:
        super().__init__()
        self.layer, self.wanted, self.count = nn.Linear(4, 2), training, 0

    def forward(self, x):
        if self.training == self.wanted:
            self.count += 1
        return self.layer(x.sub_(0.3) if self.count > 2 and self.training == self.wanted else x)


class LateAndUnseen(Late):
    """Does so in a way that torch counts as no write."""

    def forward(self, x):
        if self.training == self.wanted:
            self.count += 1
            if self.count > 2:
                x.numpy()[:] -= 0.3
        return self.layer(x)


def test_data_that_changed_in_a_way_of_its_own_ends_its_chunk():
    (adam,) = contenders(["adam"])
    m = member(lr=0.01)
    task = tiny.task(model=lambda: LateAndUnseen(False), epochs=4)
    packed = jobs.pack(task), jobs.pack(adam)
    with pytest.raises(UsageError, match=r"its model, its loss or its metric writes to the inputs"):
        jobs.train_chunk(*packed, [m], NUMERICS)
    jobs.train_chunk(jobs.pack(tiny.task()), packed[1], [m], NUMERICS)


@pytest.mark.parametrize("training", [True, False])
def test_data_that_a_model_writes_to_is_not_used_again(training):
    (adam,) = contenders(["adam"])
    m = member(lr=0.01)
    task = tiny.task(model=lambda: Late(training), epochs=3)
    before = [t.clone() for t in load(task, m.split).test]
    with pytest.raises(UsageError, match="task clouds: its model writes to the inputs or targets that it is given"):
        loop.train(task, adam, [m], NUMERICS)
    assert all(map(torch.equal, load(task, m.split).test, before))
