"""The reference engine: one model at a time, in a plain PyTorch loop. What every other engine must agree with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assay.contenders.interface import needs_closure
from assay.core import Contender, Curves, Member, Numerics, Run, Task, steps_per_epoch
from assay.errors import UsageError
from assay.training.data import Data, load
from assay.training.data import epoch as epoch_of
from assay.training.seeding import seed_all


def train(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> Curves:
    """Train the members, one after the other, and return what each left over the epochs."""
    return Curves.concatenate([_train_one(task, contender, member, numerics) for member in members])


def _train_one(task: Task, contender: Contender, member: Member, numerics: Numerics) -> Curves:
    started = time.perf_counter()
    data = load(task, member.split, numerics.dtype, numerics.device)
    steps = steps_per_epoch(len(data.train[0]), task.batch_size)
    run = Run(task.epochs * steps, task.epochs, steps, fused=True)

    with torch.random.fork_rng(devices=[]):
        seed_all(member.init, numerics.device)
        model = task.model().to(numerics.device, getattr(torch, numerics.dtype))
        optimizer = contender.make(model, run, **{**contender.fixed, **member.hyperparameters})
        seed_all(member.noise, numerics.device)
        step = Step(task, contender, model, optimizer, run)
        order = torch.Generator().manual_seed(member.batches)
        traces = np.full((5, task.epochs), np.nan)  # validation, test, loss, gradient norm, update norm
        diverged = 0
        lengths = np.full((1, run.total_steps), np.nan, dtype=np.float32)
        for epoch in range(task.epochs):
            _mode(model, optimizer, training=True)
            for x, y in epoch_of(data, task.batch_size, order, numerics.dtype):
                step(x, y)
            lengths[0, epoch * steps : (epoch + 1) * steps] = step.update_lengths()
            means = step.epoch_means()
            _mode(model, optimizer, training=False)
            if not np.isfinite(means).all() or not _finite(model):
                diverged = epoch + 1
                break
            traces[2:, epoch] = means
            traces[0, epoch] = score(task, model, *data.validation)
            if member.phase == "final":
                traces[1, epoch] = score(task, model, *data.test)

    return Curves(
        validation=traces[None, 0],
        test=traces[None, 1] if member.phase == "final" else None,
        train_loss=traces[None, 2],
        grad_norm=traces[None, 3],
        update_norm=traces[None, 4],
        diverged=np.array([diverged]),
        gradient_evaluations=np.array([step.evaluations]),
        seconds=np.array([time.perf_counter() - started]),
        data=(data.facts,),
        weights=flat_weights(model)[None] if member.phase == "tune" and data.tests_later else None,
        step_norms=lengths if member.phase == "final" else None,
    )


_GRADIENTS_FIRST = """It may want gradients that are there before step(closure) is called, as some SAMs do; this gives them first:
    class WithGradients({name}):
        def step(self, closure):
            with torch.enable_grad():
                closure()
            return super().step(closure)"""


class Step:
    """One training step, whatever the optimizer's closure asks for; counts gradients and keeps the epoch's means."""

    def __init__(self, task: Task, contender: Contender, model: nn.Module, optimizer: Any, run: Run) -> None:
        self.task, self.model, self.optimizer, self.closure = task, model, optimizer, contender.closure
        if optimizer is None:
            raise UsageError(f"{contender.name} returns None instead of an optimizer (a return statement is missing)")
        if not callable(getattr(optimizer, "step", None)):
            raise UsageError(f"{contender.name} makes a {type(optimizer).__name__}, which has no step()")
        if self.closure == "no" and needs_closure(optimizer.step):  # what a factory makes is known only now
            self.closure = "yes"
        if contender.schedule and not all("lr" in g for g in getattr(optimizer, "param_groups", [{}])):
            raise UsageError(
                f"{contender.name} can't be scheduled: a schedule is written to group['lr'] of its param_groups, which it "
                "lacks. Give it param_groups that its step reads, or a factory that schedules it itself:\n"
                "    def mine(model, run, lr): ..."
            )
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.before = [torch.empty_like(p) for p in self.parameters]
        self.groups = optimizer.param_groups if contender.schedule else []
        self.initial = [group["lr"] for group in self.groups]
        self.schedule, self.total_steps = contender.schedule, run.total_steps
        self.evaluations = self.taken = 0
        self.losses: list[Tensor] = []
        self.grad_norms: list[Tensor] = []
        self.update_norms: list[Tensor] = []
        _mode(model, optimizer, training=True)  # schedule-free optimizers refuse to step otherwise

    def __call__(self, x: Tensor, y: Tensor) -> None:
        """Take one step on a batch."""
        factor = 1.0
        if self.schedule:
            factor = self.schedule(self.taken / self.total_steps)
            for group, initial in zip(self.groups, self.initial, strict=True):
                group["lr"] = initial * factor
        first = self.evaluations

        def evaluate() -> Tensor:
            for p in self.parameters:
                p.grad = None
            with torch.enable_grad():
                loss = self.task.loss(self.model(x), y)
                loss.backward(create_graph=self.closure == "graph")
            if self.evaluations == first:
                self.losses.append(loss.detach())
                self.grad_norms.append(norm([p.grad.detach() for p in self.parameters if p.grad is not None]))
            self.evaluations += 1
            return loss

        with torch.no_grad():
            torch._foreach_copy_(self.before, self.parameters)
        if self.closure == "no":
            evaluate()
            self.optimizer.step()
        else:
            try:
                self.optimizer.step(evaluate)
            except Exception as error:
                if self.evaluations == 0:  # the closure, which makes the gradients, was never called
                    error.add_note(_GRADIENTS_FIRST.format(name=type(self.optimizer).__name__))
                raise
        with torch.no_grad():
            torch._foreach_sub_(self.before, self.parameters)
            self.update_norms.append(norm(self.before))
        if self.schedule and self.taken == 0:
            self._see_that_the_schedule_holds(factor)
        self.taken += 1

    def _see_that_the_schedule_holds(self, factor: float) -> None:
        for group, initial in zip(self.groups, self.initial, strict=True):
            if group["lr"] != initial * factor:
                raise UsageError(
                    "its step writes a rate of its own into group['lr'], so a schedule would be ignored (assay check shows "
                    "it): read group['lr'] at each step and put it back, or leave the schedule out"
                )

    def update_lengths(self) -> np.ndarray:
        """The update norm of every step since the last call of `epoch_means`."""
        return torch.stack(self.update_norms).float().cpu().numpy()

    def epoch_means(self) -> np.ndarray:
        """Mean loss, gradient norm and update norm (3,) since the last call."""
        means = torch.stack([torch.stack(kept).mean() for kept in (self.losses, self.grad_norms, self.update_norms)])
        self.losses, self.grad_norms, self.update_norms = [], [], []
        return means.double().cpu().numpy()


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, 0-dimensional."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))


@torch.no_grad()
def score(task: Task, model: nn.Module, inputs: Tensor, targets: Tensor) -> float:
    """The metric of a model in evaluation mode on a whole split."""
    return float(task.metric.score(model(inputs), targets))


def flat_weights(model: nn.Module) -> np.ndarray:
    """All parameters and buffers as one vector (P,), in the order of `state_dict`."""
    return torch.cat([t.detach().double().flatten().cpu() for t in model.state_dict().values()]).float().numpy()


def load_weights(model: nn.Module, weights: np.ndarray) -> None:
    """The inverse of `flat_weights`."""
    vector, start = torch.from_numpy(weights), 0
    state = model.state_dict()
    for name, tensor in state.items():
        state[name] = vector[start : start + tensor.numel()].view(tensor.shape).to(tensor.dtype)
        start += tensor.numel()
    model.load_state_dict(state)


def score_weights(task: Task, members: Sequence[Member], weights: np.ndarray, numerics: Numerics) -> np.ndarray:
    """Test scores (n,) of members that have been trained, from their final weights (n, P); NaN where not finite."""
    scores = np.full(len(members), np.nan)
    with torch.random.fork_rng(devices=[]):
        model = task.model().to(numerics.device, getattr(torch, numerics.dtype)).eval()
        for i, member in enumerate(members):
            if np.isfinite(weights[i]).all():
                load_weights(model, weights[i])
                data: Data = load(task, member.split, numerics.dtype, numerics.device)
                scores[i] = score(task, model, *data.test)
    return scores


def _finite(model: nn.Module) -> bool:
    return all(bool(torch.isfinite(p).all()) for p in model.parameters())


def _mode(model: nn.Module, optimizer: Any, training: bool) -> None:
    model.train(training)
    switch: Callable[[], Any] | None = getattr(optimizer, "train" if training else "eval", None)
    if callable(switch):  # schedule-free optimizers keep two sets of weights
        switch()
