"""One training step of one model, as the reference loop takes it, and what it starts from: made here for every engine."""

from __future__ import annotations

import contextlib
import copy
import random
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cloudpickle
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from assay.contenders.guard.settings import random_states, set_random_states
from assay.contenders.interface import closure_of
from assay.contenders.schedules import factor_at
from assay.core import Contender, Member, Numerics, Run, Task
from assay.errors import UsageError
from assay.training.data import Given

_GRADIENTS_FIRST = """It may want gradients that are there before step(closure) is called, as some SAMs do; this gives them first:
    class WithGradients({name}):
        def step(self, closure):
            with torch.enable_grad():
                closure()
            return super().step(closure)"""


class Step:
    """One training step, whatever the optimizer's closure asks for; counts gradients and keeps the epoch's means."""

    def __init__(
        self,
        task: Task,
        contender: Contender,
        model: nn.Module,
        optimizer: Any,
        run: Run,
        forward_in: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
        micro_batch: int | None = None,
        schedule: Callable[[float], float] | None = None,
    ) -> None:
        """`forward_in`: makes the context that a forward pass is in. `micro_batch`: samples that go through at once. `schedule`:
        the contender's, at the values of what is tuned."""
        self.forward_in, self.micro_batch = forward_in, micro_batch
        self.forward: Callable[[Tensor], Tensor] = model
        self.task, self.model, self.optimizer = task, model, optimizer
        see_that_it_steps(contender.name, optimizer)
        self.closure = closure_of(contender.closure, optimizer.step)
        if schedule and not all("lr" in g for g in getattr(optimizer, "param_groups", [{}])):
            raise UsageError(
                f"{contender.name} can't be scheduled: a schedule is written to group['lr'] of its param_groups, which it "
                "lacks. Give it param_groups that its step reads, or a factory that schedules it itself:\n"
                "    def mine(model, run, lr): ..."
            )
        self.parameters: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
        self.before = [torch.empty_like(p) for p in self.parameters]
        self.groups = optimizer.param_groups if schedule else []
        self.initial = [group["lr"] for group in self.groups]
        self.schedule, self.total_steps = schedule, run.total_steps
        self.evaluations = self.taken = 0
        self.losses: list[Tensor] = []
        self.grad_norms: list[Tensor] = []
        self.update_norms: list[Tensor] = []
        set_mode(model, optimizer, training=True)  # schedule-free optimizers refuse to step otherwise

    def __call__(self, x: Tensor, y: Tensor) -> None:
        """Take one step on a batch."""
        factor = 1.0
        if self.schedule:
            factor = factor_at(self.schedule, self.taken / self.total_steps)
            for group, initial in zip(self.groups, self.initial, strict=True):
                group["lr"] = initial * factor
        first = self.evaluations

        def evaluate() -> Tensor:
            for p in self.parameters:
                p.grad = None
            with torch.enable_grad():
                loss = self._backward(x, y)
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
            if self.evaluations == 0:
                raise UsageError(
                    f"{type(self.optimizer).__name__}.step never calls the closure that it is given: nothing is trained"
                )
        with torch.no_grad():
            torch._foreach_sub_(self.before, self.parameters)
            self.update_norms.append(norm(self.before))
        if self.schedule and self.taken == 0:
            self._see_that_the_schedule_holds(factor)
        self.taken += 1

    def _backward(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch, its gradients added to the parameters': of micro-batches, the sum weighted by their samples."""
        losses = list[Tensor]()
        n = self.micro_batch
        for a, b in zip(x.split(n), y.split(n), strict=True) if n else ((x, y),):
            with self.forward_in():
                loss = _loss(self.task, self.forward, a, b)
            losses.append(loss if len(a) == len(x) else loss * (len(a) / len(x)))
            losses[-1].backward(create_graph=self.closure == "graph")
            if len(a) < len(x):
                losses[-1] = losses[-1].detach()  # what it was computed by is memory
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _see_that_the_schedule_holds(self, factor: float) -> None:
        if any(group["lr"] != initial * factor for group, initial in zip(self.groups, self.initial, strict=True)):
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


def see_that_it_steps(name: str, optimizer: Any) -> None:
    """UsageError where what a contender of this name made is no optimizer, or a schedule."""
    if optimizer is None:
        raise UsageError(f"{name} returns None instead of an optimizer (a return statement is missing)")
    if not callable(getattr(optimizer, "step", None)):
        raise UsageError(f"{name} makes a {type(optimizer).__name__}, which has no step()")
    own = type(optimizer).step if isinstance(optimizer, torch.optim.Optimizer) else None
    if getattr(own, "__wrapped__", own) is torch.optim.Optimizer.step:  # torch wraps it when the first one is made
        raise UsageError(f"{name} makes a {type(optimizer).__name__}, which has no step() of its own")
    if isinstance(optimizer, LRScheduler):
        raise UsageError(
            f"{name} makes a {type(optimizer).__name__}, a schedule: its step() changes the rate and trains nothing; return "
            "the optimizer, with a step() that also takes the schedule's"
        )


def _loss(task: Task, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    given = Given(x, y)
    outputs = model(x)
    given.see_unwritten(f"task {task.name}: its model")
    loss = task.loss(outputs, y)
    given.see_unwritten(f"task {task.name}: its loss")
    return loss


def scored(
    task: Task, model: Callable[[Tensor], Tensor], inputs: Tensor, targets: Tensor, at_once: int | None = None
) -> Tensor:
    """The metric of a model in evaluation mode on a whole split, of which `at_once` samples go through it together.

    UsageError where one of them writes to it.
    """
    given = Given(inputs, targets)
    outputs = model(inputs) if not at_once else torch.cat([model(part) for part in inputs.split(at_once)])
    given.see_unwritten(f"task {task.name}: its model")
    score = task.metric.score(outputs, targets)
    given.see_unwritten(f"task {task.name}: its metric")
    return score


def set_up(task: Task, contender: Contender, member: Member, numerics: Numerics, run: Run) -> Step:
    """The step of a model with the weights that the member's seed gives, and its optimizer, in training mode.

    Draws from the global generators and leaves them seeded with the member's noise.

    Raises:
        UsageError: what the contender makes is no optimizer, or none that its schedule can drive.
    """
    task = with_own_loss(task)
    seed_all(member.init, numerics.device)
    model = make_model(task, numerics)
    optimizer = contender.made(model, run, member.hyperparameters)
    if not run.fused:
        for group in getattr(optimizer, "param_groups", ()):
            for option in ("foreach", "fused"):  # one tensor at a time is what vmap takes
                if option in group:
                    group[option] = False
    seed_all(member.noise, numerics.device)
    forward_in = partial(precisely, numerics)
    schedule = contender.schedule_at(member.hyperparameters)
    return Step(task, contender, model, optimizer, run, forward_in, numerics.micro_batch or None, schedule)


def precisely(numerics: Numerics) -> contextlib.AbstractContextManager[Any]:
    """A forward pass in here computes its products in the precision of the numerics."""
    if numerics.precision != "bf16":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(numerics.device).type, torch.bfloat16)


@contextlib.contextmanager
def tensor_cores(numerics: Numerics) -> Iterator[None]:
    """In here a GPU multiplies matrices in TF32, if the numerics say so."""
    before = torch.get_float32_matmul_precision()
    if numerics.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        if numerics.precision == "tf32":
            torch.set_float32_matmul_precision(before)


def with_own_loss(task: Task) -> Task:
    """The task with a loss of its own, as far as a loss can keep anything: no training sees what another's left in it."""
    loss = task.loss
    if isinstance(loss, types.FunctionType):
        if not any(_keeps(cell) for cell in loss.__closure__ or ()):
            return task
        return replace(task, loss=cloudpickle.loads(cloudpickle.dumps(loss)))
    return replace(task, loss=copy.deepcopy(loss))


def _keeps(cell: types.CellType) -> bool:
    return cell != types.CellType() and not isinstance(cell.cell_contents, str | int | float | type | types.ModuleType)


def make_model(task: Task, numerics: Numerics) -> nn.Module:
    """A task's model in the dtype and on the device that it trains on. UsageError: see `see_weights`."""
    model = task.model()
    see_weights(model)
    return model.to(numerics.device, getattr(torch, numerics.dtype))


def see_weights(model: nn.Module) -> None:
    """UsageError where a model's weights have no shape yet, or are complex: their imaginary parts would be lost."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise UsageError(
                f"its model's {name} has no shape before the first batch: give its layer its sizes (nn.Linear, not nn.LazyLinear)"
            )
        if tensor.is_complex():
            raise UsageError(
                f"its model's {name} is complex: keep it as real numbers (torch.view_as_real), and make it complex in forward"
            )


@contextlib.contextmanager
def own_randomness() -> Iterator[None]:
    """What is drawn in here from torch's, NumPy's and Python's global generators, they don't know of afterwards."""
    before = random_states()
    try:
        yield
    finally:
        set_random_states(before)


def seed_all(seed: int, device: str) -> None:
    """Seed every global generator: torch's, NumPy's and Python's, so that no member draws what depends on another.

    Not by `torch.manual_seed` where it can be helped: it leaves a traceback for each kind of accelerator that isn't there,
    1 to 3 ms.
    """
    np.random.seed(seed % 2**32)
    random.seed(seed)
    if device == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """L2 norm over all tensors together, 0-dimensional."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))


def set_mode(model: nn.Module, optimizer: Any, training: bool) -> None:
    """Training or evaluation mode, of the optimizer too: schedule-free ones keep two sets of weights."""
    model.train(training)
    switch = getattr(optimizer, "train" if training else "eval", None)
    if callable(switch):
        switch()
