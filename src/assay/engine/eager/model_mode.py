"""Losses and gradients of all members at once: the model under one vmap level, then one backward pass."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from assay.core import Task
from assay.engine.eager.layers import DEFINED, convolve
from assay.engine.eager.patching import PatchingMode
from assay.engine.refusal import NotVectorizable, hands_on
from assay.engine.torch_private import batched, expanded, physical, vmap_level
from assay.training.step import own_randomness

Site = tuple[tuple[int, ...], float]  # a dropout's mask: its shape and the probability to drop


class ModelMode(PatchingMode):
    """Around a model: dropout multiplies by masks it is given; attention and recurrent cells are their definitions.

    `mask(shape, probability)` gives the next mask, already scaled by 1 / (1 − probability). Inside a function that torch
    writes in Python the mode is off, so torch.nn.functional's own names are replaced too.
    """

    def __init__(self, mask: Callable[[tuple[int, ...], float], Tensor]) -> None:
        super().__init__()
        self.mask = mask

    def replacements(self) -> dict[tuple[ModuleType, str], Callable[..., Any]]:
        """What functions of torch's may call."""
        names = (*DROPOUTS, *_REFUSED_NAMES, _ATTENTION)
        return {(F, name): functools.partial(self.run, getattr(F, name), name) for name in names}

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        if func == _RECORDED:  # which a batched tensor doesn't tell
            return physical(args[0]).requires_grad
        return self.run(func, getattr(func, "__name__", ""), *args, **(kwargs or {}))

    @hands_on
    def run(self, func: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """One of torch's functions."""
        if name in DROPOUTS:
            return self.dropout(*args, whole=DROPOUTS[name], **kwargs)
        if name in _REFUSED_NAMES:
            raise NotVectorizable(f"the model uses {name}, whose random draws can't be made for each member")
        if name in _CONVOLUTIONS:
            return self.convolution(func, *args, **kwargs)
        if name == _ATTENTION:
            return self.attention(*args, **kwargs)
        if name == "embedding":
            return self.embedding(func, *args, **kwargs)
        if name in _HOOKING or func in _SETTERS:
            raise NotVectorizable(f"the model hooks, frees or freezes a tensor as it runs ({name.strip('_')})")
        if isinstance(out := kwargs.get("out"), Tensor):
            return out.copy_(self.run(func, name, *args, **{**kwargs, "out": None}))
        return (DEFINED.get(name) or func)(*args, **kwargs)

    def dropout(self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, whole: int) -> Tensor:
        """`whole`: channels are dropped as a whole over their last `whole` dimensions."""
        if not training or p == 0.0:
            return x
        mask = self.mask((*x.shape[: x.dim() - whole], *(1,) * whole), p)
        return x.mul_(mask) if inplace else x * mask

    def convolution(
        self,
        func: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        """As products where that is quicker, with few channels and taps whose patches stay in a cache; elsewhere as it is."""
        taps, places = weight[0].numel(), input.shape[0] * math.prod(input.shape[2:])  # of outputs fewer, with a stride
        small = taps <= 512 and taps * places <= MOST_PATCHES
        if small and groups == 1 and not isinstance(padding, str) and input.dim() == weight.dim():
            return convolve(input, weight, bias, stride, padding, dilation)
        return func(input, weight, bias, stride, padding, dilation, groups)

    def embedding(
        self,
        func: Any,
        input: Tensor,
        weight: Tensor,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Tensor:
        """Rows of a table; that of `padding_idx` gets no gradient, which torch's batching rule heeds for member 0 alone."""
        if max_norm is not None or scale_grad_by_freq or sparse:
            raise NotVectorizable("the model uses an embedding with max_norm, scale_grad_by_freq or sparse gradients")
        rows = func(input, weight)
        if padding_idx is None:
            return rows
        padded = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
        return torch.where(padded, rows.detach(), rows)

    def attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """softmax(QKᵀ·scale + mask) V: the definition torch documents; the fused kernels have no batching rule."""
        if enable_gqa:
            raise NotVectorizable("the model uses grouped-query attention")
        scores = (query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)) @ key.transpose(-2, -1)
        if is_causal:
            attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        if attn_mask is not None:
            masked = attn_mask.dtype is torch.bool
            scores = scores.masked_fill(~attn_mask, -math.inf) if masked else scores + attn_mask
        if attn_mask is None:
            weights = scores.softmax(-1)
        else:  # a row that sees nothing is zero to torch, and passes no gradient on
            blind = (scores == -math.inf).all(-1, keepdim=True)
            weights = scores.masked_fill(blind, 0.0).softmax(-1).masked_fill(blind, 0.0)
        return self.dropout(weights, dropout_p, whole=0) @ value


_RECORDED = Tensor.requires_grad.__get__  # type: ignore[attr-defined]
_HOOKING = ("register_hook", "register_post_accumulate_grad_hook", "retain_grad", "requires_grad_")
_SETTERS = (Tensor.requires_grad.__set__, Tensor.data.__set__, Tensor.grad.__set__)  # type: ignore[attr-defined]
MOST_PATCHES = 2**19  # numbers; from 1.2 million on torch's own convolution took half the time, at 0.6 million as long
_CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
_ATTENTION = "scaled_dot_product_attention"
DROPOUTS = {"dropout": 0, "dropout1d": 1, "dropout2d": 2, "dropout3d": 3}
_REFUSED_NAMES = ("alpha_dropout", "feature_alpha_dropout", "rrelu", "gumbel_softmax")


def dropout_sites(model: nn.Module, x: Tensor) -> list[Site]:
    """What masks one training step on a batch like `x` needs, in the order the model asks for them."""
    sites: list[Site] = []

    def mask(shape: tuple[int, ...], probability: float) -> Tensor:
        sites.append((shape, probability))
        return torch.ones(shape, dtype=x.dtype, device=x.device)

    probe = copy.deepcopy(model).train()
    with own_randomness(), torch.no_grad(), ModelMode(mask):
        probe(x)
    return sites


class Masks(list[Tensor]):
    """Masks (members, …) in the order the model asks for them, and the `sites` that they were drawn for."""

    sites: Sequence[Site] = ()


class Dropout:
    """The masks of a model's steps, each member's from a generator of its own, which has one of the `seeds`."""

    def __init__(self, model: nn.Module, seeds: Sequence[int]) -> None:
        self.model, self.seeds = model, seeds
        self.sites: dict[int, list[Site]] = {}  # by the size of a batch
        self.generators: list[torch.Generator] = []

    def __call__(self, x: Tensor) -> Masks:
        """A mask (members, …) for each site of the next step, on a batch x (members, batch, …)."""
        drawn, size = Masks(), x.shape[1]
        if size not in self.sites:
            self.sites[size] = dropout_sites(self.model, x[0])
        drawn.sites = self.sites[size]
        if drawn.sites and not self.generators:
            self.generators = [torch.Generator(device=x.device).manual_seed(seed) for seed in self.seeds]
        for shape, probability in drawn.sites:
            mask = torch.empty((len(self.seeds), *shape), dtype=x.dtype, device=x.device)
            for row, generator in zip(mask, self.generators, strict=True):
                row.bernoulli_(1 - probability, generator=generator)
            drawn.append(mask.div_(1 - probability) if probability < 1 else mask)
        return drawn


def losses_and_gradients(
    task: Task,
    model: nn.Module,
    weights: Mapping[str, Tensor],
    trained: Sequence[str],
    x: Tensor,
    y: Tensor,
    masks: Sequence[Tensor] = (),
) -> tuple[Tensor, list[Tensor | None]]:
    """Loss (members,) and the gradients of the `trained` weights, each (members, …), None where the loss lacks it.

    `weights` holds every parameter and buffer by name, members first; buffers (running statistics) are updated in place.
    """
    width = len(x)
    leaves = {name: weights[name].detach().requires_grad_() for name in trained}
    with vmap_level(width) as level, _masked(masks, level), torch.enable_grad():
        inner = {name: batched(leaves.get(name, tensor), level) for name, tensor in weights.items()}
        before = dict(inner)
        losses = expanded(task.loss(functional_call(model, inner, (batched(x, level),)), batched(y, level)), width)
        if replaced := [name for name, tensor in inner.items() if tensor is not before[name]]:
            raise NotVectorizable(f"the model replaces its buffer {replaced[0]} instead of changing its values")
    if losses.shape != (width,):
        raise NotVectorizable(f"the task's loss isn't a single number: shape {tuple(losses.shape[1:])}")
    gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
    # laid out in memory as its weight is, as `backward` does it: an optimizer may take views
    return losses.detach(), [
        g if g is None or g.stride() == weights[name].stride() else torch.empty_like(weights[name]).copy_(g)
        for name, g in zip(trained, gradients, strict=True)
    ]


@contextlib.contextmanager
def _masked(masks: Sequence[Tensor], level: int) -> Iterator[None]:
    given = iter(zip(masks, getattr(masks, "sites", [None] * len(masks)), strict=True))

    def mask(shape: tuple[int, ...], probability: float) -> Tensor:
        drawn, site = next(given, (None, None))
        if drawn is None or site not in (None, (shape, probability)):
            raise NotVectorizable("the model's dropout changes as it trains")
        return batched(drawn, level)

    with ModelMode(mask):
        yield


@torch.no_grad()
def outputs_of(model: nn.Module, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The model's outputs (members, n, …) on inputs (members, n, …)."""
    width = len(x)
    with vmap_level(width) as level, _masked((), level):
        inner = {name: batched(tensor, level) for name, tensor in weights.items()}
        return expanded(functional_call(model, inner, (batched(x, level),)), width)
