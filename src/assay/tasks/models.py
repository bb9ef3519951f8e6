"""The networks of the suite's tasks. Torch is imported here, so tasks import this file when a model is made."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def linear(inputs: int, outputs: int) -> nn.Module:
    """inputs → outputs, with a bias."""
    return nn.Linear(inputs, outputs)


def mlp(width: int) -> nn.Module:
    """40 → width → 10, ReLU: the network of the original study."""
    return nn.Sequential(nn.Linear(40, width), nn.ReLU(), nn.Linear(width, 10))


def normalized_mlp(width: int) -> nn.Module:
    """64 → width, batch normalisation, ReLU, → 10."""
    return nn.Sequential(nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10))


def regressor(inputs: int, width: int) -> nn.Module:
    """inputs → width → width → 1, ReLU; outputs (n,)."""
    layers = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)]
    return nn.Sequential(*layers, nn.Flatten(0))


def convolutional(width: int) -> nn.Module:
    """Three convolutions of stride 2 over the 40 numbers, `width` channels each, then 5·width → 10 (the paper's network)."""
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 40))]
    for channels, side in ((1, 5), (width, 3), (width, 3)):
        layers += [nn.Conv1d(channels, width, side, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * width, 10))


class Recurrent(nn.Module):
    """A GRU's cell over 10 windows of 4 numbers, unrolled; all its states, side by side, → 10."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(4, width), nn.Linear(10 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, 10) of signals (n, 40)."""
        h, states = x.new_zeros(len(x), self.cell.hidden_size), []
        for window in x.unflatten(1, (10, 4)).unbind(1):
            h = self.cell(window, h)
            states.append(h)
        return self.head(torch.cat(states, 1))


class CharacterModel(nn.Module):
    """One pre-norm transformer block over characters: causal self-attention, then an MLP (Vaswani et al. 2017)."""

    def __init__(self, symbols: int, context: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.symbol, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        nn.init.zeros_(self.place.weight)
        self.before_attention, self.before_mlp, self.last = (nn.LayerNorm(width) for _ in range(3))
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, symbols)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, context, symbols) of what follows each of the symbols (n, context)."""
        h = self.symbol(x) + self.place.weight
        h = h + self.attention(self.before_attention(h))
        h = h + self.mlp(self.before_mlp(h))
        return self.head(self.last(h))

    def attention(self, h: Tensor) -> Tensor:
        """Causal attention over (n, context, width)."""
        split = (self.heads, h.shape[-1] // self.heads)
        query, key, value = (part.unflatten(-1, split).transpose(1, 2) for part in self.attend(h).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.project(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm transformer block: causal self-attention, then an MLP, each added to what it is given (n, context, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h: Tensor) -> Tensor:
        """(n, context, width), as it came in."""
        split = (self.heads, h.shape[-1] // self.heads)
        attended = self.attend(self.before_attention(h)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, split).transpose(1, 2) for part in attended)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        h = h + self.project(mixed.transpose(1, 2).flatten(2))
        return h + self.narrow(nn.functional.gelu(self.widen(self.before_mlp(h))))


class GPT(nn.Module):
    """A pre-norm GPT (Radford et al. 2019): embeddings, blocks, a last normalisation, and the embeddings again as its head."""

    def __init__(self, symbols: int, context: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.symbol, self.place = nn.Embedding(symbols, width), nn.Embedding(context, width)
        blocks = [Block(width, heads) for _ in range(depth)]
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.LayerNorm(width)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Embedding):
                nn.init.normal_(layer.weight, std=0.02)
            if isinstance(layer, nn.Linear):
                nn.init.zeros_(layer.bias)
        for block in blocks:  # as many of these are added up
            for layer in (block.project, block.narrow):
                nn.init.normal_(layer.weight, std=0.02 / (2 * depth) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, context, symbols) of what follows each of the symbols (n, context), or fewer than `context`."""
        h = self.symbol(x) + self.place.weight[: x.shape[1]]
        for block in self.blocks:
            h = block(h)
        return nn.functional.linear(self.last(h), self.symbol.weight)


def perceptron(inputs: int, width: int, depth: int, classes: int) -> nn.Module:
    """inputs → width, `depth` times with ReLU, → classes; without classes to one number, outputs (n,)."""
    sizes = [inputs, *[width] * depth]
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, classes or 1), *([] if classes else [nn.Flatten(0)]))


class Residual(nn.Module):
    """Two 3 × 3 convolutions with batch normalisation, added to what comes in (He et al. 2016); `stride` halves the sides."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, stride, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.after_first, self.after_second = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        same = before == width and stride == 1
        self.past = nn.Identity() if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, height / stride, …) of (n, before, height, …)."""
        h = torch.relu(self.after_first(self.first(x)))
        return torch.relu(self.after_second(self.second(h)) + self.past(x))


class ResNet(nn.Module):
    """A small residual network for pictures: `width`, 2 · width and 4 · width channels, a block each, then their means."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.stem, self.after_stem = nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        blocks = (Residual(width, width, 1), Residual(width, 2 * width, 2), Residual(2 * width, 4 * width, 2))
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of pictures (n, channels, height, width)."""
        h = self.blocks(torch.relu(self.after_stem(self.stem(x))))
        return self.head(h.mean((2, 3)))


class Point(nn.Module):
    """A point θ (size,) that starts at 0; its output for n samples is θ, n times over."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        """θ as (n, size)."""
        return self.theta.expand(len(x), -1)
