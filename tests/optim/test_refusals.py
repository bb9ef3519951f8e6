"""What is not supported says so, and says what to do."""

import math

import pytest
import torch

from assay.optim import GNSAdam, GradNormScaled


@pytest.fixture
def theta():
    return torch.zeros(3, requires_grad=True)


def test_sparse_gradients():
    embedding = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = GNSAdam(embedding.parameters(), lr=0.1)
    embedding(torch.tensor([1, 3])).sum().backward()
    with pytest.raises(RuntimeError, match=r"sparse.*build the layer with sparse=False"):
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_sharded_gradients(theta):
    class Shard(torch.Tensor):
        def full_tensor(self): ...

    theta.grad = torch.ones(3).as_subclass(Shard)
    with pytest.raises(RuntimeError, match="DTensor"):
        GNSAdam([theta]).step()


def test_a_base_that_needs_the_closure(theta):
    with pytest.raises(TypeError, match=r"LBFGS.step\(\) needs closure"):
        GradNormScaled([theta], torch.optim.LBFGS, lr=1.0)


def test_a_base_without_a_rate(theta):
    class NoRate(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {})

        def step(self, closure=None): ...

    class OwnRate(torch.optim.SGD):
        def __init__(self, params):
            super().__init__(params)
            self.param_groups[0]["lr"] = None

    for base in (NoRate, OwnRate):
        with pytest.raises(ValueError, match=f"{base.__name__} has no numeric lr"):
            GradNormScaled([theta], base)


def test_a_base_that_sets_its_rate_itself(theta):
    class Anneals(torch.optim.SGD):
        def step(self, closure=None):
            super().step()
            self.param_groups[0]["lr"] *= 0.9

    optimizer = GradNormScaled([theta], Anneals, lr=0.1)
    theta.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match=r'Anneals changes group\["lr"\]'):
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_an_instance_as_the_base(theta):
    with pytest.raises(TypeError, match=r"must be a class such as torch.optim.SGD, not 'SGD'"):
        GradNormScaled([theta], torch.optim.SGD([theta]))  # pyright: ignore[reportArgumentType]


def test_a_base_that_is_no_optimizer(theta):
    with pytest.raises(TypeError, match=r"must make a torch.optim.Optimizer, not 'list'"):
        GradNormScaled([theta], list)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("power", [math.nan, math.inf])
def test_a_power_that_is_not_finite(power, theta):
    with pytest.raises(ValueError, match="power must be finite"):
        GNSAdam([theta], power=power)


@pytest.mark.parametrize("power", ["1", None, torch.tensor(1.0)])
def test_a_power_that_is_no_number(power, theta):
    with pytest.raises(TypeError, match="power must be a number"):
        GNSAdam([theta], power=power)


def test_differentiable(theta):
    with pytest.raises(ValueError, match="differentiable=True is not supported"):
        GNSAdam([theta], differentiable=True)


def test_what_torch_refuses_is_refused(theta):
    with pytest.raises(ValueError, match="empty parameter list"):
        GNSAdam([])
    with pytest.raises(ValueError, match="Invalid learning rate"):
        GNSAdam([theta], lr=-1.0)
    with pytest.raises(ValueError, match="more than one parameter group"):
        GNSAdam([theta]).add_param_group({"params": [theta]})
    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        GNSAdam([theta], fused=True, foreach=True)
