"""The gradient of all parameters together: which tensors it consists of, and its L2 norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

# torch adds up squares in the tensor's own dtype: on a CPU the norm of 10 million float32 numbers comes out wrong by a
# relative 4e-4. Rows of this length, joined in float64, are wrong by 1e-8, and use all cores, which one long row does
# not (1.8 against 2.8 ms for those 10 million on two cores).
_ROW = 4096
_LONG = 16 * _ROW
_NARROW = frozenset({torch.float16, torch.bfloat16})  # their range is too small for a norm: float16 ends at 65504


def gradients(group: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """The parameters of a group that have a gradient, each with it (without autograd history).

    Raises:
        RuntimeError: for a sparse gradient, or one whose elements are spread over processes (DTensor).
    """
    for parameter in group["params"]:
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.layout is not torch.strided:
            raise RuntimeError(
                f"a gradient of shape {tuple(gradient.shape)} is sparse, and GradNormScaled takes dense ones only: "
                "build the layer with sparse=False (as in torch.nn.Embedding)"
            )
        if type(gradient) is not Tensor and hasattr(gradient, "full_tensor"):
            raise RuntimeError(
                "GradNormScaled would see only this process's part of a DTensor gradient, so its norm would be wrong: "
                "use it with replicated parameters (DistributedDataParallel)"
            )
        yield parameter, gradient.detach() if gradient.requires_grad else gradient


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of tensors as if they were one long vector.

    Args:
        tensors: at least one; any shapes, devices, and floating or complex dtypes.

    Returns:
        A scalar (0-dim) tensor: float64 on a CPU and on CUDA, else float32. If any tensor is on an accelerator, so is
        the result, and the host never waits for it. Squares that overflow float32 (norms above 1.8e19) give ``inf``;
        those that underflow it (gradients below 1e-23) give 0.
    """
    devices = list(dict.fromkeys([tensor.device for tensor in tensors]))
    if len(devices) == 1:
        return _norm_on(devices[0], tensors)
    home = next(device for device in devices if device.type != "cpu")
    norms = [_norm_on(device, [tensor for tensor in tensors if tensor.device == device]) for device in devices]
    return torch.linalg.vector_norm(torch.stack([norm.to(home, non_blocking=True) for norm in norms]))


def _norm_on(device: torch.device, tensors: Sequence[Tensor]) -> Tensor:
    wide, narrow, rows = [], [], []
    for tensor in tensors:
        dtype = torch.float32 if tensor.dtype in _NARROW else None
        if tensor.numel() >= _LONG and tensor.is_cpu and tensor.is_contiguous():
            flat = tensor.flatten()
            whole = flat.numel() - flat.numel() % _ROW
            rows.append(torch.linalg.vector_norm(flat[:whole].unflatten(0, (-1, _ROW)), dim=1, dtype=dtype))
            tensor = flat[whole:]
        (narrow if dtype else wide).append(tensor)
    norms = torch._foreach_norm(wide) if wide else ()
    if narrow:
        norms = (*norms, *torch._foreach_norm(narrow, dtype=torch.float32))
    joined = torch.stack(norms)
    exact = torch.float64 if device.type in ("cpu", "cuda") else torch.float32
    return torch.linalg.vector_norm(torch.cat([joined, *rows]) if rows else joined, dtype=exact)
