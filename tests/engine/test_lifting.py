"""Numbers that are tensors follow Python's arithmetic; operations that want Python numbers take tensors."""

from __future__ import annotations

import math
import operator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engine.eager.optimizer_mode import OptimizerMode
from assay.engine.eager.python_numbers import as_number
from assay.engine.torch_private import batched, expanded, vmap_level

BINARY = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "<": operator.lt, ">=": operator.ge, "==": operator.eq, "**": operator.pow,
    "max": lambda a, b: max(a, b), "min": lambda a, b: min(a, b), "hypot": lambda a, b: math.hypot(a, b),
    "+=": operator.iadd, "*=": operator.imul,
    "sqrt": lambda a, b: math.sqrt(abs(a)) * b,
    "decay": lambda a, b: 1 - 0.9 ** abs(a) + 0 * b,
}  # fmt: skip
NUMBERS = st.integers(-9, 9) | st.floats(-9, 9).filter(lambda x: x == 0 or abs(x) > 1e-3)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(BINARY)), st.lists(NUMBERS, min_size=2, max_size=2), NUMBERS)
def test_numbers_follow_pythons_arithmetic(name: str, own: list[float], other: float) -> None:
    function = BINARY[name]
    if len({type(o) for o in own}) > 1:
        own = [float(o) for o in own]
    try:
        expected = [function(o, other) for o in own]
    except (ZeroDivisionError, OverflowError):
        return
    if any(isinstance(e, complex) for e in expected):
        return
    if name == "**" and isinstance(other, int) and other < 0 and isinstance(own[0], int):
        return  # Python makes a float of it; torch refuses, and the member's chunk goes to the loop
    dtype = torch.int64 if isinstance(own[0], int) else torch.float64
    with vmap_level(2) as level:
        mode = OptimizerMode(2, level, {})
        mine = as_number(batched(torch.tensor(own, dtype=dtype), level))
        with mode:
            result = function(mine, other)
            kept = mine * 1
        values = expanded(result, 2).tolist() if isinstance(result, torch.Tensor) else [result] * 2
        assert expanded(kept, 2).tolist() == own
    assert values == pytest.approx(expected, rel=1e-12)


def test_a_number_meets_a_tensor_as_a_python_number_does() -> None:
    own, x = [0.1, 0.3], torch.linspace(-1, 1, 5)
    for function in (
        lambda x, n: x * n,
        lambda x, n: torch.add(x, x.square(), alpha=n),
        lambda x, n: torch.addcdiv(x, x, 2 + x, value=n),
        lambda x, n: torch.addcmul(x, x, x, value=n),
        lambda x, n: torch.lerp(x, x.square(), n),
        lambda x, n: x.clamp(min=-n, max=0.5),
        lambda x, n: torch.where(x > n, n, x),
        lambda x, n: torch.full_like(x, n) + torch.full((5,), n),
        lambda x, n: torch._foreach_mul([x, x], n)[1],
        lambda x, n: x.clone().masked_fill_(x > 0, n),
        lambda x, n: torch.tensor(n) + x,
        lambda x, n: torch.pow(1 + x.abs(), n),
    ):
        expected = torch.stack([function(x, n) for n in own])
        with vmap_level(2) as level:
            mine = as_number(batched(torch.tensor(own, dtype=torch.float64), level))
            with OptimizerMode(2, level, {}):
                result = function(batched(x.repeat(2, 1), level), mine)
            found = expanded(result, 2)
        assert found.dtype is expected.dtype
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
