"""A chunk of members as one: their weights stacked, and one of their optimizers with everybody's state and numbers in it."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from assay.contenders.schedules import factor_at
from assay.core import Contender, Hyperparameters, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.hooks import refuse_hooks
from assay.engine.eager.model_mode import losses_and_gradients, outputs_of
from assay.engine.eager.object_graph import (
    Leaf,
    attributes,
    leaves_of,
    names_of,
    numbers_of,
    places,
    replace_known,
    token,
    walk,
)
from assay.engine.eager.optimizer_mode import UNSOUND, OptimizerMode
from assay.engine.eager.python_numbers import as_number, same
from assay.engine.eager.shared_memory import is_one_of, refuse_kept, refuse_shared_memory
from assay.engine.eager.surroundings import see_unchanged, surroundings
from assay.engine.refusal import Again, Hindered, NotVectorizable, refusal
from assay.engine.torch_private import batched, expanded, vmap_level
from assay.space import Choice
from assay.training.step import Step, own_randomness, scored, set_up, with_own_loss

Gradients = Sequence[Tensor | None]  # of the trained weights, each (members, …)
Evaluate = Callable[[], tuple[Tensor, Gradients]]  # losses (members,) and gradients where the weights are
DRAWN_AGAIN = "the model draws dropout anew each time that its closure is called"
PROBED = 64  # contenders whose tuned numbers are kept
BLOCK_BYTES = 1 << 28  # inputs of the members that a device scores at once


class Population:
    """Members' weights, state and numbers, members first, and the steps they take together.

    Attributes:
        weights: every parameter and buffer (members, …) by name; `trained` are the names that gradients are taken of.
        optimizer: the template: one member's real optimizer, its tensors batched and its differing numbers too.
        stacked: paths of the numbers of which each member has its own.
        share: keep scalars of state once for all members, where they start out equal.
        unsound: why members can't go on that have left what is `sound`.
        alive: (members,) bool, who still counts; all, if None.
        shared: paths of what is kept and is in a weight's memory, until the next step keeps another tensor there.
        evaluations: (members,) of the gradient so far, by closures more than one a step.
        taken: steps so far; the first `warm` were taken by the loop, so that lazily made state is there. On a device none
            is, where that works: there, steps of single members would take longer than all that follows.
    Raises:
        NotVectorizable: where the members can't share one step.
    """

    compiles, unsound = False, UNSOUND

    def __init__(
        self,
        task: Task,
        contender: Contender,
        members: Sequence[Member],
        numerics: Numerics,
        batches: Batches,
        *,
        warm: int | None = None,
        share: bool = True,
        lay: bool = True,
    ) -> None:
        self.given, self.contender, self.members, self.numerics = task, contender, members, numerics
        self.task = with_own_loss(task)
        self.warm = warm if warm is not None else int(numerics.device == "cpu")
        self.run, self.width, self.taken = batches.run, len(members), self.warm
        with own_randomness():
            self.tuned = tuned_numbers(task, contender, members[0], numerics, batches)
            setups = [self.set_up(i, batches) for i in range(len(members))]
        self.warm_traces = _traces(setups) if self.warm else ()  # of each step (3, members)
        # An optimizer may keep its own model, whose weights are replaced
        if setups[0].closure == "graph":
            raise NotVectorizable("its step differentiates the gradient")
        self.closure = setups[0].closure == "yes"
        self.evaluations = np.array([setup.evaluations for setup in setups])
        self.model = copy.deepcopy(setups[0].model).to(numerics.device).train()
        self.optimizer = setups[0].optimizer
        self.trained = [name for name, p in self.model.named_parameters() if p.requires_grad]
        names = names_of(setups[0].model)
        # Of the state_dict, tied weights once for each of their names
        self.state_names = [names[id(t)] for t in setups[0].model.state_dict(keep_vars=True).values()]
        self.share, self.wishes = share, self.compiles and lay
        try:
            self._stack(setups)
        except NotVectorizable as error:
            raise self._warmer(error) from error
        scheduled = setups[: None if contender.schedule_takes else 1]  # what takes nothing is one for all
        self.schedules = [setup.schedule for setup in scheduled if setup.schedule is not None]
        rates = zip(*(setup.initial for setup in setups), strict=True) if contender.schedule is not None else ()
        # each group's learning rate before any schedule, (groups) × (members,)
        self.initial = [torch.tensor(r, dtype=torch.float64, device=numerics.device) for r in rates]
        self.alive: Tensor | None = None
        self.sound = torch.ones(self.width, dtype=torch.bool, device=numerics.device)
        self.of_loss = attributes(self.task.loss)
        self.around = self._around()
        self.begin(batches)

    def begin(self, batches: Batches) -> None:
        """What a kind of population needs before its first step."""

    def set_up(self, i: int, batches: Batches) -> Step:
        """Member i's own model and optimizer, after the first `warm` steps of the loop."""
        numerics = self.numerics if self.warm else msgspec.structs.replace(self.numerics, device="cpu")
        setup = set_up(self.task, self.contender, self.members[i], numerics, self.run)
        for s in range(self.warm):
            setup(*batches.of_member(i, s))
        return setup

    def _warmer(self, error: NotVectorizable) -> NotVectorizable:
        """What to raise where a population fails before any step: it may do better after a step of the loop."""
        return error if self.taken or isinstance(error, Again | Hindered) else Again(str(error), warm=True)

    # ---------------------------------------------------------------------------------------------- stacking

    def _stack(self, setups: Sequence[Step]) -> None:
        refuse_hooks(setups[0].model, setups[0].optimizer)
        walked = [leaves_of(setup) for setup in setups]
        first = walked[0]
        held = (place.value for place in places(setups[0].optimizer, names_of(setups[0].model)))
        if self.closure and any(isinstance(value, nn.Module) for value in held):
            raise NotVectorizable("it holds the model, and may change it between two evaluations")
        weights = tensors_of(setups[0].model)
        self.shared = {path for path, leaf in first.items() if self.closure and is_one_of(leaf, weights.values())}
        refuse_shared_memory({path: leaf for path, leaf in first.items() if path not in self.shared}, weights)
        self.stacked = sorted(path for path in self.tuned if path in first and first[path].kind == "number")
        if unlike := [path for other in walked for path in other.keys() ^ first.keys()]:
            raise NotVectorizable(f"the members' optimizers keep different things: {unlike[0]}")
        named = [{**dict(s.model.named_parameters()), **dict(s.model.named_buffers())} for s in setups]
        for name, tensor in named[0].items():
            if any(n[name].shape != tensor.shape for n in named):
                raise NotVectorizable(f"the members' models differ in the shape of {name}")
        device = self.numerics.device
        self.weights = {name: self.lay(torch.stack([n[name].detach() for n in named]).to(device)) for name in named[0]}
        with vmap_level(self.width) as level:
            self.wrapped = {name: batched(tensor, level) for name, tensor in self.weights.items()}
            for path, leaf in first.items():
                leaves = [w[path] for w in walked]
                if leaf.kind == "number" and all(kind.kind == "number" for kind in leaves):
                    values = [kind.value for kind in leaves]
                    if path in self.stacked or not all(same(v, values[0]) for v in values):
                        leaf.put(as_number(batched(number_tensor(values, path, device), level)))
                        self.stacked = sorted({*self.stacked, path})
                elif any(kind.kind != leaf.kind or token(kind) != token(leaf) for kind in leaves):
                    shown = " and ".join(sorted({str(token(kind))[:40] for kind in leaves})[:2])
                    raise NotVectorizable(f"the members' optimizers differ in {path}: {shown}")
                elif leaf.kind == "tensor":
                    values = [kind.value.detach() for kind in leaves]
                    shared = self.share and values[0].dim() == 0 and all(torch.equal(v, values[0]) for v in values)
                    own = torch.stack(values).to(device)  # a scalar may have lived on the CPU
                    leaf.put(values[0] if shared else batched(self.lay(own), level))
        replace_known(self.optimizer, names_of(setups[0].model), self.wrapped)

    def lay(self, stacked: Tensor) -> Tensor:
        """The same values as each member's own would lie in memory; or, as compiled steps wish it, with a matrix's longer side
        last: the layout that its gradient is computed in."""
        if self.wishes and stacked.dim() == 3 and stacked.shape[1] > stacked.shape[2]:
            return stacked.mT.contiguous().mT
        return stacked

    @property
    def known(self) -> dict[int, str]:
        """id → name of the batched weights, which stand in the template for the model's own."""
        return {id(t): name for name, t in self.wrapped.items()}

    # ---------------------------------------------------------------------------------------------- stepping

    def step(self, x: Tensor, y: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """One step of all members on batches (members, batch, …): loss, gradient norm, update norm (3, members)."""
        try:
            self._apply_schedule()
            diagnostics = self.diagnosed(self._update, self.weights, x, y, masks)
        except Exception as error:
            raise self._warmer(refusal(error)) from error
        self.taken += 1
        return diagnostics

    def diagnosed(
        self,
        update: Callable[[Evaluate], None],
        weights: Mapping[str, Tensor],
        x: Tensor,
        y: Tensor,
        masks: Sequence[Tensor],
    ) -> Tensor:
        """Loss, gradient norm and update norm (3, members) of a step in which `update` changes the weights in place.

        The first two are those of its first evaluation.
        """
        seen: list[tuple[Tensor, Tensor]] = []

        def evaluate() -> tuple[Tensor, Gradients]:
            if masks and self.closure:
                raise NotVectorizable(DRAWN_AGAIN)
            losses, gradients = losses_and_gradients(self.task, self.model, weights, self.trained, x, y, masks)
            if not seen:
                seen.append((losses, norms([g for g in gradients if g is not None])))
            return losses, gradients

        before = [weights[name].clone() for name in self.trained]
        update(evaluate)
        if not seen:
            raise NotVectorizable("its step doesn't call its closure")
        update_norm = norms([b.sub_(weights[n]) for b, n in zip(before, self.trained, strict=True)])
        return torch.stack([*seen[0], update_norm])

    def _update(self, evaluate: Evaluate) -> None:
        with self.stepped(self.optimizer, evaluate, self.wrapped) as mode:
            self._settle(mode)
        self.evaluations += mode.evaluations
        self.shared = mode.given

    @contextlib.contextmanager
    def stepped(
        self,
        optimizer: Any,
        evaluate: Evaluate,
        wrapped: Mapping[str, Tensor],
        on_read: Callable[[Tensor, Any], None] | None = None,
    ) -> Iterator[OptimizerMode]:
        """Inside, an optimizer of `wrapped` weights has taken everybody's step."""
        names = {id(t): name for name, t in wrapped.items()}
        if not self.closure:
            _, gradients = evaluate()
            with self.together(gradients, wrapped, on_read) as mode:
                mode.evaluations = 1
                optimizer.step()
                mode.dead = {}
                refuse_kept(mode.placed, walk(optimizer, names) if mode.placed else {}, wrapped)
                yield mode
            return
        before = walk(optimizer, names)
        with self.together([None] * len(self.trained), wrapped, on_read) as mode:
            mode.awaited = True
            mode.dead |= {id(before[path].value): before[path].value for path in self.shared & before.keys()}
            optimizer.step(functools.partial(mode.closure, evaluate))
            mode.over = True
            kept = walk(optimizer, names)
            self._put_back(mode, kept, {id(leaf.value) for leaf in before.values()})
            mode.dead = {}
            refuse_kept(mode.placed, kept, wrapped)
            yield mode

    def _put_back(self, mode: OptimizerMode, kept: Mapping[str, Leaf], old: set[int]) -> None:
        """What SAM does: the weights as they were are kept anew in each step, and given to `p.data`: they are p's memory then.

        They are until the next step keeps others; here they aren't, so that it may do nothing else with them before.
        """
        fresh = {id(leaf.value): path for path, leaf in kept.items() if id(leaf.value) not in old}
        mode.given = {fresh[id(value)] for _, value in mode.placed if id(value) in fresh}
        if lasting := [p for p, leaf in kept.items() if id(leaf.value) in mode.dead and id(leaf.value) not in fresh]:
            raise NotVectorizable(f"{lasting[0]} and a weight share their memory")
        mode.placed = [(p, value) for p, value in mode.placed if id(value) not in fresh]

    def _settle(self, mode: OptimizerMode) -> None:
        """What is only seen after a step."""
        if mode.sound is not None:
            self.sound &= expanded(mode.sound, self.width)

    @contextlib.contextmanager
    def together(
        self, gradients: Gradients, wrapped: Mapping[str, Tensor], on_read: Callable[[Tensor, Any], None] | None = None
    ) -> Iterator[OptimizerMode]:
        """Inside, an optimizer of `wrapped` weights is everybody's, and these are the gradients of the `trained`."""
        with vmap_level(self.width) as level, torch.no_grad():
            own = [g if g is None else batched(g, level) for g in gradients]
            grads = dict(zip((id(wrapped[name]) for name in self.trained), own, strict=True))
            with OptimizerMode(self.width, level, grads, self.numerics.device, self.alive, on_read) as mode:
                yield mode
            if mode.refused is not None:  # and the optimizer went on
                raise mode.refused

    def _apply_schedule(self) -> None:
        if self.contender.schedule is None:
            return
        factor = self.factor(self.taken)
        factor = factor.to(self.numerics.device) if factor.dim() else factor
        with vmap_level(self.width) as level:
            for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
                group["lr"] = as_number(batched(initial * factor, level))

    def factor(self, taken: int) -> Tensor:
        """What a schedule multiplies the rates by before step `taken`, (members,), or () where it is one for all."""
        done = taken / self.run.total_steps
        factors = torch.tensor([factor_at(schedule, done) for schedule in self.schedules], dtype=torch.float64)
        return factors if self.contender.schedule_takes else factors[0]

    def switch(self, training: bool) -> None:
        """Tell an optimizer that keeps two sets of weights which of them is wanted, as the loop does."""
        switch = getattr(self.optimizer, "train" if training else "eval", None)
        if callable(switch):
            try:
                kept = walk(self.optimizer, self.known) if self.shared else {}
                with self.together([None] * len(self.trained), self.wrapped) as mode:
                    mode.dead |= {id(kept[path].value): kept[path].value for path in self.shared & kept.keys()}
                    switch()
                    mode.dead = {}
                    refuse_kept(mode.placed, walk(self.optimizer, self.known) if mode.placed else {}, self.wrapped)
                    self._settle(mode)
            except Exception as error:
                raise refusal(error) from error

    # ---------------------------------------------------------------------------------------------- looking

    def see_steady(self) -> None:
        """NotVectorizable where the loss, or what code reaches and all members share, has changed since the start."""
        if attributes(self.task.loss) != self.of_loss:
            raise NotVectorizable("the loss keeps something from one batch to the next")
        see_unchanged(self.around, self._around())

    def _around(self) -> dict[str, Any]:
        metric = self.task.metric.score
        return surroundings(self.optimizer, self.model, self.task.loss, kept=(metric, self.contender.schedule))

    def finite(self) -> Tensor:
        """(members,) bool: are all of a member's parameters finite."""
        parameters = (self.weights[name].reshape(self.width, -1) for name, _ in self.model.named_parameters())
        return torch.stack([torch.isfinite(p).all(1) for p in parameters]).all(0)

    def flat_weights(self) -> Tensor:
        """(members, P): all parameters and buffers, in the order of the model's `state_dict`."""
        tensors = (self.weights[name].detach() for name in self.state_names)
        return torch.cat([t.double().reshape(self.width, -1) for t in tensors], 1).float().cpu()

    @torch.no_grad()
    def scores(self, splits: Sequence[tuple[Tensor, Tensor]], wanted: np.ndarray, watched: bool = False) -> np.ndarray:
        """The metric of the `wanted` members (members,) bool, in evaluation mode, each on its own split.

        On a CPU one member after the other, whose activations then stay in cache; elsewhere many at once. `watched`: see
        that the one model that they share keeps nothing of it.
        """
        model, score = self.model, self.task.metric.score
        before = attributes(model) if watched else {}
        model.eval()
        try:
            made: list[Tensor] = []
            if splits[0][0].device.type == "cpu" or len({s[0].shape for s in splits}) > 1:
                for i in np.flatnonzero(wanted).tolist():
                    weights = {name: tensor[i] for name, tensor in self.weights.items()}
                    made.append(scored(self.task, functools.partial(functional_call, model, weights), *splits[i]))
                return torch.stack(made).double().cpu().numpy()
            block = max(1, BLOCK_BYTES // max(1, splits[0][0].nbytes))
            for start in range(0, len(splits), block):
                some = slice(start, start + block)
                weights = {name: tensor[some] for name, tensor in self.weights.items()}
                outputs = outputs_of(model, weights, torch.stack([s[0] for s in splits[some]]))
                targets = torch.stack([s[1] for s in splits[some]])
                try:
                    made.append(torch.vmap(score)(outputs, targets))
                except Exception:  # a metric that doesn't allow it
                    made.append(torch.stack([score(o, t) for o, t in zip(outputs, targets, strict=True)]))
            return torch.cat(made).double().cpu().numpy()[wanted]
        finally:
            model.train()
            if watched and attributes(model) != before:
                raise NotVectorizable("the model changes what it keeps as it is evaluated")


def tuned_numbers(
    task: Task, contender: Contender, member: Member, numerics: Numerics, batches: Batches
) -> frozenset[str]:
    """Paths of the numbers that a tuned hyperparameter changes, whatever the members of a chunk happen to have.

    Found by making the optimizer with other values, one hyperparameter at a time, and taking a step.
    """
    key = (id(task), id(contender), numerics.dtype)
    if key in _kept:
        return _kept[key][0]

    def stepped(values: Hyperparameters) -> Step:
        changed = msgspec.structs.replace(member, hyperparameters={**member.hyperparameters, **values})
        setup = set_up(task, contender, changed, numerics, batches.run)
        setup(*batches.of_member(0, 0))
        return setup

    reference, found = numbers_of(stepped({})), set[str]()
    for name, dimension in contender.space.items():
        for value in () if isinstance(dimension, Choice) else (dimension.low, dimension.high):
            try:
                setup = stepped({name: value})
            except Exception:  # a value the optimizer refuses tells nothing
                continue
            changed = {p: v for p, v in numbers_of(setup).items() if p in reference and v != reference[p]}
            found |= {p for p, v in changed.items() if type(v) is not bool}
    if len(_kept) > PROBED:
        _kept.clear()
    _kept[key] = frozenset(found), task, contender
    return frozenset(found)


_kept: dict[tuple[int, int, str], tuple[frozenset[str], Task, Contender]] = {}  # what is kept keeps its id


def _traces(setups: Sequence[Step]) -> Tensor:
    """Loss, gradient norm, update norm of the steps that the loop took, (steps, 3, members)."""
    kept = [(s.losses, s.grad_norms, s.update_norms) for s in setups]
    return torch.stack([torch.stack([torch.stack(values) for values in own]) for own in kept]).permute(2, 1, 0)


def number_tensor(values: Sequence[Any], path: str, device: str) -> Tensor:
    """Python numbers of one kind as a tensor that loses nothing: float64, or int64."""
    if any(isinstance(v, bool) for v in values):
        raise NotVectorizable(f"the members' optimizers differ in a switch: {path}")
    dtype = torch.int64 if all(isinstance(v, int) for v in values) else torch.float64
    return torch.tensor(values, dtype=dtype, device=device)


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together for each member, (members,)."""
    # not flattened: that would copy a gradient that comes transposed
    each = [torch.linalg.vector_norm(t, dim=tuple(range(1, t.dim()))) if t.dim() > 1 else t.abs() for t in tensors]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and buffer by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
