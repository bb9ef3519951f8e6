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
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.func import functionalize
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from assay.engine.compiled.values import Guard, Kind, Tracked, Values, kind_of, scalar
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import losses_and_gradients
from assay.engine.eager.object_graph import Leaf, attributes, leaves_of, names_of, replace_known, token, walk
from assay.engine.eager.optimizer_mode import OptimizerMode
from assay.engine.eager.population import Population, norms
from assay.engine.eager.python_numbers import as_number, is_number
from assay.engine.eager.refusal import NotCompilable, shared_write
from assay.engine.eager.torch_private import batched, expanded, is_batched, physical, vmap_level
from assay.training.member_setup import MemberSetup


@dataclass
class Trace:
    """A functional graph of one step.

    Inputs, in order: `weights` by name, `tensors` (state) by path, `numbers` by path, x, y, masks. Weights and tensors
    are overwritten by `copy_` nodes; outputs are (3, members) diagnostics, the new value of each of `changed` numbers, and
    the values of the guards.
    """

    graph: GraphModule
    weights: list[str]
    tensors: list[str]
    numbers: list[str]
    changed: list[str]
    guards: list[Guard] = field(default_factory=list)


def scratch(population: Population, batches: Batches) -> MemberSetup:
    """A fresh optimizer like the template was before its tensors were batched, after as many steps of the loop."""
    with torch.random.fork_rng(devices=[]):
        return population.set_up(0, batches)


def changing_numbers(population: Population, batches: Batches) -> Tracked:
    """The numbers that one more step of the loop changes: a first guess, which tracing completes."""
    one = scratch(population, batches)
    before = {path: leaf.value for path, leaf in leaves_of(one).items() if leaf.kind == "number"}
    with torch.random.fork_rng(devices=[]):
        one.step(*batches.of_member(0, population.warm % batches.steps))
    after = leaves_of(one)
    return {
        path: kind_of(scalar(value))
        for path, value in before.items()
        if path in after and after[path].kind == "number" and after[path].value != value
    }


def trace(
    population: Population, batches: Batches, values: Values, x: Tensor, y: Tensor, masks: Sequence[Tensor]
) -> Trace | Tracked:
    """The graph of the step that starts from `values`, or the numbers that must be inputs first.

    Raises:
        NotCompilable: there is no such graph; the reason.
    """
    attempt = _Attempt(population, batches, values)
    graph = attempt.run(x, y, masks)
    if attempt.found:
        return attempt.found
    return Trace(
        graph, list(values.weights), list(values.tensors), list(values.numbers), attempt.changed, attempt.guards
    )


class _Attempt:
    def __init__(self, population: Population, batches: Batches, values: Values) -> None:
        self.population, self.values = population, values
        self.one = scratch(population, batches)
        self.found: Tracked = {}
        self.changed: list[str] = []
        self.guards: list[Guard] = []
        self.read: list[Tensor] = []

    def run(self, x: Tensor, y: Tensor, masks: Sequence[Tensor]) -> GraphModule:
        copies = [t.detach().clone() for t in self.values.flat()]  # tracing computes: the population must not notice
        inputs = [*copies, x, y, *masks]
        traced = make_fx(self._body)(*inputs)
        if self.found:
            return traced
        _refuse_foreign_tensors(traced)
        fresh = [t.detach().clone() for t in self.values.flat()]
        return make_fx(functionalize(traced, remove="mutations"))(*fresh, x, y, *masks)

    def _body(self, *inputs: Tensor) -> list[Tensor]:
        population, values, width = self.population, self.values, self.population.width
        given = iter(inputs)
        weights = {name: next(given) for name in values.weights}
        tensors = {path: next(given) for path in values.tensors}
        numbers = {path: next(given) for path in values.numbers}
        x, y, *masks = given

        with vmap_level(width) as level:
            wrapped = {name: batched(tensor, level) for name, tensor in weights.items()}
            own = {
                path: batched(tensor, level) if path in values.batched else tensor
                for path, tensor in {**tensors, **numbers}.items()
            }
            for path in numbers:
                as_number(own[path])
            constants = self._fill(own, wrapped)
            plain = self._plain({id(t): name for name, t in wrapped.items()})
        kept = attributes(population.model)
        losses, gradients = losses_and_gradients(
            population.task, population.model, weights, population.trained, x, y, masks
        )
        if changed := [path for path, value in attributes(population.model).items() if kept.get(path) != value]:
            raise NotCompilable(f"the model changes what it keeps as it trains: {min(changed).lstrip('.')}")
        grad_norm = norms([g for g in gradients if g is not None])
        before = [weights[name].clone() for name in population.trained]
        with vmap_level(width) as level, torch.no_grad():
            grads = {
                id(wrapped[name]): None if g is None else batched(g, level)
                for name, g in zip(population.trained, gradients, strict=True)
            }
            mode = OptimizerMode(width, level, grads, on_read=self._note)
            with mode, contextlib.redirect_stdout(io.StringIO()) as printed:
                self.one.optimizer.step()
        if printed.getvalue():
            raise NotCompilable("it prints as it steps")
        update_norm = norms([b - weights[n] for b, n in zip(before, population.trained, strict=True)])
        known = {id(t): name for name, t in wrapped.items()}
        if changed := [path for path, value in self._plain(known).items() if plain.get(path) != value]:
            raise NotCompilable(f"what it keeps changes as it goes: {min(changed).lstrip('.')}")
        new = self._results(own, constants, tensors, known)
        return [torch.stack([losses, grad_norm, update_norm]), *new, *self.read]

    def _plain(self, known: dict[int, str]) -> dict[str, Any]:
        """What the optimizer keeps that is no number and no tensor: a compiled step leaves it as it is."""
        return {p: token(leaf) for p, leaf in walk(self.one.optimizer, known).items() if leaf.kind == "plain"}

    def _fill(self, own: dict[str, Tensor], wrapped: dict[str, Tensor]) -> dict[str, Any]:
        """Put the population's leaves into the scratch; the numbers that stay constants, by path."""
        template = walk(self.population.optimizer, self.population.known)
        leaves = leaves_of(self.one)
        if leaves.keys() != template.keys():
            path = next(iter(leaves.keys() ^ template.keys()))
            raise NotCompilable(f"what it keeps changes as it goes: {path.lstrip('.')}")
        constants: dict[str, Any] = {}
        for path, leaf in leaves.items():
            if path in own:
                leaf.put(own[path])
            elif leaf.kind == "number":
                constants[path] = template[path].value
                if constants[path] != leaf.value:
                    leaf.put(constants[path])
            elif leaf.kind == "plain" and token(leaf) != token(template[path]):
                raise NotCompilable(f"what it keeps changes as it goes: {path.lstrip('.')}")
        replace_known(self.one.optimizer, names_of(self.one.model), wrapped)
        return constants

    def _note(self, value: Tensor, outcome: Any) -> None:
        self.read.append(value)
        self.guards.append(Guard(outcome, type(outcome).__name__))

    def _results(
        self, own: dict[str, Tensor], constants: dict[str, Any], tensors: dict[str, Tensor], known: dict[int, str]
    ) -> list[Tensor]:
        """After the step: where each leaf ended. Rebound state is copied back; new values of numbers are returned."""
        after = walk(self.one.optimizer, known)
        expected = {*own, *constants}
        strange = {p for p in after.keys() ^ expected if p in expected or after[p].kind in ("tensor", "number")}
        if strange:
            raise NotCompilable(f"what it keeps changes as it goes: {min(strange).lstrip('.')}")
        new: list[Tensor] = []
        for path, leaf in after.items():
            if path in constants:
                self._constant(path, constants[path], leaf)
            elif path in tensors:
                self._state(tensors[path], own[path], leaf)
            elif path in own and leaf.value is not own[path]:
                value = self._number(path, leaf)
                if value is not None:
                    new.append(value)
                    self.changed.append(path)
        return new

    def _constant(self, path: str, before: Any, leaf: Leaf) -> None:
        if leaf.kind == "number" and (leaf.value == before or (leaf.value != leaf.value and before != before)):
            return
        if not (leaf.kind == "number" or (leaf.kind == "tensor" and is_number(leaf.value))):
            raise NotCompilable(f"what it keeps changes as it goes: {path.lstrip('.')}")
        value = leaf.value if isinstance(leaf.value, Tensor) else scalar(leaf.value)
        self.found[path] = self._kind(scalar(before).dtype, value)

    def _kind(self, before: torch.dtype, after: Tensor, own: bool = False) -> Kind:
        """A kind that holds both."""
        return Kind(str(_wider(before, after.dtype)).removeprefix("torch."), own or is_batched(after))

    def _state(self, target: Tensor, was: Tensor, leaf: Leaf) -> None:
        if leaf.value is was:
            return
        if leaf.kind != "tensor" or leaf.value.shape != was.shape or leaf.value.dtype != was.dtype:
            raise NotCompilable(f"what it keeps changes its shape: {leaf.path.lstrip('.')}")
        if is_batched(leaf.value) and not is_batched(was):
            raise shared_write(leaf.path.lstrip("."))
        target.copy_(expanded(leaf.value, self.population.width) if is_batched(was) else leaf.value)

    def _number(self, path: str, leaf: Leaf) -> Tensor | None:
        """The new value of a number that is an input, or None where its input must change first."""
        current = self.values.numbers[path]
        value = leaf.value
        if not isinstance(value, Tensor):
            if not isinstance(value, bool | int | float):
                raise NotCompilable(f"what it keeps changes as it goes: {path.lstrip('.')}")
            value = scalar(value)
        own = path in self.values.batched
        kind = self._kind(current.dtype, value, own)
        if kind != Kind(str(current.dtype).removeprefix("torch."), own):
            self.found[path] = kind
            return None
        value = value.to(current.dtype)
        return expanded(value, self.population.width).clone() if own else physical(value).clone()


def _wider(a: torch.dtype, b: torch.dtype) -> torch.dtype:
    if (a is torch.bool) != (b is torch.bool):
        raise NotCompilable("a number of its becomes a switch, or a switch a number")
    return torch.promote_types(a, b)


def _refuse_foreign_tensors(graph: GraphModule) -> None:
    """A tensor that is no input and wasn't made in the step was hidden from the walk: it would be frozen."""
    for node in graph.graph.find_nodes(op="get_attr"):
        if any(user.target is not torch.ops.aten.lift_fresh_copy.default for user in node.users):
            raise NotCompilable("it keeps a tensor where its step finds it and nobody else does")
