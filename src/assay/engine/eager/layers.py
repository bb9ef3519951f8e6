"""Layers by their definitions, where torch's own have no batching rule or a slow one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, pad


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any) -> Tensor:
    """A convolution without groups over the last `weight.dim() - 2` dimensions of x (batch, channels, …).

    Every tap of the kernel is a slice of x; the weights as a matrix, times the slices side by side, are the outputs: with
    weights for each member, torch's own would be a grouped one, whose kernels are slow for few channels.
    """
    sides = weight.shape[2:]
    n = len(sides)
    stride, padding, dilation = (_each(v, n) for v in (stride, padding, dilation))
    x = x.movedim(0, -1)  # samples side by side: whatever the stride, a tap is made of whole rows of them
    if any(padding):
        x = pad(x, [0, 0, *(p for side in reversed(padding) for p in (side, side))])
    sizes = [(x.shape[1 + i] - dilation[i] * (sides[i] - 1) - 1) // stride[i] + 1 for i in range(n)]
    taps: list[Tensor] = []
    for offsets in product(*map(range, sides)):
        tap = x
        for i, offset in enumerate(offsets):
            start = offset * dilation[i]
            tap = tap[(slice(None),) * (1 + i) + (slice(start, start + stride[i] * (sizes[i] - 1) + 1, stride[i]),)]
        taps.append(tap)
    columns = torch.stack(taps, dim=1)  # (channels, taps, …, batch), the order of the weights
    columns = columns.reshape(weight[0].numel(), -1)
    outputs = weight.reshape(weight.shape[0], -1) @ columns
    if bias is not None:
        outputs = outputs + bias.unsqueeze(-1)
    return outputs.reshape(weight.shape[0], *sizes, x.shape[-1]).movedim(-1, 0)


def _each(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) * (n if len(value) == 1 else 1) if isinstance(value, tuple | list) else (value,) * n


def _gates(
    x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor | None = None, b_h: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    return linear(x, w_x, b_x), linear(h, w_h, b_h)


def _gru_cell(x: Tensor, h: Tensor, *weights: Any) -> Tensor:
    """A GRU's next hidden state (Cho et al. 2014), as `torch.nn.GRUCell` defines it."""
    from_x, from_h = _gates(x, h, *weights)
    (r_x, z_x, n_x), (r_h, z_h, n_h) = from_x.chunk(3, -1), from_h.chunk(3, -1)
    reset, update = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    new = torch.tanh(n_x + reset * n_h)
    return new + update * (h - new)


def _lstm_cell(x: Tensor, state: Any, *weights: Any) -> tuple[Tensor, Tensor]:
    """An LSTM's next hidden and cell states (Hochreiter & Schmidhuber 1997), as `torch.nn.LSTMCell` defines them."""
    h, c = state
    into, forget, cell, out = torch.add(*_gates(x, h, *weights)).chunk(4, -1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(into) * torch.tanh(cell)
    return torch.sigmoid(out) * torch.tanh(c), c


CELLS: dict[str, Callable[..., Any]] = {
    "gru_cell": _gru_cell,
    "lstm_cell": _lstm_cell,
    "rnn_tanh_cell": lambda *given: torch.tanh(torch.add(*_gates(*given))),
    "rnn_relu_cell": lambda *given: torch.relu(torch.add(*_gates(*given))),
}


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """v / ‖v‖ · g, the norm over all but `dim` (over all for -1), as `torch._weight_norm` defines it."""
    others = [i for i in range(v.dim()) if i != dim]
    return v * (g / torch.linalg.vector_norm(v, dim=others, keepdim=dim != -1))


def adaptive_average(x: Tensor, output_size: Any) -> Tensor:
    """Means over as many windows of the last dimension, which overlap where its length can't be shared out."""
    (n,), length = _each(output_size, 1), x.shape[-1]
    n = length if n is None else n
    return torch.stack([x[..., i * length // n : -(-(i + 1) * length // n)].mean(-1) for i in range(n)], -1)


DEFINED: dict[str, Callable[..., Any]] = {
    **CELLS,
    "_weight_norm": weight_norm,
    "adaptive_avg_pool1d": adaptive_average,
}
