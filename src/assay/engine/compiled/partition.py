"""A traced step in two: a program of scalars, run by Python, and a *main* graph of tensors, to be compiled.

What depends on numbers alone (bias corrections, schedules, step counts) is the scalar program's: a few operations on one
value a member. Inside a compiled kernel they would be computed anew for each weight. Guards are the program's too: it can
check them before anything is overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

from assay.engine.compiled.passes import COPY, shield, simplify, sweep, widest_last
from assay.engine.compiled.scalar_program import emit
from assay.engine.compiled.trace import Trace
from assay.engine.compiled.values import Guard, Values, named
from assay.engine.compiled.variant import Recipe
from assay.engine.refusal import NotCompilable

aten = torch.ops.aten


def split(trace: Trace, values: Values, size: int, external: Sequence[str]) -> tuple[Recipe, GraphModule]:
    """Split a trace: its recipe, and its main graph. `size`: of its batches; `external`: numbers that a schedule sets."""
    graph = trace.graph.graph
    simplify(graph)
    shield(graph)
    widest_last(graph)
    return _Split(trace, values, external).parts(size)


class _Split:
    def __init__(self, trace: Trace, values: Values, external: Sequence[str]) -> None:
        self.trace, self.external = trace, external
        self.graph = trace.graph.graph
        placeholders = list(self.graph.find_nodes(op="placeholder"))
        self.named = dict(zip(values.all(), placeholders, strict=False))
        self.batch = placeholders[len(self.named) :]
        self.width = max((len(t) for t in values.weights.values()), default=1)
        self.present = values.beside_weights()
        self.scalars = {
            path: self.named[path]
            for path, tensor in self.present.items()
            if tensor.dim() == (1 if path in values.batched else 0)
        }
        results: Any = self.graph.output_node().args[0]
        self.diagnostics, *results = results
        self.new = dict(zip(trace.changed, results, strict=False))
        self.guards = results[len(trace.changed) :]
        self.copies = {n.args[0]: n for n in self.graph.nodes if n.target is COPY}

    def parts(self, size: int) -> tuple[Recipe, GraphModule]:
        equal = self._merge()
        scalar = self._scalar_nodes()
        guards, checks = self._guards(scalar)
        scalar_updates = {path: node for path, node in self._updates().items() if node in scalar}
        main_updates = {path: node for path, node in self.new.items() if node not in scalar}
        done = {self.copies[self.named[path]] for path in scalar_updates if self.named[path] in self.copies}
        main_nodes = [
            n for n in self.graph.nodes if n.op in ("call_function", "get_attr") and n not in scalar and n not in done
        ]
        wanted = [n for m in main_nodes for n in m.all_input_nodes]
        wanted += [self.diagnostics, *main_updates.values(), *checks]
        overwritten = {m.args[0] for m in main_nodes if m.target is COPY}
        frontier = list(dict.fromkeys(n for n in wanted if n in scalar and n not in overwritten))
        by_node = {node: path for path, node in self.named.items()}
        main_inputs = [by_node[n] for n in dict.fromkeys(wanted) if n in by_node and n not in frontier]
        used = [i for i, node in enumerate(self.batch) if node in set(wanted)]
        returned = [*scalar_updates.values(), *(node for node, _ in guards)]
        needed = self._needed([*returned, *frontier])
        recipe = Recipe(
            size=size,
            evaluations=self.trace.evaluations,
            guards=[guard for _, guard in guards],
            scalar_program=emit(self.trace.graph, needed, returned, frontier),
            scalar_inputs=[by_node[n] for n in needed if n.op == "placeholder"],
            scalar_updates=list(scalar_updates),
            main_inputs=main_inputs,
            main_updates=list(main_updates),
            checked=bool(checks),
            coefficients=[(named(v.dtype), tuple(v.shape)) for v in (n.meta["val"] for n in frontier)],
            used=used,
            equal=equal,
        )
        inputs = [*(self.named[p] for p in main_inputs), *frontier, *(self.batch[i] for i in used)]
        return recipe, self._main(main_nodes, inputs, main_updates, checks)

    def _guards(self, scalar: set[Node]) -> tuple[list[tuple[Node, Guard]], list[Node]]:
        """What the program checks before a step, each once; the rest must be true, and the main graph tells whether it was.

        So a branch that the data decide (is this norm 0?) is taken as it was traced; where another would have been right, the
        members train in the loop.
        """
        guards: dict[tuple[Node, str], tuple[Node, Guard]] = {}
        checks: list[Node] = []
        for (_, guard), node in zip(self.trace.read, self.guards, strict=True):
            if node in scalar:
                guards[node, repr(guard)] = node, True if guard is None else guard
            elif guard is None or isinstance(guard, bool):
                checks.append(node if guard is None else self._is(node, guard))
            else:
                raise NotCompilable(f"it reads a value that the data decides ({type(guard).__name__})")
        return list(guards.values()), list(dict.fromkeys(checks))

    def _is(self, node: Node, truth: bool) -> Node:
        """Whether a value of each member, (members,), or of all, (), is true, or is not."""
        with self.graph.inserting_before(self.graph.output_node()):
            if node.meta["val"].dim() > 1:
                node = self.graph.call_function(aten.reshape.default, (node, [-1]))
            return self.graph.call_function(aten.ne.Scalar if truth else aten.eq.Scalar, (node, 0))

    def _updates(self) -> dict[str, Node]:
        """New value of each number and state tensor that the step changes."""
        updates = dict(self.new)
        for path, node in self.named.items():
            if path in self.present and node in self.copies and path not in updates:
                updates[path] = self.copies[node].args[1]
        return updates

    def _scalar_nodes(self) -> set[Node]:
        """What depends on scalars alone, and on none that the main graph changes: those the program would see too late."""
        while True:
            found, updates = self._closed(), self._updates()
            changed = {path for path, node in updates.items() if path in self.scalars and node not in found}
            if not changed:
                return found
            self.scalars = {path: node for path, node in self.scalars.items() if path not in changed}

    def _closed(self) -> set[Node]:
        found = set(self.scalars.values())
        constant: set[Node] = set()  # of constants alone: the program's only where a node of its needs them
        for node in self.graph.nodes:
            if node.op == "get_attr":
                constant.add(node)
            if node.op != "call_function" or node.target is COPY:
                continue
            value = node.meta.get("val")
            small = isinstance(value, Tensor) and value.numel() <= self.width
            sources = set(node.all_input_nodes)
            if small and sources <= found | constant and not _random(node):
                (found if sources & found else constant).add(node)
        new = [node for path, node in self._updates().items() if path in self.scalars]  # a count that begins again
        found |= constant & {*self.guards, *new}
        return found | constant & {*self._needed(found)}

    def _needed(self, results: Iterable[Node]) -> list[Node]:
        """The nodes that `results` are computed from, in order."""
        found = set(results)
        for node in reversed(self.graph.nodes):
            if node in found:
                found.update(node.all_input_nodes)
        return [node for node in self.graph.nodes if node in found]

    def _merge(self) -> list[list[str]]:
        """Scalars that start equal and change alike are one: torch.optim counts the steps of each parameter anew."""
        updates = self._updates()
        classes = _numbered(
            {
                path: (value.dtype, value.shape, repr(value.tolist()), path if path in self.external else "")
                for path, value in self.present.items()
                if path in self.scalars
            }
        )
        while True:
            by_node = {node: classes[path] for path, node in self.scalars.items()}
            hashes: dict[Node, int] = {}
            for node in self.graph.nodes:
                hashes[node] = hash(("scalar", by_node[node]) if node in by_node else _form(node, hashes))
            before = len(set(classes.values()))
            changes = {path: hashes[node] for path, node in updates.items() if path in classes}
            classes = _numbered({path: (number, changes.get(path)) for path, number in classes.items()})
            if len(set(classes.values())) == before:
                break
        groups: dict[int, list[str]] = {}
        for path, number in classes.items():
            groups.setdefault(number, []).append(path)
        for first, *others in groups.values():
            for path in others:
                self.named[path].replace_all_uses_with(self.named[first], lambda user: user.target is not COPY)
        self._common()
        return [group for group in groups.values() if len(group) > 1]

    def _common(self) -> None:
        """One node for equal computations."""
        forms: dict[Any, Node] = {}
        for node in list(self.graph.nodes):
            if node.op != "call_function" or node.target is COPY or _random(node):
                continue
            kept = forms.setdefault(_form(node, {}), node)
            if kept is not node:
                node.replace_all_uses_with(kept)
                self.guards = [kept if g is node else g for g in self.guards]
                self.new = {p: kept if n is node else n for p, n in self.new.items()}
        sweep(self.graph)
        self.copies = {n.args[0]: n for n in self.graph.nodes if n.target is COPY}

    def _main(self, nodes: list[Node], inputs: list[Node], updates: dict[str, Node], checks: list[Node]) -> GraphModule:
        graph = Graph()
        made = {node: graph.placeholder(f"in_{i}") for i, node in enumerate(inputs)}
        for node in nodes:
            made[node] = graph.node_copy(node, made.__getitem__)
            made[node].meta = {}
        outputs = [made[n] for n in (self.diagnostics, *updates.values())]
        if checks:
            sound = (made[check] for check in checks)
            outputs.append(reduce(lambda a, b: graph.call_function(aten.logical_and.default, (a, b)), sound))
        graph.output(tuple(outputs))
        return GraphModule(self.trace.graph, graph)


def _numbered(keys: Mapping[str, Any]) -> dict[str, int]:
    """A number for each class of equal keys, by path."""
    numbers: dict[Any, int] = {}
    return {path: numbers.setdefault(key, len(numbers)) for path, key in keys.items()}


def _form(node: Node, hashes: dict[Node, int]) -> Any:
    """What a node computes, from what: equal for equal computations."""

    def of(value: Any) -> Any:
        if isinstance(value, Node):
            return ("node", hashes.get(value, id(value)))
        if isinstance(value, list | tuple):
            return tuple(map(of, value))
        if isinstance(value, dict):
            return tuple((k, of(v)) for k, v in value.items())
        return (type(value).__name__, repr(value))

    if node.op in ("placeholder", "get_attr", "output"):
        return (node.op, str(node.target))
    return (str(node.target), of(node.args), of(node.kwargs))


def _random(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
