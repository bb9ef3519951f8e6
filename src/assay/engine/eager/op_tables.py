"""The tables of `OptimizerMode`: which operations take scalars that may not be tensors, what they are by definition, and what
is done in an operation's place, or refused.
"""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from assay.engine.eager.python_numbers import is_number, mapped
from assay.engine.refusal import NotVectorizable, hands_on
from assay.engine.torch_private import batched, expanded, is_batched

FACTORIES: frozenset[Any] = frozenset({torch.zeros, torch.ones, torch.empty, torch.eye, torch.arange, torch.linspace,
                                       torch.as_tensor, torch.zeros_like, torch.ones_like, torch.empty_like,
                                       Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty, Tensor.new_tensor})  # fmt: skip
HALF = (torch.float16, torch.bfloat16)
# Operations whose Python numbers torch keeps in single precision where they meet tensors in half
IN_SINGLE = frozenset({"mul", "imul", "multiply", "div", "divide", "truediv", "itruediv", "idiv", "true_divide", "lerp",
                       "addcmul", "addcdiv"})  # fmt: skip

# Operations of whole numbers that give whole numbers, or true and false, in Python too
WHOLE = frozenset({"add", "sub", "mul", "neg", "pos", "abs", "floordiv", "floor_divide", "mod", "remainder", "pow", "iadd",
                   "isub", "imul", "ifloordiv", "imod", "ipow", "and", "or", "xor", "invert", "not", "eq", "ne", "lt", "le",
                   "gt", "ge", "bool", "where", "clone", "detach", "to"})  # fmt: skip
# Operations by which true and false become whole numbers in Python, and those that fail where they divide by zero
ARITHMETIC = frozenset({"add", "sub", "mul", "neg", "pos", "abs", "floordiv", "floor_divide", "mod", "remainder", "pow",
                        "invert", "bitwise_not", "div", "truediv", "true_divide"})  # fmt: skip
DIVISIONS = frozenset({"div", "divide", "truediv", "true_divide", "floordiv", "floor_divide", "mod", "remainder"})


class Decomposed(NamedTuple):
    """`run` is the operation by its definition, taken where a scalar that torch wants as a Python number is a tensor.

    Scalars are the arguments from place `first` on, and those with `names`. Without `first` it is taken in any case: torch
    has no batching rule for the operation at all.
    """

    run: Callable[..., Any]
    first: int | None = None
    names: tuple[str, ...] = ()

    def needed(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether the definition must be taken for these arguments."""
        if self.first is None:
            return True
        return any(isinstance(a, Tensor) for a in (*args[self.first :], *map(kwargs.get, self.names)))


def _alike(*operands: Any) -> Iterator[Any]:
    """Operands in the dtype that torch computes in, before any of them meets a scalar: a narrower one isn't rounded."""
    kinds = {o.dtype for o in operands if isinstance(o, Tensor)}
    if len(kinds) < 2:
        return iter(operands)
    dtype = functools.reduce(torch.promote_types, kinds)
    return (o.to(dtype) if isinstance(o, Tensor) and o.dim() else o for o in operands)


def _add(x: Any, other: Any, *, alpha: Any = 1) -> Any:
    x, other = _alike(x, other)
    return x + other * alpha


def _sub(x: Any, other: Any, *, alpha: Any = 1) -> Any:
    x, other = _alike(x, other)
    return x - other * alpha


def _with_product(times: Callable[[Any, Any], Any]) -> Callable[..., Tensor]:
    def run(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
        x, a, b = _alike(x, a, b)
        return x + times(value * a, b)

    return run


def _lerp(start: Tensor, end: Tensor, weight: Any) -> Tensor:
    difference = end - start  # torch's own two formulas, for the rounding
    if not isinstance(weight, Tensor):
        return start + difference * weight if abs(weight) < 0.5 else end - difference * (1 - weight)
    return torch.where(weight.abs() < 0.5, start + weight * difference, end - difference * (1 - weight))


def _clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    x = x if min is None else torch.maximum(x, _like(min, x))
    return x if max is None else torch.minimum(x, _like(max, x))


def _like(value: Any, x: Tensor) -> Tensor:
    return value.to(x.dtype) if isinstance(value, Tensor) else torch.full((), value, dtype=x.dtype, device=x.device)


def _isclose(x: Tensor, y: Tensor, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Tensor:
    close = (x == y) | (((x - y).abs() <= atol + (rtol * y).abs()) & torch.isfinite(x - y))
    return close | (torch.isnan(x) & torch.isnan(y)) if equal_nan else close


def _softplus(x: Tensor, beta: Any = 1, threshold: Any = 20) -> Tensor:
    return torch.where(x * beta > threshold, x, torch.log1p(torch.exp(x * beta)) / beta)


def _affine(product: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
        result = product(a, b)
        result = result if isinstance(alpha, int) and alpha == 1 else alpha * result
        return (x if isinstance(beta, int) and beta == 1 else beta * x) + result

    return run


def _in_single(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Half precision is computed in single and rounded once, as torch's fused operations do it."""

    @hands_on
    def of(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not isinstance(x, Tensor) or x.dtype not in HALF:
            return run(x, *args, **kwargs)
        args, kwargs = mapped(lambda t: t.float() if t.is_floating_point() else t, ((x, *args), kwargs))
        return run(*args, **kwargs).to(x.dtype)

    return of


def _in_place(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *args, **kwargs: x.copy_(run(x, *args, **kwargs))


def _table() -> dict[str, Decomposed]:
    table = {
        "add": Decomposed(_add, 2, ("alpha",)),
        **dict.fromkeys(("sub", "subtract"), Decomposed(_sub, 2, ("alpha",))),
        "addcmul": Decomposed(_with_product(operator.mul)),
        "addcdiv": Decomposed(_with_product(operator.truediv)),
        "lerp": Decomposed(_lerp),
        **dict.fromkeys(("clamp", "clip"), Decomposed(_clamp, 1, ("min", "max"))),
        "clamp_min": Decomposed(lambda x, min: _clamp(x, min=min), 1, ("min",)),
        "clamp_max": Decomposed(lambda x, max: _clamp(x, max=max), 1, ("max",)),
        "isclose": Decomposed(_isclose),
        "fill": Decomposed(lambda x, value: torch.zeros_like(x) + value, 1, ("value",)),
        "masked_fill": Decomposed(lambda x, mask, value: torch.where(mask, value, x), 2, ("value",)),
        "index_add": Decomposed(
            lambda x, dim, index, source, *, alpha=1: x.index_add(dim, index, source * alpha), 4, ("alpha",)
        ),
        "softplus": Decomposed(_softplus, 1, ("beta", "threshold")),
    }
    for name, product in {"addmm": torch.mm, "addmv": torch.mv, "baddbmm": torch.bmm, "addr": torch.outer}.items():
        table[name] = Decomposed(_affine(product))
    table = {name: d._replace(run=_in_single(d.run)) for name, d in table.items()}
    return table | {name + "_": d._replace(run=_in_place(d.run)) for name, d in table.items()}


DECOMPOSED = _table()

# ------------------------------------- overrides: each takes the mode, and the operation's own arguments


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


def _itself(value: Any) -> Any:
    return value


def _written(write: Callable[..., str]) -> Callable[..., str]:
    """As text: a number's value is read for it."""

    def as_text(mode: Any, tensor: Tensor, *args: Any, **_: Any) -> str:
        if not is_number(tensor):
            raise NotVectorizable(_PRINTS)
        return write(mode.read(tensor, _itself, _PRINTS), *args)

    return as_text


_PRINTS = "it prints or formats a value in each step"


def _lend(mode: Any, tensor: Tensor) -> Tensor:
    """`p.data`: another tensor in the same memory."""
    if is_number(tensor):
        return tensor
    lent = tensor.detach()
    mode.lent.setdefault(id(tensor), []).append(weakref.ref(lent))
    return lent


def _place(mode: Any, tensor: Tensor, value: Tensor) -> None:
    """`p.data = value` copies; in torch p is then in value's memory, and what had p's keeps the old values."""
    if any(lent() is not None and lent() is not value for lent in mode.lent.get(id(tensor), ())):
        raise NotVectorizable("it exchanges p.data for another tensor and keeps the old one")
    if value.shape != tensor.shape or value.dtype != tensor.dtype:
        raise NotVectorizable("it gives p.data another shape or type")
    tensor.copy_(value)
    mode.placed.append((tensor, value))
    mode.dead[id(value)] = value


def _freeze(mode: Any, tensor: Tensor, wanted: bool = True) -> Tensor:
    """A parameter stays what it was at the start: trained, or not."""
    if _is_parameter(mode, tensor) != wanted:
        raise NotVectorizable("it freezes or frees a parameter as it steps (requires_grad)")
    return tensor


def _set_grad(mode: Any, tensor: Tensor, value: Tensor | None) -> None:
    mode.grads[id(tensor)] = value


def _is_parameter(mode: Any, tensor: Tensor) -> bool:
    """A parameter's are True though no gradient is recorded here."""
    return (
        id(tensor) in mode.grads or any(tensor is loss for loss in mode.losses) or bool(_get("requires_grad")(tensor))
    )


def _history(mode: Any, tensor: Tensor) -> Any:
    """None is recorded here; of a loss that a closure gave there would be one."""
    if any(tensor is loss for loss in mode.losses):
        raise NotVectorizable("it looks at how its loss was computed")
    return _get("grad_fn")(tensor)


_BOTH: dict[str, Callable[..., Any]] = {  # in torch and of Tensor
    "is_nonzero": _reader(bool),
    "equal": lambda mode, a, b: a.shape == b.shape and mode.read((a == b).all(), bool),
    "allclose": lambda mode, a, b, **k: mode.read(mode.call(torch.isclose, (a, b), k).all(), bool),
    "moveaxis": lambda mode, x, source, destination: x.movedim(source, destination),
    "addmm": _addmm,
}


OVERRIDES: dict[Any, Callable[..., Any]] = {
    **{getattr(home, name): override for name, override in _BOTH.items() for home in (torch, Tensor)},
    _get("grad"): lambda mode, tensor: mode.gradient(tensor),
    _get("grad_fn"): _history,
    Tensor.grad.__set__: _set_grad,  # type: ignore[attr-defined]
    Tensor.grad.__delete__: lambda mode, tensor: _set_grad(mode, tensor, None),  # type: ignore[attr-defined]
    _get("data"): _lend,
    Tensor.data.__set__: _place,  # type: ignore[attr-defined]
    _get("requires_grad"): _is_parameter,
    _get("is_leaf"): _is_parameter,
    Tensor.requires_grad.__set__: _freeze,  # type: ignore[attr-defined]
    Tensor.requires_grad_: _freeze,
    Tensor.register_hook: _refuse("it hooks a gradient"),
    Tensor.register_post_accumulate_grad_hook: _refuse("it hooks a gradient"),
    Tensor.item: lambda mode, tensor: mode.item(tensor),
    Tensor.tolist: lambda mode, tensor: (
        mode.item(tensor) if tensor.dim() == 0 else _refuse("it reads a tensor's values")()
    ),
    Tensor.__bool__: _reader(bool),
    Tensor.__float__: _reader(float),
    Tensor.__int__: _reader(int),
    Tensor.__index__: _reader(int),
    Tensor.__format__: _written(format),
    Tensor.__repr__: _written(repr),
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
