"""Convolutions as products of matrices: what a convolution with weights for each member would be is a grouped one,
whose kernels are slow for the few channels of a small model.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any) -> Tensor:
    """A convolution without groups over the last `weight.dim() - 2` dimensions of x (batch, channels, …).

    Every tap of the kernel is a slice of x; the slices side by side, times the weights as a matrix, are the outputs.
    """
    sides = weight.shape[2:]
    n = len(sides)
    stride, padding, dilation = (_each(v, n) for v in (stride, padding, dilation))
    if any(padding):
        x = pad(x, [p for side in reversed(padding) for p in (side, side)])
    sizes = [(x.shape[2 + i] - dilation[i] * (sides[i] - 1) - 1) // stride[i] + 1 for i in range(n)]
    taps: list[Tensor] = []
    for offsets in product(*map(range, sides)):
        tap = x
        for i, offset in enumerate(offsets):
            start = offset * dilation[i]
            tap = tap[(slice(None),) * (2 + i) + (slice(start, start + stride[i] * (sizes[i] - 1) + 1, stride[i]),)]
        taps.append(tap)
    columns = torch.stack(taps, dim=2)  # (batch, channels, taps, …), the order of the weights
    columns = columns.movedim((1, 2), (-2, -1)).reshape(-1, weight[0].numel())
    outputs = columns @ weight.reshape(weight.shape[0], -1).mT
    if bias is not None:
        outputs = outputs + bias
    return outputs.reshape(x.shape[0], *sizes, weight.shape[0]).movedim(-1, 1)


def small(weight: Tensor) -> bool:
    """Whether products are the quicker way: few channels and few taps."""
    return weight[0].numel() <= 512


def _each(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) * (n if len(value) == 1 else 1) if isinstance(value, tuple | list) else (value,) * n
