"""Which of torch's implementations ("kernels") a group runs, and whether it reads its learning rate on the device."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

_FUSED_DTYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})


@cache
def _steps_like(optimizer: type[Optimizer], *models: type[Optimizer]) -> bool:
    """Does this class run the very ``step`` of one of those? (torch wraps each, so what it wraps is compared.)"""
    return any(inspect.unwrap(optimizer.step) is inspect.unwrap(model.step) for model in models)


def choose_kernel(base: Optimizer, group: dict[str, Any]) -> None:
    """Set ``group["fused"]`` for Adam and AdamW where the user left the kernel open.

    The fused kernel is the fastest on CPU and on CUDA, and it reads its learning rate on the device. It is not chosen
    for SGD, whose fused kernel fails when one momentum buffer is born later than the others (torch 2.13), nor for
    parameters it can't take.
    """
    if group.get("fused", False) is not None or group.get("foreach") is not None or group.get("capturable"):
        return
    if _steps_like(type(base), Adam, AdamW) and all(_suits_fused(parameter) for parameter in group["params"]):
        group["fused"] = True
        for parameter in group["params"]:  # a loaded state keeps its step counts where the fused kernel wants them
            if "step" in (state := base.state.get(parameter, {})):
                state["step"] = state["step"].to(parameter.device, torch.float32)


def _suits_fused(parameter: Tensor) -> bool:
    try:
        parameter.data_ptr()
    except RuntimeError:  # inside ``torch.func`` transforms a tensor has no numbers in memory of its own
        return False
    return (
        type(parameter) in (Tensor, Parameter)
        and parameter.dtype in _FUSED_DTYPES
        and parameter.device.type in ("cpu", "cuda")
    )


def suits_fused_now(base: Optimizer, part: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Are these parameters and gradients laid out in memory as torch's own fused kernels assume?

    They assume the same order and no gaps. On a CPU they don't check it: a transposed gradient would move the wrong
    weights (torch 2.13).
    """
    if not _steps_like(type(base), Adam, AdamW, SGD):
        return True
    return all(
        (parameter.is_contiguous() and gradient.is_contiguous())
        or gradient.stride() == parameter.stride() == torch.empty_like(parameter, device="meta").stride()
        for parameter, gradient in part
    )


def device_of_rate(base: Optimizer, group: dict[str, Any], parameters: Sequence[Tensor]) -> torch.device | None:
    """The CUDA device on which this group can read its learning rate, or None where it needs a Python number.

    As read in torch 2.13: Adam and AdamW take a scalar tensor without a host read where fused or capturable, SGD where
    fused. Elsewhere torch itself reads such a tensor back, often once for each parameter.
    """
    fused = group.get("fused") and _steps_like(type(base), Adam, AdamW, SGD)
    capturable = group.get("capturable") and _steps_like(type(base), Adam, AdamW)
    devices = {parameter.device for parameter in parameters} if fused or capturable else set()
    device = devices.pop() if len(devices) == 1 else None
    return device if device is not None and device.type == "cuda" else None
