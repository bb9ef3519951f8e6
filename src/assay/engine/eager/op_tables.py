"""The tables of `OptimizerMode`: which operations take scalars that may not be tensors, and what they are by definition."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from assay.engine.eager.refusal import hands_on

FACTORIES: frozenset[Any] = frozenset(
    {
        *(torch.zeros, torch.ones, torch.empty, torch.eye, torch.arange, torch.linspace, torch.as_tensor),
        *(torch.zeros_like, torch.ones_like, torch.empty_like),
        *(Tensor.new_zeros, Tensor.new_ones, Tensor.new_empty, Tensor.new_tensor),
    }
)

HALF = (torch.float16, torch.bfloat16)
# Operations whose Python numbers torch keeps in single precision where they meet tensors in half
IN_SINGLE = frozenset({"mul", "imul", "multiply", "div", "divide", "truediv", "itruediv", "idiv", "true_divide", "lerp",
                       "addcmul", "addcdiv"})  # fmt: skip

# Operations of whole numbers that give whole numbers, or true and false, in Python too
WHOLE = frozenset(
    {
        *("add", "sub", "mul", "neg", "pos", "abs", "floordiv", "floor_divide", "mod", "remainder", "pow"),
        *("iadd", "isub", "imul", "ifloordiv", "imod", "ipow", "and", "or", "xor", "invert", "not"),
        *("eq", "ne", "lt", "le", "gt", "ge", "bool", "where", "clone", "detach", "to"),
    }
)


class Decomposed(NamedTuple):
    """`run` is the operation by its definition; `scalars` are the arguments that torch wants as Python numbers."""

    run: Callable[..., Any]
    scalars: Callable[[tuple[Any, ...], dict[str, Any]], list[Any]]
    always: bool = False  # torch has no batching rule for it at all


def _scalars(names: tuple[str, ...], positions: tuple[int, ...] = ()) -> Callable[..., list[Any]]:
    def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        return [kwargs[n] for n in names if n in kwargs] + [args[i] for i in positions if i < len(args)]

    return of


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


def _addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    x, a, b = _alike(x, a, b)
    return x + value * a * b


def _addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    x, a, b = _alike(x, a, b)
    return x + value * a / b


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


def _fill(x: Tensor, value: Any) -> Tensor:
    return torch.zeros_like(x) + value


def _masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    return torch.where(mask, value, x)


def _isclose(x: Tensor, y: Tensor, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Tensor:
    close = (x == y) | (((x - y).abs() <= atol + (rtol * y).abs()) & torch.isfinite(x - y))
    return close | (torch.isnan(x) & torch.isnan(y)) if equal_nan else close


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

        def wide(value: Any) -> Any:
            return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value

        return run(wide(x), *map(wide, args), **{k: wide(v) for k, v in kwargs.items()}).to(x.dtype)

    return of


def _in_place(run: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *args, **kwargs: x.copy_(run(x, *args, **kwargs))


def _table() -> dict[str, Decomposed]:
    alpha, value = _scalars(("alpha",)), _scalars(("value",))
    table = {
        "add": Decomposed(_add, alpha),
        "sub": Decomposed(_sub, alpha),
        "subtract": Decomposed(_sub, alpha),
        "addcmul": Decomposed(_addcmul, value, always=True),
        "addcdiv": Decomposed(_addcdiv, value, always=True),
        "lerp": Decomposed(_lerp, _scalars(("weight",), (2,)), always=True),
        "clamp": Decomposed(_clamp, _scalars(("min", "max"), (1, 2))),
        "clip": Decomposed(_clamp, _scalars(("min", "max"), (1, 2))),
        "clamp_min": Decomposed(lambda x, min: _clamp(x, min=min), _scalars(("min",), (1,))),
        "clamp_max": Decomposed(lambda x, max: _clamp(x, max=max), _scalars(("max",), (1,))),
        "isclose": Decomposed(_isclose, _scalars(("rtol", "atol"), (2, 3)), always=True),
        "fill": Decomposed(_fill, _scalars(("value",), (1,))),
        "masked_fill": Decomposed(_masked_fill, _scalars(("value",), (2,))),
        "softplus": Decomposed(
            lambda x, beta=1, threshold=20: torch.where(
                x * beta > threshold, x, torch.log1p(torch.exp(x * beta)) / beta
            ),
            _scalars(("beta", "threshold"), (1, 2)),
        ),
    }
    for name, product in {"addmm": torch.mm, "addmv": torch.mv, "baddbmm": torch.bmm, "addr": torch.outer}.items():
        table[name] = Decomposed(_affine(product), _scalars(("alpha", "beta")), always=True)
    table = {name: d._replace(run=_in_single(d.run)) for name, d in table.items()}
    in_place = {name + "_": Decomposed(_in_place(d.run), d.scalars, d.always) for name, d in table.items()}
    return table | in_place


DECOMPOSED = _table()

MATH: dict[str, Callable[..., Any]] = {
    **{name: getattr(torch, name) for name in (
        "sqrt", "exp", "log", "log2", "log10", "log1p", "expm1", "pow", "sin", "cos", "tan", "tanh", "atan", "sinh", "cosh",
        "asin", "acos", "hypot", "isnan", "isinf", "isfinite", "atan2", "erf")},
    "fabs": torch.abs,
    "floor": lambda x: torch.floor(x).to(torch.int64),
    "ceil": lambda x: torch.ceil(x).to(torch.int64),
    "trunc": lambda x: torch.trunc(x).to(torch.int64),
}  # fmt: skip


def foreach_name(name: str) -> Any:
    """`torch._foreach_add_` → `Tensor.add_`, what it does to each tensor of its list."""
    plain = name.removeprefix("_foreach_")
    if plain == "norm":
        return lambda x, ord=2, dtype=None: torch.linalg.vector_norm(x, ord, dtype=dtype)
    return getattr(Tensor, plain)


def foreach_elements(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The arguments of each element: lists are taken apart, what is one for all is repeated."""
    for i in range(len(args[0])):

        def pick(value: Any, i: int = i) -> Any:
            return value[i] if isinstance(value, list | tuple) else value

        yield tuple(map(pick, args)), {k: pick(v) for k, v in kwargs.items()}
