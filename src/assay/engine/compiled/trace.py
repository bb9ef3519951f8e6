"""One whole step of a population (gradient, optimizer, diagnostics) as a graph of tensor operations.

Traced on a scratch optimizer: made like the template, warmed by the loop, and filled with the population's leaves. A
Python number that the step changes must be an input of the graph, or the graph would be silently wrong at every other
step: after each trace the scratch's leaves are compared with what they were, and the trace repeated until every number
that changed was an input. What Python decided by a value is recorded as a guard.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx import GraphModule

from assay.engine.compiled.values import Guard, Kind, Tracked, Values, differing, granted, named, scalar
from assay.engine.eager.batches import Batches
from assay.engine.eager.object_graph import (
    Leaf,
    attributes,
    leaves_of,
    names_of,
    numbers_of,
    replace_known,
    walk,
)
from assay.engine.eager.population import Evaluate, Population
from assay.engine.eager.python_numbers import as_number, is_number, same
from assay.engine.eager.shared_memory import refuse_shared_memory
from assay.engine.eager.surroundings import see_unchanged, surroundings
from assay.engine.refusal import NotCompilable, NotVectorizable, Unsteady, shared_write
from assay.engine.torch_private import batched, expanded, graph_of, is_batched, physical, vmap_level
from assay.training.step import own_randomness


def changing_numbers(population: Population, batches: Batches) -> Tracked:
    """The numbers that one more step of the loop changes: a first guess, which tracing completes."""
    with own_randomness():
        one = population.set_up(0, batches)
        before = numbers_of(one)
        one(*batches.of_member(0, population.warm % batches.steps))
    after = numbers_of(one)
    return {
        path: Kind(named(scalar(value).dtype), own=False)
        for path, value in before.items()
        if path in after and after[path] != value
    }


class Trace:
    """A functional graph of the step that starts from `values`, or the numbers that must be inputs first: those `found`.

    Inputs, in order: `values.all()`, x, y, masks. Weights and tensors are overwritten by `copy_` nodes; outputs are
    (3, members) diagnostics, the new value of each of `changed` numbers, and the values of the guards.

    Raises:
        NotCompilable: there is no such graph; the reason.
    """

    def __init__(
        self, population: Population, batches: Batches, values: Values, x: Tensor, y: Tensor, masks: Sequence[Tensor]
    ) -> None:
        self.population, self.values = population, values
        with own_randomness():  # like the template was before its tensors were batched
            self.one = population.set_up(0, batches)
        self.found: Tracked = {}
        self.evaluations = 0  # of the gradient, in the step
        self.changed: list[str] = []
        self.read: list[tuple[Tensor, Guard | None]] = []  # None: it must be true
        self.graph = graph_of(self._body, *self._inputs(), x, y, *masks)
        if not self.found:
            _refuse_foreign_tensors(self.graph)
            self.graph = graph_of(functionalize(self.graph, remove="mutations"), *self._inputs(), x, y, *masks)

    def _inputs(self) -> list[Tensor]:
        """Copies, for tracing computes: the population must not notice."""
        return [t.detach().clone() for t in self.values.all().values()]

    def _body(self, *inputs: Tensor) -> list[Tensor]:
        population, values = self.population, self.values
        given = iter(inputs)
        weights = {name: next(given) for name in values.weights}
        tensors = {path: next(given) for path in values.tensors}
        numbers = {path: next(given) for path in values.numbers}
        x, y, *masks = given

        with vmap_level(population.width) as level:
            wrapped = {name: batched(tensor, level) for name, tensor in weights.items()}
            own = {
                path: batched(tensor, level) if path in values.batched else tensor
                for path, tensor in {**tensors, **numbers}.items()
            }
            for path in numbers:
                as_number(own[path])
            constants = self._fill(own, wrapped)
            known = {id(t): name for name, t in wrapped.items()}
            taken_for_granted = granted(self.one.optimizer, known)
        kept = attributes(population.model)
        around = surroundings(self.one.optimizer, population.model, population.task.loss)

        def update(evaluate: Evaluate) -> None:
            reads = lambda *read: self.read.append(read)  # noqa: E731
            with (
                contextlib.redirect_stdout(io.StringIO()) as printed,
                population.stepped(self.one.optimizer, evaluate, wrapped, reads) as mode,
            ):
                self.evaluations = mode.evaluations
                if population.closure and mode.given != population.shared:
                    raise _unsteady(min(mode.given ^ population.shared))
                refuse_shared_memory(walk(self.one.optimizer, known), wrapped)
            if changed := [path for path, value in attributes(population.model).items() if kept.get(path) != value]:
                raise NotCompilable(f"the model changes what it keeps as it trains: {min(changed)}")
            if printed.getvalue():
                raise NotCompilable("it prints as it steps")

        diagnostics = population.diagnosed(update, weights, x, y, masks)
        if attributes(population.task.loss) != population.of_loss:
            raise NotVectorizable("the loss keeps something from one batch to the next")
        see_unchanged(around, surroundings(self.one.optimizer, population.model, population.task.loss))
        if (changed := differing(taken_for_granted, granted(self.one.optimizer, known))) is not None:
            raise _unsteady(changed)
        new = self._results(own, constants, tensors, known)
        return [diagnostics, *new, *(value for value, _ in self.read)]

    def _fill(self, own: dict[str, Tensor], wrapped: dict[str, Tensor]) -> dict[str, Any]:
        """Put the population's leaves into the scratch; the numbers that stay constants, by path."""
        template = walk(self.population.optimizer, self.population.known)
        leaves = leaves_of(self.one)
        if leaves.keys() != template.keys():
            raise _unsteady(next(iter(leaves.keys() ^ template.keys())))
        constants: dict[str, Any] = {}
        for path, leaf in leaves.items():
            if path in own:
                leaf.put(own[path])
            elif leaf.kind == "number":
                constants[path] = template[path].value
                if constants[path] != leaf.value:
                    leaf.put(constants[path])
        of_the_template = granted(self.population.optimizer, self.population.known)
        if (path := differing(of_the_template, granted(self.one.optimizer, names_of(self.one.model)))) is not None:
            raise _unsteady(path)
        replace_known(self.one.optimizer, names_of(self.one.model), wrapped)
        return constants

    def _results(
        self, own: dict[str, Tensor], constants: dict[str, Any], tensors: dict[str, Tensor], known: dict[int, str]
    ) -> list[Tensor]:
        """After the step: where each leaf ended. Rebound state is copied back; new values of numbers are returned."""
        after = walk(self.one.optimizer, known)
        expected = {*own, *constants}
        strange = {p for p in after.keys() ^ expected if p in expected or after[p].kind in ("tensor", "number")}
        if strange:
            raise _unsteady(min(strange))
        new: list[Tensor] = []
        rebound: list[tuple[Tensor, Tensor]] = []
        for path, leaf in after.items():
            if path in constants:
                self._constant(path, constants[path], leaf)
            elif path in tensors:
                rebound += self._state(tensors[path], own[path], leaf)
            elif path in own and leaf.value is not own[path]:
                new += self._number(path, leaf)
        for target, value in [(target, value.clone()) for target, value in rebound]:  # one may be another's new value
            target.copy_(value)
        return new

    def _constant(self, path: str, before: Any, leaf: Leaf) -> None:
        """See that a number that is no input stays what it is: else it must be one, of a kind that holds both."""
        if leaf.kind == "number" and same(leaf.value, before):
            return
        if not (leaf.kind == "number" or is_number(leaf.value)):
            raise _unsteady(path)
        value = scalar(leaf.value)
        self.found[path] = Kind(_wider(scalar(before).dtype, value.dtype), is_batched(value))

    def _state(self, target: Tensor, was: Tensor, leaf: Leaf) -> list[tuple[Tensor, Tensor]]:
        if leaf.value is was:
            return []
        if leaf.kind != "tensor" or leaf.value.shape != was.shape or leaf.value.dtype != was.dtype:
            raise Unsteady(f"what it keeps changes its shape: {leaf.path}")
        if is_batched(leaf.value) and not is_batched(was):
            raise shared_write(leaf.path)
        return [(target, expanded(leaf.value, self.population.width) if is_batched(was) else leaf.value)]

    def _number(self, path: str, leaf: Leaf) -> list[Tensor]:
        """The new value of a number that is an input; none where its input must change first."""
        if not isinstance(leaf.value, Tensor | bool | int | float):
            raise _unsteady(path)
        value = scalar(leaf.value)
        dtype, own = self.values.numbers[path].dtype, path in self.values.batched
        kind = Kind(_wider(dtype, value.dtype), own or is_batched(value))
        if kind != Kind(named(dtype), own):
            self.found[path] = kind
            return []
        self.changed.append(path)
        value = value.to(dtype)
        return [expanded(value, self.population.width).clone() if own else physical(value).clone()]


def _unsteady(path: str) -> Unsteady:
    return Unsteady(f"what it keeps changes as it goes: {path}")


def _wider(a: torch.dtype, b: torch.dtype) -> str:
    if (a is torch.bool) != (b is torch.bool):
        raise NotCompilable("a number of its becomes a switch, or a switch a number")
    return named(torch.promote_types(a, b))


def _refuse_foreign_tensors(graph: GraphModule) -> None:
    """A tensor that is no input and wasn't made in the step was hidden from the walk: it would be frozen."""
    for node in graph.graph.find_nodes(op="get_attr"):
        if any(user.target is not torch.ops.aten.lift_fresh_copy.default for user in node.users):
            raise NotCompilable("it keeps a tensor where its step finds it and nobody else does")
