"""What `OptimizerMode` does in an operation's place: properties, reads, factories, and what is refused.

Each override takes the mode and the operation's own arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from assay.engine.eager.op_tables import DECOMPOSED, HALF
from assay.engine.eager.python_numbers import is_number
from assay.engine.eager.refusal import NotVectorizable, hands_on
from assay.engine.eager.torch_private import batched, expanded, is_batched


def _refuse(reason: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise NotVectorizable(reason)

    return refuse


def _reader(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda mode, tensor, *_: mode.read(tensor, kind)


@hands_on
def _tensor_from(mode: Any, data: Any, *args: Any, **kwargs: Any) -> Tensor:
    """`torch.tensor(data)` where data holds numbers: a copy, in the dtype that a Python number would get."""
    elements = data if isinstance(data, list | tuple) else [data]
    if not any(isinstance(e, Tensor) for e in elements):
        return mode.own(torch.tensor(data, *args, **kwargs))
    tensors = [
        e if isinstance(e, Tensor) else torch.tensor(e, dtype=torch.float64, device=mode.device) for e in elements
    ]
    made = torch.stack(tensors) if isinstance(data, list | tuple) else tensors[0]
    dtype = kwargs.get("dtype") or (
        torch.get_default_dtype() if any(map(is_number, tensors)) and made.is_floating_point() else made.dtype
    )
    made = made.to(dtype=dtype, device=kwargs.get("device"), copy=True)
    return made if is_batched(made) else mode.own(made)


@hands_on
def _full(mode: Any, size: Any, fill_value: Any, **kwargs: Any) -> Tensor:
    value = fill_value
    if not isinstance(value, Tensor):
        return mode.own(torch.full(size, value, **kwargs))
    kwargs.setdefault("dtype", torch.get_default_dtype() if value.is_floating_point() else value.dtype)
    return mode.call(torch.zeros, (size,), kwargs).add(value.to(kwargs["dtype"]))


@hands_on
def _full_like(mode: Any, like: Tensor, fill_value: Any, **kwargs: Any) -> Tensor:
    zeros = mode.call(torch.zeros_like, (like,), kwargs)
    return zeros.add(fill_value.to(zeros.dtype) if isinstance(fill_value, Tensor) else fill_value)


@hands_on
def _set_item(mode: Any, tensor: Tensor, key: Any, value: Any) -> None:
    """`x[mask] = value` without asking how many entries the mask picks."""
    if isinstance(key, Tensor) and key.dtype is torch.bool and key.shape == tensor.shape:
        if isinstance(value, Tensor):
            if value.dim():
                raise NotVectorizable("it fills the entries a mask picks, whose number depends on the values")
            value = value.to(tensor.dtype)
        tensor.copy_(torch.where(key, value, tensor))
    else:
        tensor[key] = value.to(tensor.dtype) if isinstance(value, Tensor) else value


@hands_on
def _addmm(mode: Any, x: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """In half precision each member's by itself, rounded once and to the bit as the loop's.

    What iterates in half precision (the orthogonalization in Muon) makes any other rounding a thousand times larger.
    """
    scalars: dict[str, Any] = {"beta": beta, "alpha": alpha}
    own = any(isinstance(scalar, Tensor) for scalar in scalars.values())
    if own or x.dtype not in HALF or not any(map(is_batched, (x, a, b))):
        return DECOMPOSED["addmm"].run(x, a, b, **scalars)
    each = zip(*(expanded(t, mode.width).unbind() for t in (x, a, b)), strict=True)
    return batched(torch.stack([torch.addmm(*operands, **scalars) for operands in each]), mode.level)


def _get(name: str) -> Any:
    return getattr(Tensor, name).__get__


OVERRIDES: dict[Any, Callable[..., Any]] = {
    _get("grad"): lambda mode, tensor: mode.get_grad(tensor),
    Tensor.grad.__set__: lambda mode, tensor, value: mode.set_grad(tensor, value),  # type: ignore[attr-defined]
    Tensor.grad.__delete__: lambda mode, tensor: mode.set_grad(tensor, None),  # type: ignore[attr-defined]
    _get("data"): lambda mode, tensor: tensor,
    Tensor.data.__set__: lambda mode, tensor, value: tensor.copy_(value),  # type: ignore[attr-defined]
    _get("requires_grad"): lambda mode, tensor: mode.is_parameter(tensor),
    _get("is_leaf"): lambda mode, tensor: mode.is_parameter(tensor),
    Tensor.__hash__: lambda mode, tensor: id(tensor),
    Tensor.item: lambda mode, tensor: mode.item(tensor),
    Tensor.tolist: lambda mode, tensor: (
        mode.item(tensor) if tensor.dim() == 0 else _refuse("it reads a tensor's values")()
    ),
    Tensor.__bool__: _reader(bool),
    Tensor.__float__: _reader(float),
    Tensor.__int__: _reader(int),
    Tensor.__index__: _reader(int),
    Tensor.is_nonzero: _reader(bool),
    torch.is_nonzero: _reader(bool),
    torch.equal: lambda mode, a, b: a.shape == b.shape and mode.read((a == b).all(), bool),
    torch.allclose: lambda mode, a, b, **k: mode.read(mode.call(torch.isclose, (a, b), k).all(), bool),
    Tensor.equal: lambda mode, a, b: a.shape == b.shape and mode.read((a == b).all(), bool),
    Tensor.allclose: lambda mode, a, b, **k: mode.read(mode.call(torch.isclose, (a, b), k).all(), bool),
    Tensor.__format__: _refuse("it prints or formats a value in each step"),
    Tensor.numpy: _refuse("it hands a tensor to NumPy"),
    Tensor.__array__: _refuse("it hands a tensor to NumPy"),
    Tensor.data_ptr: _refuse("it looks at a tensor's memory"),
    Tensor.backward: _refuse("it computes gradients of its own"),
    torch.autograd.grad: _refuse("it computes gradients of its own"),
    Tensor.__setitem__: _set_item,
    torch.tensor: _tensor_from,
    torch.moveaxis: lambda mode, x, source, destination: x.movedim(source, destination),
    Tensor.moveaxis: lambda mode, x, source, destination: x.movedim(source, destination),
    torch.addmm: _addmm,
    Tensor.addmm: _addmm,
    torch.full: _full,
    torch.full_like: _full_like,
}
