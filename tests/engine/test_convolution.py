"""A convolution as a product of matrices is torch's convolution."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.engine.eager.layers import convolve

STEP = st.integers(1, 3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), STEP, st.integers(0, 2), STEP, st.booleans(), st.sampled_from([1, 2]))
def test_is_torchs_convolution(
    channels: int, side: int, stride: int, padding: int, dilation: int, biased: bool, n: int
) -> None:
    generator = torch.Generator().manual_seed(channels + 10 * side)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, weight = draw(2, channels, *(8, 7)[:n]), draw(4, channels, *(side, side)[:n])
    bias = draw(4) if biased else None
    torchs = torch.nn.functional.conv1d if n == 1 else torch.nn.functional.conv2d
    expected = torchs(x, weight, bias, stride, padding, dilation)
    torch.testing.assert_close(convolve(x, weight, bias, stride, padding, dilation), expected, rtol=1e-10, atol=1e-12)
