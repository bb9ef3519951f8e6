"""The scalars' part of a step as Python source: NumPy where it knows the operations, which costs a tenth of torch's.

The program is `run(*inputs, *buffers)`: inputs are NumPy scalars or arrays (members,); coefficients for the main graph
are written into the buffers; the new values of numbers and the values of guards are returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.fx import GraphModule, Node

from assay.engine.compiled.values import as_numpy, named

_HEADER = "def run({arguments}):\n    with errstate(all='ignore'):\n"

_INFIX = {
    "add.Tensor": "+", "sub.Tensor": "-", "mul.Tensor": "*", "div.Tensor": "/", "add.Scalar": "+", "sub.Scalar": "-",
    "mul.Scalar": "*", "div.Scalar": "/", "pow.Tensor_Scalar": "**", "pow.Scalar": "**", "pow.Tensor_Tensor": "**",
    "remainder.Scalar": "%", "remainder.Tensor": "%", "floor_divide.default": "//",
}  # fmt: skip
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_FUNCTIONS = {
    "neg": "-{0}", "rsqrt": "1 / np.sqrt({0})", "reciprocal": "1 / {0}",
    "bitwise_not": "np.invert({0})", "bitwise_and": "{0} & {1}", "bitwise_or": "{0} | {1}",
    **dict.fromkeys(("maximum", "minimum", "logical_and", "logical_or"), "np.{name}({0}, {1})"),
    **dict.fromkeys(("sqrt", "exp", "log", "log2", "log10", "log1p", "expm1", "sin", "cos", "tanh", "abs", "floor",
                     "ceil", "trunc", "isnan", "logical_not"), "np.{name}({0})"),
}  # fmt: skip
_RESHAPED = {
    "view.default", "_unsafe_view.default", "reshape.default", "unsqueeze.default", "squeeze.default", "squeeze.dim",
    "squeeze.dims", "clone.default", "detach.default", "alias.default", "lift_fresh_copy.default", "positive.default",
}  # fmt: skip
_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_not")


class _Unknown(Exception):
    """An operation that NumPy isn't told here."""


def emit(module: GraphModule, nodes: Sequence[Node], returned: Sequence[Node], coefficients: Sequence[Node]) -> str:
    """Source of the program that computes `returned` and `coefficients` from the placeholders in `nodes`."""
    kept = {n.name: getattr(module, str(n.target)) for n in nodes if n.op == "get_attr"}
    constants = [f"{name} = torch.tensor({t.tolist()}, dtype={t.dtype})\n" for name, t in kept.items()]
    inputs = [n.name for n in nodes if n.op == "placeholder"]
    buffers = [f"buffer_{i}" for i in range(len(coefficients))]
    computed = [n for n in nodes if n.op == "call_function"]
    try:
        lines, end = [f"{n} = {_numpy(n)}" for n in computed], ""
        constants += [f"{name} = as_numpy({name})\n" for name in kept]
    except _Unknown:
        lines, end = [f"{name} = torch.as_tensor({name})" for name in inputs], ".numpy()"
        lines += [f"{n} = {_torch(n)}" for n in computed]
    lines += [f"{buffer}[...] = {node}{end}" for buffer, node in zip(buffers, coefficients, strict=True)]
    lines.append(f"return [{', '.join(f'{n}{end}' for n in returned)}]")
    header = _HEADER.format(arguments=", ".join([*inputs, *buffers]))
    return "".join([*constants, header, *(f"        {line}\n" for line in lines)])


def program(source: str) -> Callable[..., list[Any]]:
    """The source as a function."""
    namespace: dict[str, Any] = {"np": np, "torch": torch, "errstate": np.errstate, "as_numpy": as_numpy}
    namespace |= {"device": torch.device, "inf": math.inf, "nan": math.nan}
    exec(compile(source, "<scalar program>", "exec"), namespace)
    return namespace["run"]


def _dtype(node: Node) -> str:
    return named(node.meta["val"].dtype).replace("bool", "bool_")


def _numpy(node: Node) -> str:
    name = str(node.target).removeprefix("aten.")
    base, _, overload = name.partition(".")
    arguments, dtype, shape = node.args, _dtype(node), tuple(node.meta["val"].shape)
    if node.kwargs and base not in ("_to_copy", "scalar_tensor", "full"):
        raise _Unknown(name)
    if name in _INFIX or base == "rsub":
        if len(arguments) != 2 or dtype in ("bool_", "float16", "bfloat16"):
            raise _Unknown(name)
        left, right = (_operand(a, dtype) for a in (arguments[::-1] if base == "rsub" else arguments))
        return f"{left} {'-' if base == 'rsub' else _INFIX[name]} {right}"
    if base in _COMPARE and overload in ("Scalar", "Tensor"):
        common = _common(arguments)
        left, right = (_operand(a, common) for a in arguments)
        return f"{left} {_COMPARE[base]} {right}"
    if base in _FUNCTIONS and (overload == "default" or base in _BITWISE):
        common = _common(arguments) if dtype == "bool_" and base not in _BITWISE else dtype
        if base.startswith("logical") and common != "bool_":
            raise _Unknown(name)
        return _FUNCTIONS[base].format(*(_operand(a, common) for a in arguments), name=base)
    if name == "where.self":
        return f"np.where({arguments[0]}, {_operand(arguments[1], dtype)}, {_operand(arguments[2], dtype)})[()]"
    if base == "_to_copy":
        return _cast(arguments[0], dtype)
    if name in _RESHAPED or base == "expand":
        return f"np.{'broadcast_to' if base == 'expand' else 'reshape'}({arguments[0]}, {shape})[()]"
    if base == "scalar_tensor":
        return _constant(arguments[0], dtype)
    if base == "full":
        return f"np.full({shape}, {_constant(arguments[1], dtype)})[()]"
    raise _Unknown(name)


def _common(arguments: Sequence[Any]) -> str:
    """The dtype in which a comparison is made, where it is beyond doubt."""
    kinds = {_dtype(a) for a in arguments if isinstance(a, Node)}
    if len(kinds) != 1 or ("float" not in str(kinds) and any(isinstance(a, float) for a in arguments)):
        raise _Unknown("comparison of several dtypes")
    return kinds.pop()


def _operand(value: Any, dtype: str) -> str:
    if isinstance(value, Node):
        return value.name if _dtype(value) == dtype else _cast(value, dtype)
    return _constant(value, dtype)


def _cast(value: Any, dtype: str) -> str:
    return f"np.asarray({value}).astype(np.{dtype})[()]"


def _constant(value: Any, dtype: str) -> str:
    if not isinstance(value, bool | int | float):
        raise _Unknown(repr(value))
    return f"np.{dtype}({value!r})"


def _torch(node: Node) -> str:
    arguments = [*map(repr, node.args), *(f"{name}={value!r}" for name, value in node.kwargs.items())]
    return f"torch.ops.{node.target}({', '.join(arguments)})"
