"""A chunk of members as one: their weights stacked, and one of their optimizers with everybody's state and numbers in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor

from assay.core import Contender, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import losses_and_gradients
from assay.engine.eager.object_graph import Leaf, leaves_of, names_of, replace_known, token
from assay.engine.eager.optimizer_mode import OptimizerMode
from assay.engine.eager.python_numbers import as_number
from assay.engine.eager.refusal import Again, Hindered, NotVectorizable, refusal
from assay.engine.eager.torch_private import batched, vmap_level
from assay.engine.eager.tuned_numbers import tuned_numbers
from assay.training.step import Step, set_up


class Population:
    """Members' weights, state and numbers, members first, and the steps they take together.

    Attributes:
        weights: every parameter and buffer (members, …) by name; `trained` are the names that gradients are taken of.
        optimizer: the template: one member's real optimizer, its tensors batched and its differing numbers too.
        stacked: paths of the numbers of which each member has its own.
        share: keep scalars of state once for all members, where they start out equal.
        taken: steps so far; the first `warm` were taken by the loop, so that lazily made state is there. On a device none
            is, where that works: there, steps of single members would take longer than all that follows.
    Raises:
        NotVectorizable: where the members can't share one step.
    """

    compiles = False

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
        self.task, self.contender, self.members, self.numerics = task, contender, members, numerics
        self.warm = warm if warm is not None else int(numerics.device == "cpu")
        self.run, self.width, self.taken = batches.run, len(members), self.warm
        with torch.random.fork_rng(devices=[]):
            self.tuned = tuned_numbers(task, contender, members[0], numerics, batches)
            setups = [self.set_up(i, batches) for i in range(len(members))]
        self.warm_traces = _traces(setups) if self.warm else ()  # of each step (3, members)
        # An optimizer may keep its own model, whose weights are replaced
        self.model = copy.deepcopy(setups[0].model).to(numerics.device).train()
        self.optimizer = setups[0].optimizer
        self.trained = [name for name, p in self.model.named_parameters() if p.requires_grad]
        names = names_of(setups[0].model)
        # Of the state_dict, tied weights under each of their names
        self.state_names = {key: names[id(t)] for key, t in setups[0].model.state_dict(keep_vars=True).items()}
        self.share, self.wishes = share, self.compiles and lay
        try:
            self._stack(setups)
        except NotVectorizable as error:
            raise self._warmer(error) from error
        self.initial = self._initial(setups)
        self.alive = torch.ones(self.width, dtype=torch.bool)

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
        walked = [leaves_of(setup) for setup in setups]
        first = walked[0]
        _refuse_shared_memory(first)
        self.stacked = sorted(path for path in self.tuned if path in first and first[path].kind == "number")
        for other in walked[1:]:
            if other.keys() != first.keys():
                path = next(iter(other.keys() ^ first.keys()))
                if "_hooks[" in path:
                    raise NotVectorizable("it has step hooks, which each member has for itself")
                raise NotVectorizable(f"the members' optimizers keep different things: {path.lstrip('.')}")
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
                    if path in self.stacked or any(
                        v != values[0] and not (v != v and values[0] != values[0]) for v in values
                    ):
                        leaf.put(as_number(batched(number_tensor(values, path, device), level)))
                        self.stacked = sorted({*self.stacked, path})
                elif any(kind.kind != leaf.kind or token(kind) != token(leaf) for kind in leaves):
                    raise NotVectorizable(f"the members' optimizers differ in {path.lstrip('.')}: {_shown(leaves)}")
                elif leaf.kind == "tensor":
                    values = [kind.value.detach() for kind in leaves]
                    shared = self.share and values[0].dim() == 0 and all(torch.equal(v, values[0]) for v in values)
                    own = torch.stack(values).to(device)  # a scalar may have lived on the CPU
                    leaf.put(values[0] if shared else batched(self.lay(own), level))
        replace_known(self.optimizer, names_of(setups[0].model), self.wrapped)

    def lay(self, stacked: Tensor) -> Tensor:
        """Where stacked values go in memory: as each member's own would, or as compiled steps wish it."""
        return laid(stacked) if self.wishes else stacked

    @property
    def known(self) -> dict[int, str]:
        """id → name of the batched weights, which stand in the template for the model's own."""
        return {id(t): name for name, t in self.wrapped.items()}

    def _initial(self, setups: Sequence[Step]) -> list[Tensor]:
        """Each group's learning rate before any schedule, (groups) × (members,)."""
        if self.contender.schedule is None:
            return []
        rates = zip(*(setup.initial for setup in setups), strict=True)
        return [torch.tensor(r, dtype=torch.float64, device=self.numerics.device) for r in rates]

    # ---------------------------------------------------------------------------------------------- stepping

    def step(self, x: Tensor, y: Tensor, masks: Sequence[Tensor] = ()) -> Tensor:
        """One step of all members on batches (members, batch, …): loss, gradient norm, update norm (3, members)."""
        try:
            if self.contender.schedule is not None:
                self._apply_schedule()
            losses, gradients = losses_and_gradients(self.task, self.model, self.weights, self.trained, x, y, masks)
            before = [self.weights[name].clone() for name in self.trained]
            grad_norm = norms([g for g in gradients if g is not None])
            self._optimize(gradients)
            update_norm = norms([b.sub_(self.weights[n]) for b, n in zip(before, self.trained, strict=True)])
        except Exception as error:
            raise self._warmer(refusal(error)) from error
        self.taken += 1
        return torch.stack([losses, grad_norm, update_norm])

    def _optimize(self, gradients: Sequence[Tensor | None]) -> None:
        with vmap_level(self.width) as level, torch.no_grad():
            grads = {
                id(self.wrapped[name]): None if g is None else batched(g, level)
                for name, g in zip(self.trained, gradients, strict=True)
            }
            alive = None if bool(self.alive.all()) else self.alive
            mode = OptimizerMode(self.width, level, grads, self.numerics.device, alive)
            with mode:
                self.optimizer.step()

    def _apply_schedule(self) -> None:
        factor = self.contender.schedule(self.taken / self.run.total_steps)  # type: ignore[misc]
        with vmap_level(self.width) as level:
            for group, initial in zip(self.optimizer.param_groups, self.initial, strict=True):
                group["lr"] = as_number(batched(initial * factor, level))

    def switch(self, training: bool) -> None:
        """Tell an optimizer that keeps two sets of weights which of them is wanted, as the loop does."""
        switch = getattr(self.optimizer, "train" if training else "eval", None)
        if callable(switch):
            try:
                with vmap_level(self.width) as level, torch.no_grad():
                    none: dict[int, Tensor | None] = {id(self.wrapped[name]): None for name in self.trained}
                    mode = OptimizerMode(self.width, level, none, self.numerics.device)
                    with mode:
                        switch()
            except Exception as error:
                raise refusal(error) from error

    @property
    def has_switch(self) -> bool:
        """Whether `switch` does anything."""
        return any(callable(getattr(self.optimizer, name, None)) for name in ("train", "eval"))

    # ---------------------------------------------------------------------------------------------- looking

    def finite(self) -> Tensor:
        """(members,) bool: are all of a member's parameters finite."""
        checks = [
            torch.isfinite(self.weights[name]).reshape(self.width, -1).all(1)
            for name, _ in self.model.named_parameters()
        ]
        return torch.stack(checks).all(0)

    def flat_weights(self) -> Tensor:
        """(members, P): all parameters and buffers, in the order of the model's `state_dict`."""
        return (
            torch.cat([self.weights[n].detach().double().reshape(self.width, -1) for n in self.state_names.values()], 1)
            .float()
            .cpu()
        )


def _traces(setups: Sequence[Step]) -> Tensor:
    """Loss, gradient norm, update norm of the steps that the loop took, (steps, 3, members)."""
    kept = [(s.losses, s.grad_norms, s.update_norms) for s in setups]
    return torch.stack([torch.stack([torch.stack(values) for values in own]) for own in kept]).permute(2, 1, 0)


def number_tensor(values: Sequence[Any], path: str, device: str) -> Tensor:
    """Python numbers of one kind as a tensor that loses nothing: float64, or int64."""
    if any(isinstance(v, bool) for v in values):
        raise NotVectorizable(f"the members' optimizers differ in a switch: {path.lstrip('.')}")
    whole = all(isinstance(v, int) for v in values)
    return torch.tensor(
        [v if whole else float(v) for v in values], dtype=torch.int64 if whole else torch.float64, device=device
    )


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together for each member, (members,)."""
    # not flattened: that would copy a gradient that comes transposed
    each = [torch.linalg.vector_norm(t, dim=tuple(range(1, t.dim()))) if t.dim() > 1 else t.abs() for t in tensors]
    return torch.linalg.vector_norm(torch.stack(each), dim=0)


def laid(stacked: Tensor) -> Tensor:
    """The same values with a matrix's longer side last in memory: the layout that its gradient is computed in."""
    if stacked.dim() == 3 and stacked.shape[1] > stacked.shape[2]:
        return stacked.mT.contiguous().mT
    return stacked


def _refuse_shared_memory(leaves: Mapping[str, Leaf]) -> None:
    owners: dict[int, str] = {}
    for path, leaf in leaves.items():
        if leaf.kind == "tensor" and leaf.value.numel():
            try:
                place = leaf.value.untyped_storage().data_ptr()
            except RuntimeError as error:  # a sparse one has no storage
                raise NotVectorizable(f"it keeps an unusual tensor in {path.lstrip('.')}") from error
            if place and place in owners:
                raise NotVectorizable(f"{path.lstrip('.')} and {owners[place].lstrip('.')} share their memory")
            owners[place] = path


def _shown(leaves: Sequence[Leaf]) -> str:
    shown = sorted({str(token(leaf))[:40] for leaf in leaves})
    return " and ".join(shown[:2])
