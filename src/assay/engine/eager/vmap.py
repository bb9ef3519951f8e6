"""One level of `torch.func.vmap`, entered and left by hand, so that an optimizer can keep batched tensors between steps.

A batched tensor looks like one member's tensor and is all members': dimension 0 of the *physical* tensor behind it
counts the members. Its wrapper remembers only its level's number, so it lives on when the level is left and entered again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch import func as _func
from torch._C import _functorch  # type: ignore[attr-defined]  # the primitives that torch.func.vmap itself is made of


@contextlib.contextmanager
def level(width: int) -> Iterator[int]:
    """Members 0..width−1 are mapped over inside. An operation without a batching rule is an error, not a slow loop."""
    _load_decompositions()
    fallback = _functorch._is_vmap_fallback_enabled()
    _functorch._set_vmap_fallback_enabled(False)
    number = _functorch._vmap_increment_nesting(width, "error")
    try:
        yield number
    finally:
        _functorch._vmap_decrement_nesting()
        _functorch._set_vmap_fallback_enabled(fallback)


@functools.cache
def _load_decompositions() -> None:
    """Let torch register the batching rules that it writes in Python: its own vmap does so when first called."""
    _func.vmap(torch.neg)(torch.zeros(1))


def wrap(physical: Tensor, number: int) -> Tensor:
    """(members, …) → one member's (…), inside level `number`."""
    return _functorch._add_batch_dim(physical, 0, number)


def is_batched(tensor: Tensor) -> bool:
    """Whether each member has a value of its own."""
    return _functorch.is_batchedtensor(tensor)


def physical(tensor: Tensor) -> Tensor:
    """The tensor behind, members first where it is batched; it shares memory, so what is written shows."""
    if not is_batched(tensor):
        return tensor
    behind, dimension = _functorch.get_unwrapped(tensor), _functorch.maybe_get_bdim(tensor)
    return behind if dimension == 0 else behind.movedim(dimension, 0)


def spread(tensor: Tensor, width: int) -> Tensor:
    """As `physical`, and (members, …) for what all members share too."""
    behind = physical(tensor)
    return behind if is_batched(tensor) else behind.expand(width, *behind.shape)
