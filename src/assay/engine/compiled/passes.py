"""Rewriting a traced graph: what is the same is made one node less, and products are turned to where they are quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node

from assay.engine.torch_private import TO_COPY, UNSAFE_VIEW

aten = torch.ops.aten
_SAME = {aten.detach.default, aten.alias.default, aten.lift_fresh_copy.default, aten.lift_fresh.default}
COPY = aten.copy_.default
_VIEWS = {aten.reshape.default, aten.transpose.int, aten.permute.default, aten.expand.default, aten.unsqueeze.default,
          aten.squeeze.dim, aten.squeeze.dims, aten.slice.Tensor, aten.select.int, aten.t.default}  # fmt: skip


def simplify(graph: Graph) -> None:
    """Take out what changes nothing, and what nobody needs."""
    for node in list(graph.nodes):
        value = node.meta.get("val")
        if isinstance(value, Tensor):  # shape and dtype only, free of the tracer's own modes
            node.meta["val"] = torch.empty(value.shape, dtype=value.dtype, device="meta")
        if node.op != "call_function":
            continue
        source = node.args[0] if node.args and isinstance(node.args[0], Node) else None
        if node.target in (aten.view.default, UNSAFE_VIEW):
            node.target = aten.reshape.default  # a product may be laid out otherwise than when it was traced
        if node.target in _SAME and source is not None:
            node.replace_all_uses_with(source)
        elif node.target is TO_COPY and source is None:  # a Python number that vmap made a tensor of
            with graph.inserting_before(node):
                made = graph.call_function(aten.scalar_tensor.default, (node.args[0],), {"dtype": value.dtype})
            made.meta["val"] = node.meta["val"]
            node.replace_all_uses_with(made)
        elif node.target is aten.copy.default and _like(node, node.args[1]):
            node.replace_all_uses_with(node.args[1])
        elif node.target is aten.mul.Scalar and node.args[1] == 1 and _like(node, source):
            node.replace_all_uses_with(source)
    sweep(graph)


def shield(graph: Graph) -> None:
    """An input that is copied into another is read before either is overwritten: the copies come last, in any order."""
    copies = [node for node in graph.nodes if node.target is COPY]
    for node in copies:
        root = node.args[1]
        while isinstance(root, Node) and root.op == "call_function" and root.target in _VIEWS:
            root = root.args[0]
        if isinstance(root, Node) and root.op == "placeholder":
            with graph.inserting_before(copies[0]):
                kept = _call(graph, aten.clone.default, (node.args[1],))
            node.replace_input_with(node.args[1], kept)


def sweep(graph: Graph) -> None:
    """Remove what nothing needs: neither a result nor an overwritten input."""
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output") or node.target is COPY)


def _like(node: Node, other: Any) -> bool:
    a, b = (n.meta.get("val") if isinstance(n, Node) else None for n in (node, other))
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype


def widest_last(graph: Graph) -> None:
    """Products (b, m, k) × (b, k, n) with m > n are computed transposed: libraries are fastest along a long last axis.

    On this project's first task (128 × 256 × 10 and 256 × 128 × 40) by 1.3 to 5 times.
    """
    for node in list(graph.nodes):
        if node.target is aten.bmm.default:
            a, b = node.args
            m, n = a.meta["val"].shape[1], b.meta["val"].shape[2]
            if m > n:
                with graph.inserting_before(node):
                    bt, at = (_call(graph, aten.transpose.int, (t, 1, 2)) for t in (b, a))
                    product = _call(graph, aten.bmm.default, (bt, at))
                    result = _call(graph, aten.transpose.int, (product, 1, 2))
                node.replace_all_uses_with(result)
                graph.erase_node(node)


def _call(graph: Graph, target: Callable[..., Any], args: tuple[Any, ...]) -> Node:
    node = graph.call_function(target, args)
    node.meta["val"] = target(*(a.meta["val"] if isinstance(a, Node) else a for a in args))
    return node
