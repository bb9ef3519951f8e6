"""The norm that the step divides by, read off the rate at which the base steps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.optim import GradNormScaled


class Noted(torch.optim.Optimizer):
    """Moves nothing, and notes the rate at which it was asked to."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})
        self.noted = []

    def step(self, closure=None):
        self.noted.append(self.param_groups[0]["lr"])


def used_norm(gradients):
    """The norm behind a step: with lr 1 and power -1 the base steps at a rate that is the norm."""
    parameters = [torch.zeros_like(g).requires_grad_() for g in gradients]
    optimizer = GradNormScaled(parameters, Noted, power=-1.0, lr=1.0)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimizer.step()
    assert isinstance(optimizer.base, Noted)
    return optimizer.base.noted[0]


def by_numpy(gradients):
    return np.linalg.norm(np.concatenate([g.to(torch.complex128).numpy().ravel() for g in gradients]))


@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=5),
    dtypes=st.lists(st.sampled_from([torch.float32, torch.float64, torch.complex64, torch.bfloat16]), min_size=5),
    seed=st.integers(0, 99),
)
def test_norm_of_any_shapes_and_dtypes_together(shapes, dtypes, seed):
    torch.manual_seed(seed)
    gradients = [torch.randn(shape, dtype=dtype) * 30 for shape, dtype in zip(shapes, dtypes, strict=False)]
    np.testing.assert_allclose(used_norm(gradients), by_numpy(gradients) or 1.0, rtol=1e-5)  # 0: the rate stays


@pytest.mark.parametrize("shape", [(65_535,), (65_536,), (65_537,), (300, 700), (64, 3, 33, 33), (3_000_000,)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.bfloat16], ids=str)
def test_norm_of_a_long_gradient(shape, dtype):
    torch.manual_seed(0)
    gradients = [torch.randn(shape, dtype=dtype), torch.randn(10)]
    np.testing.assert_allclose(used_norm(gradients), by_numpy(gradients), rtol=1e-5)


def test_norm_of_a_long_gradient_that_is_not_contiguous():
    torch.manual_seed(0)
    gradients = [torch.randn(300, 700).t(), torch.randn(4, 8, 60, 60).to(memory_format=torch.channels_last)]
    np.testing.assert_allclose(used_norm(gradients), by_numpy(gradients), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("length", [4, 100_000])
def test_the_norm_of_half_precision_gradients_may_exceed_their_range(dtype, length):
    gradients = [torch.full((length,), 60_000.0, dtype=dtype)]
    np.testing.assert_allclose(used_norm(gradients), by_numpy(gradients), rtol=1e-5)
