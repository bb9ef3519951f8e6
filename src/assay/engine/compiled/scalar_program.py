"""The scalars' part of a step as Python source: NumPy where it knows the operations, which costs a tenth of torch's.

The program is `run(*inputs, *buffers)`: inputs are NumPy scalars or arrays (members,); coefficients for the main graph
are written into the buffers; the new values of numbers and the values of guards are returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Node

aten = torch.ops.aten
_HEADER = "def run({arguments}):\n    with errstate(all='ignore'):\n"

_INFIX = {
    "add.Tensor": "+", "sub.Tensor": "-", "mul.Tensor": "*", "div.Tensor": "/", "add.Scalar": "+", "sub.Scalar": "-",
    "mul.Scalar": "*", "div.Scalar": "/", "pow.Tensor_Scalar": "**", "pow.Scalar": "**", "pow.Tensor_Tensor": "**",
    "remainder.Scalar": "%", "remainder.Tensor": "%", "floor_divide.default": "//",
}  # fmt: skip
_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_FUNCTIONS = {
    "neg": "-{0}", "sqrt": "np.sqrt({0})", "rsqrt": "1 / np.sqrt({0})", "reciprocal": "1 / {0}", "exp": "np.exp({0})",
    "log": "np.log({0})", "log2": "np.log2({0})", "log10": "np.log10({0})", "log1p": "np.log1p({0})", "expm1": "np.expm1({0})",
    "sin": "np.sin({0})", "cos": "np.cos({0})", "tanh": "np.tanh({0})", "abs": "np.abs({0})", "floor": "np.floor({0})",
    "ceil": "np.ceil({0})", "trunc": "np.trunc({0})", "maximum": "np.maximum({0}, {1})", "minimum": "np.minimum({0}, {1})",
    "logical_not": "np.logical_not({0})", "logical_and": "np.logical_and({0}, {1})", "logical_or": "np.logical_or({0}, {1})",
    "bitwise_not": "np.invert({0})", "bitwise_and": "{0} & {1}", "bitwise_or": "{0} | {1}", "isnan": "np.isnan({0})",
}  # fmt: skip
_RESHAPE = {"view.default", "_unsafe_view.default", "reshape.default"}
_SAME = {"clone.default", "detach.default", "alias.default", "lift_fresh_copy.default", "positive.default"}


class _Unknown(Exception):
    """An operation that NumPy isn't told here."""


def emit(
    module: GraphModule, nodes: Sequence[Node], returned: Sequence[Node], coefficients: Sequence[Node]
) -> tuple[str, dict[str, Tensor]]:
    """Source and constants of the program that computes `returned` and `coefficients` from the placeholders in `nodes`."""
    names = {node: f"v{i}" for i, node in enumerate(nodes)}
    constants = {names[n]: getattr(module, str(n.target)).detach().clone() for n in nodes if n.op == "get_attr"}
    inputs = [names[n] for n in nodes if n.op == "placeholder"]
    buffers = [f"c{i}" for i in range(len(coefficients))]
    header = _HEADER.format(arguments=", ".join([*inputs, *buffers]))
    computed = [n for n in nodes if n.op == "call_function"]
    try:
        lines = [f"{names[n]} = {_numpy(n, names)}" for n in computed]
    except _Unknown:
        constants = {f"t_{name}": tensor for name, tensor in constants.items()}
        lines = [f"t_{name} = torch.as_tensor({name})" for name in inputs]
        torch_names = {node: f"t_{name}" for node, name in names.items()}
        lines += [f"{torch_names[n]} = {_torch(n, torch_names)}" for n in computed]
        lines += [
            f"{names[n]} = {torch_names[n]}.numpy()"
            for n in dict.fromkeys((*returned, *coefficients))
            if n.op != "placeholder"
        ]
    lines += [f"{buffer}[...] = {names[node]}" for buffer, node in zip(buffers, coefficients, strict=True)]
    lines.append(f"return [{', '.join(names[n] for n in returned)}]")
    return header + "".join(f"        {line}\n" for line in lines), constants


def program(source: str, constants: Mapping[str, Tensor]) -> Callable[..., list[Any]]:
    """The source as a function."""
    namespace: dict[str, Any] = {"np": np, "torch": torch, "errstate": np.errstate}
    for name, tensor in constants.items():
        namespace[name] = tensor if name.startswith("t_") else as_numpy(tensor)
    exec(compile(source, "<scalar program>", "exec"), namespace)
    return namespace["run"]


def as_numpy(tensor: Tensor) -> Any:
    """A copy as a NumPy array (members,), or as a NumPy scalar."""
    return tensor.detach().cpu().numpy().copy()[()]


def _dtype(node: Node) -> str:
    return str(node.meta["val"].dtype).removeprefix("torch.").replace("bool", "bool_")


def _numpy(node: Node, names: Mapping[Node, str]) -> str:
    name = str(node.target).removeprefix("aten.")
    base, _, overload = name.partition(".")
    arguments, dtype = node.args, _dtype(node)
    if node.kwargs and not (base == "_to_copy" or base in ("scalar_tensor", "full")):
        raise _Unknown(name)
    if name in _INFIX or base == "rsub":
        if len(arguments) != 2 or dtype in ("bool_", "float16", "bfloat16"):
            raise _Unknown(name)
        left, right = (_operand(a, names, dtype) for a in (arguments[::-1] if base == "rsub" else arguments))
        return f"{left} {'-' if base == 'rsub' else _INFIX[name]} {right}"
    if base in _COMPARE and overload in ("Scalar", "Tensor"):
        common = _common(arguments)
        left, right = (_operand(a, names, common) for a in arguments)
        return f"{left} {_COMPARE[base]} {right}"
    if base in _FUNCTIONS and overload in ("default",):
        common = (
            _common(arguments)
            if dtype == "bool_" and base not in ("bitwise_and", "bitwise_or", "bitwise_not")
            else dtype
        )
        if base.startswith("logical") and common != "bool_":
            raise _Unknown(name)
        return _FUNCTIONS[base].format(*(_operand(a, names, common) for a in arguments))
    if base == "where" and overload == "self":
        condition, a, b = arguments
        return f"np.where({names[condition]}, {_operand(a, names, dtype)}, {_operand(b, names, dtype)})[()]"  # type: ignore[index]
    if base == "_to_copy":
        return _cast(names[arguments[0]], dtype)  # type: ignore[index]
    if name in _RESHAPE:
        shape = tuple(node.meta["val"].shape)
        return f"np.reshape({names[arguments[0]]}, {shape})[()]"  # type: ignore[index]
    if name in _SAME or name == "unsqueeze.default" or name.startswith("squeeze.") or name == "expand.default":
        shape = tuple(node.meta["val"].shape)
        source = names[arguments[0]]  # type: ignore[index]
        return f"np.broadcast_to({source}, {shape})[()]" if base == "expand" else f"np.reshape({source}, {shape})[()]"
    if base == "scalar_tensor":
        return _constant(arguments[0], dtype)
    if base == "full":
        return f"np.full({tuple(node.meta['val'].shape)}, {_constant(arguments[1], dtype)})[()]"
    raise _Unknown(name)


def _common(arguments: Sequence[Any]) -> str:
    """The dtype in which a comparison is made, where it is beyond doubt."""
    kinds = {_dtype(a) for a in arguments if isinstance(a, Node)}
    if len(kinds) != 1:
        raise _Unknown("comparison of several dtypes")
    kind = kinds.pop()
    if "float" not in kind and any(isinstance(a, float) for a in arguments):
        raise _Unknown("comparison of several dtypes")
    return kind


def _operand(value: Any, names: Mapping[Node, str], dtype: str) -> str:
    if isinstance(value, Node):
        return names[value] if _dtype(value) == dtype else _cast(names[value], dtype)
    return _constant(value, dtype)


def _cast(name: str, dtype: str) -> str:
    return f"np.asarray({name}).astype(np.{dtype})[()]"


def _constant(value: Any, dtype: str) -> str:
    if not isinstance(value, bool | int | float):
        raise _Unknown(repr(value))
    text = repr(value) if math.isfinite(value) else f"float({str(value)!r})"
    return f"np.{dtype}({text})"


def _torch(node: Node, names: Mapping[Node, str]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, Node):
            return names[value]
        if isinstance(value, list | tuple):
            inside = ", ".join(map(text, value))
            return f"[{inside}]" if isinstance(value, list) else f"({inside},)"
        if isinstance(value, torch.device):
            return f"torch.device({str(value)!r})"
        if isinstance(value, float) and not math.isfinite(value):
            return f"float({str(value)!r})"
        return repr(value)

    arguments = [text(a) for a in node.args] + [f"{k}={text(v)}" for k, v in node.kwargs.items()]
    return f"torch.ops.{node.target}({', '.join(arguments)})"
