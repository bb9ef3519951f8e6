"""Recurrent cells by their definitions: torch's fused ones have no batching rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear


def _gates(
    x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor | None, b_h: Tensor | None
) -> tuple[Tensor, Tensor]:
    return linear(x, w_x, b_x), linear(h, w_h, b_h)


def gru_cell(
    x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor | None = None, b_h: Tensor | None = None
) -> Tensor:
    """A GRU's next hidden state (Cho et al. 2014), as `torch.nn.GRUCell` defines it."""
    from_x, from_h = _gates(x, h, w_x, w_h, b_x, b_h)
    (r_x, z_x, n_x), (r_h, z_h, n_h) = from_x.chunk(3, -1), from_h.chunk(3, -1)
    reset, update = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    new = torch.tanh(n_x + reset * n_h)
    return new + update * (h - new)


def lstm_cell(
    x: Tensor, state: Any, w_x: Tensor, w_h: Tensor, b_x: Tensor | None = None, b_h: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """An LSTM's next hidden and cell states (Hochreiter & Schmidhuber 1997), as `torch.nn.LSTMCell` defines them."""
    h, c = state
    from_x, from_h = _gates(x, h, w_x, w_h, b_x, b_h)
    into, forget, cell, out = (from_x + from_h).chunk(4, -1)
    c = torch.sigmoid(forget) * c + torch.sigmoid(into) * torch.tanh(cell)
    return torch.sigmoid(out) * torch.tanh(c), c


def _plain(activation: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def cell(
        x: Tensor, h: Tensor, w_x: Tensor, w_h: Tensor, b_x: Tensor | None = None, b_h: Tensor | None = None
    ) -> Tensor:
        from_x, from_h = _gates(x, h, w_x, w_h, b_x, b_h)
        return activation(from_x + from_h)

    return cell


CELLS: dict[str, Callable[..., Any]] = {
    "gru_cell": gru_cell,
    "lstm_cell": lstm_cell,
    "rnn_tanh_cell": _plain(torch.tanh),
    "rnn_relu_cell": _plain(torch.relu),
}
