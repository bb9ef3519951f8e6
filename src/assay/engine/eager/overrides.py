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
    wide: dict[str, Any] = {"dtype": torch.float64, "device": mode.device}
    tensors = [e if isinstance(e, Tensor) else torch.tensor(e, **wide) for e in elements]
    made = torch.stack(tensors) if isinstance(data, list | tuple) else tensors[0]
    as_python = any(map(is_number, tensors)) and made.is_floating_point()
    dtype = kwargs.get("dtype") or (torch.get_default_dtype() if as_python else made.dtype)
    made = made.to(dtype=dtype, device=kwargs.get("device"), copy=True)
    return made if is_batched(made) else mode.own(made)


@hands_on
def _full(mode: Any, size: Any, fill_value: Any, **kwargs: Any) -> Tensor:
    if not isinstance(fill_value, Tensor):
        return mode.own(torch.full(size, fill_value, **kwargs))
    kwargs.setdefault("dtype", torch.get_default_dtype() if fill_value.is_floating_point() else fill_value.dtype)
    return mode.call(torch.zeros, (size,), kwargs).add(fill_value.to(kwargs["dtype"]))


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


def _set_grad(mode: Any, tensor: Tensor, value: Tensor | None) -> None:
    mode.grads[id(tensor)] = value


def _is_parameter(mode: Any, tensor: Tensor) -> bool:
    """A parameter's are True though no gradient is recorded here."""
    return id(tensor) in mode.grads or bool(_get("requires_grad")(tensor))


_BOTH: dict[str, Callable[..., Any]] = {  # in torch and of Tensor
    "is_nonzero": _reader(bool),
    "equal": lambda mode, a, b: a.shape == b.shape and mode.read((a == b).all(), bool),
    "allclose": lambda mode, a, b, **k: mode.read(mode.call(torch.isclose, (a, b), k).all(), bool),
    "moveaxis": lambda mode, x, source, destination: x.movedim(source, destination),
    "addmm": _addmm,
}


OVERRIDES: dict[Any, Callable[..., Any]] = {
    **{getattr(home, name): override for name, override in _BOTH.items() for home in (torch, Tensor)},
    _get("grad"): lambda mode, tensor: mode.grads.get(id(tensor)),
    Tensor.grad.__set__: _set_grad,  # type: ignore[attr-defined]
    Tensor.grad.__delete__: lambda mode, tensor: _set_grad(mode, tensor, None),  # type: ignore[attr-defined]
    _get("data"): lambda mode, tensor: tensor,
    Tensor.data.__set__: lambda mode, tensor, value: tensor.copy_(value),  # type: ignore[attr-defined]
    _get("requires_grad"): _is_parameter,
    _get("is_leaf"): _is_parameter,
    Tensor.__hash__: lambda mode, tensor: id(tensor),
    Tensor.item: lambda mode, tensor: mode.item(tensor),
    Tensor.tolist: lambda mode, tensor: (
        mode.item(tensor) if tensor.dim() == 0 else _refuse("it reads a tensor's values")()
    ),
    Tensor.__bool__: _reader(bool),
    Tensor.__float__: _reader(float),
    Tensor.__int__: _reader(int),
    Tensor.__index__: _reader(int),
    Tensor.__format__: _refuse("it prints or formats a value in each step"),
    Tensor.numpy: _refuse("it hands a tensor to NumPy"),
    Tensor.__array__: _refuse("it hands a tensor to NumPy"),
    Tensor.data_ptr: _refuse("it looks at a tensor's memory"),
    Tensor.backward: _refuse("it computes gradients of its own"),
    torch.autograd.grad: _refuse("it computes gradients of its own"),
    Tensor.__setitem__: _set_item,
    torch.tensor: _tensor_from,
    torch.full: _full,
    torch.full_like: _full_like,
}
