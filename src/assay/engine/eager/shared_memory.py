"""Tensors that are one memory in torch: a population would part them, so that what is kept must be changed by itself alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from assay.engine.eager.object_graph import Leaf
from assay.engine.eager.python_numbers import is_number
from assay.engine.refusal import NotVectorizable
from assay.engine.torch_private import physical


def is_one_of(leaf: Leaf, weights: Iterable[Tensor]) -> bool:
    """Whether it is a weight's memory, and the whole of it."""
    if leaf.kind != "tensor" or is_number(leaf.value) or leaf.value.layout != torch.strided:
        return False
    return any(leaf.value.data_ptr() == w.data_ptr() and leaf.value.shape == w.shape for w in weights if w.numel())


def refuse_kept(
    placed: Sequence[tuple[Tensor, Tensor]], kept: Mapping[str, Leaf], weights: Mapping[str, Tensor]
) -> None:
    """As `refuse_shared_memory`, of what was given to `p.data` too."""
    if placed:
        refuse_shared_memory(kept, {**{f"p.data ({i})": value for i, (_, value) in enumerate(placed)}, **weights})


def refuse_shared_memory(leaves: Mapping[str, Leaf], weights: Mapping[str, Tensor]) -> None:
    """What is kept must be changed by itself alone: NotVectorizable where two tensors, or one and a weight, are one memory."""
    owners = {physical(tensor).untyped_storage().data_ptr(): name for name, tensor in weights.items() if tensor.numel()}
    for path, leaf in leaves.items():
        if leaf.kind == "tensor" and not is_number(leaf.value) and leaf.value.numel():
            try:
                place = physical(leaf.value).untyped_storage().data_ptr()
            except RuntimeError as error:  # a sparse one has no storage
                raise NotVectorizable(f"it keeps an unusual tensor in {path}") from error
            if place and place in owners:
                raise NotVectorizable(f"{path} and {owners[place]} share their memory")
            owners[place] = path
