"""The gradient of all parameters together: which tensors it consists of, and its L2 norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# torch adds up the squares of a tensor in its own dtype, one after the other: on a CPU the norm of 10 million float32
# numbers comes out wrong by a relative 4e-4, and only one core is used. In rows, joined in float64, it is right to 1e-5
# at the worst (a constant), and all cores are used.
_LONG = 2**16
_ROW = 2**12
_NARROW = frozenset({torch.float16, torch.bfloat16})  # their range is too small for a norm: float16 ends at 65504


def gradients(group: dict[str, Any]) -> list[tuple[Tensor, Tensor]]:
    """The parameters of a group that have a gradient, each with it (without autograd history).

    Raises:
        RuntimeError: for a sparse gradient, or one whose elements are spread over processes (DTensor).
    """
    part = []
    for parameter in group["params"]:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.layout is not torch.strided:
            raise RuntimeError(
                f"a gradient of shape {tuple(gradient.shape)} is sparse, and GradNormScaled takes dense ones only: "
                "build the layer with sparse=False (as in torch.nn.Embedding)"
            )
        if hasattr(gradient, "full_tensor"):
            raise RuntimeError(
                "GradNormScaled would see only this process's part of a DTensor gradient, so its norm would be wrong: "
                "use it with replicated parameters (DistributedDataParallel)"
            )
        part.append((parameter, gradient.detach() if gradient.requires_grad else gradient))
    return part


def total_norm(tensors: Sequence[Tensor]) -> float | Tensor:
    """The L2 norm of tensors as if they were one long vector.

    Args:
        tensors: at least one; any shapes, devices, and floating or complex dtypes.

    Returns:
        A Python number if all are on a CPU. Else, and inside ``torch.func.vmap``, a scalar (0-dim) tensor: float64 on
        CPU and CUDA, else float32; if any tensor is on an accelerator so is the result, and the host never waits for
        it. Squares that overflow float32 (norms above 1.8e19) give ``inf``; those that underflow it (gradients below
        1e-23) give 0.
    """
    devices = list(dict.fromkeys([tensor.device for tensor in tensors]))
    norms = [_norms([t for t in tensors if t.device == device]) for device in devices]
    home = next((device for device in devices if device.type != "cpu"), None)
    if home is not None:
        joined = [_joined(each).to(home, non_blocking=True) for each in norms]
        return joined[0] if len(joined) == 1 else _joined(joined)
    numbers = [norm.item() for norm in norms[0]]
    if type(numbers[0]) is not float:  # a scalar that stands for many values at once
        return _joined(norms[0])
    total = math.hypot(*numbers)
    return total if math.isfinite(total) else sum(numbers)  # hypot would let an infinity hide a NaN


def _joined(norms: Sequence[Tensor]) -> Tensor:
    exact = torch.float64 if norms[0].device.type in ("cpu", "cuda") else torch.float32
    return torch.linalg.vector_norm(torch.stack(list(norms)), dtype=exact)


def _norms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Scalar tensors whose joint norm is that of the tensors, which lie on one device."""
    wide, narrow, rows = [], [], []
    for tensor in reversed(tensors):  # what is read last is still in the cache when the base's step begins with it
        if tensor.numel() >= _LONG and tensor.is_cpu and tensor.is_contiguous():
            flat = tensor.flatten()
            whole = flat.numel() - flat.numel() % _ROW
            dtype = torch.float32 if flat.dtype in _NARROW else None
            rows.append(torch.linalg.vector_norm(flat[:whole].unflatten(0, (-1, _ROW)), dim=1, dtype=dtype))
            tensor = flat[whole:]
        (narrow if tensor.dtype in _NARROW else wide).append(tensor)
    norms = list(torch._foreach_norm(wide)) if wide else []
    if narrow:
        norms += torch._foreach_norm(narrow, dtype=torch.float32)
    if rows:
        norms.append(torch.linalg.vector_norm(torch.cat(rows), dtype=torch.float64))
    return norms
