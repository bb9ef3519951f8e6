from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

Grads = Sequence[Sequence[Tensor | None]]


@pytest.fixture
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def new_parameters(seed: None) -> Callable[..., list[Tensor]]:
    """Fresh parameters, the same at each call: a matrix, a vector and a scalar."""

    def make(dtype: torch.dtype = torch.float32) -> list[Tensor]:
        generator = torch.Generator().manual_seed(1)
        shapes = [(4, 3), (5,), ()]
        return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]

    return make


@pytest.fixture
def new_gradients() -> Callable[..., list[list[Tensor]]]:
    """Gradients for ``new_parameters``, the same at each call, a list for each step, of very different norms."""

    def make(steps: int, dtype: torch.dtype = torch.float32) -> list[list[Tensor]]:
        generator = torch.Generator().manual_seed(2)
        shapes = [(4, 3), (5,), ()]
        scales = [10.0 ** (step % 5 - 2) for step in range(steps)]
        return [[torch.randn(shape, generator=generator, dtype=dtype) * scale for shape in shapes] for scale in scales]

    return make


@pytest.fixture
def run() -> Callable[..., list[Tensor]]:
    """Step through given gradients; returns copies of the parameters after the last step."""

    def go(optimizer: Optimizer, gradients: Grads, after: Callable[[], object] = lambda: None) -> list[Tensor]:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for step in gradients:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = None if gradient is None else gradient.clone()
            optimizer.step()
            after()
        return [p.detach().clone() for p in parameters]

    return go


@pytest.fixture
def norm() -> Callable[[Iterable[Tensor]], float]:
    """The L2 norm of tensors together, by numpy in double precision."""

    def of(tensors: Iterable[Tensor]) -> float:
        flat = [tensor.detach().resolve_conj().numpy().ravel() for tensor in tensors]
        return float(np.linalg.norm(np.concatenate(flat).astype(np.complex128)))

    return of
