"""Half precision inside an optimizer (Muon's orthogonalization) is rounded where torch rounds it, to the bit.

The oracle is torch itself, one member at a time. Anything else is found again a thousand times larger in the weights.
"""

from __future__ import annotations

import pytest
import torch

from assay.contenders import contenders
from assay.engine.eager.optimizer_mode import OptimizerMode
from assay.engine.eager.python_numbers import as_number
from assay.engine.torch_private import batched, expanded, vmap_level
from assay.engine.train import train_with
from assay.training import loop

from .small import KINDS, assert_same, make_task, members, numerics

WIDTH = 8
NUMBERS = {
    "mul": lambda x, n: x * n,
    "mul_": lambda x, n: x.clone().mul_(n),
    "div": lambda x, n: x / n,
    "rdiv": lambda x, n: n / x,
    "add": lambda x, n: x + n,
    "sub_": lambda x, n: x.clone().sub_(n),
    "lerp": lambda x, n: x.lerp(x.sin(), n),
    "addcmul": lambda x, n: x.addcmul(x, x.sin(), value=n),
    "addcdiv": lambda x, n: x.addcdiv(x, 2 + x.abs(), value=n),
    "compare": lambda x, n: x > n,
    "into double": lambda x, n: x.double().add_(x, alpha=n),
}
PRODUCTS = {
    "mm": lambda x: x @ x.mT,
    "addmm": lambda x: torch.addmm(x @ x.mT, x, x.mT, beta=-4.775, alpha=2.0315),
    "out": lambda x: torch.addmm(x @ x.mT, x, x.mT, beta=0.3, out=torch.empty(*x.shape[:-1], x.shape[-2], dtype=x.dtype)),
    "norm": lambda x: x / x.norm().clamp(min=1e-7),
}  # fmt: skip


def members_of(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.randn(WIDTH, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_meet_half_precision_as_python_numbers_do(name: str, dtype: torch.dtype) -> None:
    x = members_of(dtype, 40, 5)
    own = torch.rand(WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([NUMBERS[name](row, float(n)) for row, n in zip(x, own, strict=True)])
    with vmap_level(WIDTH) as level, OptimizerMode(WIDTH, level, {}):
        result = NUMBERS[name](batched(x, level), as_number(batched(own, level)))
    with vmap_level(WIDTH):
        found = expanded(result, WIDTH)
    assert found.dtype is expected.dtype
    if found.dtype is torch.float64:
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    else:  # torch's kernel may fuse a product and a sum, which shows in single precision and seldom through a rounding
        assert (found == expected).float().mean() > 0.998


@pytest.mark.parametrize("shape", [(5, 16), (40, 256)])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_torchs_to_the_bit(name: str, shape: tuple[int, int]) -> None:
    x = members_of(torch.bfloat16, *shape)
    expected = torch.stack([PRODUCTS[name](row) for row in x])
    with vmap_level(WIDTH) as level, OptimizerMode(WIDTH, level, {}):
        result = PRODUCTS[name](batched(x, level))
    with vmap_level(WIDTH):
        torch.testing.assert_close(expanded(result, WIDTH), expected, rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_muon_gives_the_loops_numbers(kind: str) -> None:
    (arm, _) = contenders(["muon=tests/engine/small.py:muon", "adam"])
    task = make_task(epochs=5)
    assert_same(
        train_with(KINDS[kind], task, arm, members(), numerics()),
        loop.train(task, arm, members(), numerics()),
        rtol=1e-8,
    )
