"""A contender at its settings, for training code that people have: Lightning, transformers' Trainer, Accelerate, a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.contenders import again, load
from assay.contenders.adapt import as_class
from assay.contenders.interface import Closure, closure_of
from assay.contenders.resolve import at, settled
from assay.contenders.schedules import factor_at, split_schedule
from assay.core import Brought, Contender, Run
from assay.core.typed import instance, whole
from assay.errors import UsageError, nearest
from assay.record.plan import read_plan
from assay.record.suite import is_suite, runs


@dataclass(frozen=True)
class Asks:
    """What an optimizer asks of the code that trains with it; as text: what to do, a line each, "" for nothing.

    `closure`: whether `step` needs one; "graph": one whose `backward` keeps the graph. `switch`: whether it must be told of
    training and evaluation. `foreign`: whether it is no `torch.optim.Optimizer`.
    """

    closure: Closure
    switch: bool
    foreign: bool

    def __str__(self) -> str:
        return "\n".join(filter(None, [self._closure(), self._switch(), self._foreign()]))

    def _closure(self) -> str:
        if self.closure == "no":
            return ""
        graph = ", and backward gets create_graph=True" if self.closure == "graph" else ""
        return (
            "closure: call optimizer.step(closure), where closure() zeroes the gradients, computes the loss, calls backward and "
            f"returns the loss{graph}. Lightning does so by itself; Trainer never does"
        )

    def _switch(self) -> str:
        return self.switch * (
            "switch: call optimizer.train() before training, and optimizer.eval() before evaluating or saving. Trainer does so "
            "by itself"
        )

    def _foreign(self) -> str:
        return self.foreign * (
            "foreign: it is no torch.optim.Optimizer, which Lightning, Trainer and Accelerate insist on: a loop of your own"
        )


@dataclass(frozen=True)
class Ready:
    """A contender at its settings: what `contender_for` and `Result.contender` return.

    `contender`: with nothing left to tune. `target`: the class that it is of, or what else makes it; None where a function in
    an `assay.Contender` does.
    """

    contender: Contender
    target: Any

    def __repr__(self) -> str:
        return f"Ready({self.contender.name!r}, {self.settings})"

    @property
    def settings(self) -> dict[str, Any]:
        """All that it is given: what was tuned, and what is fixed of it."""
        return dict(self.contender.fixed)

    def optimizer(self, model: Any, run: Run | None = None) -> Any:
        """A fresh optimizer of the model's parameters, made as it is for a comparison.

        Args:
            model: a `torch.nn.Module`.
            run: how long it will be trained for, of a contender that is told.
        Raises:
            UsageError: no model; a contender that is told and wasn't; what is made is no optimizer.
        """
        from torch import nn

        from assay.training.step import see_that_it_steps

        name = self.contender.name
        instance(model, nn.Module, "model", "a torch.nn.Module")
        if run is None and self.contender.sees_run:
            raise UsageError(
                f"{name} may depend on how long it is trained: .optimizer(model, assay.Run(total_steps, epochs, steps_per_epoch))"
            )
        made = self.contender.made(model, run or Run(1, 1, 1), {})
        see_that_it_steps(name, made)
        return made

    def scheduler(self, optimizer: Any, total_steps: int) -> Any:
        """Its schedule as torch's `LambdaLR`, to be stepped after each of `total_steps`; a constant rate where it has none.

        Raises:
            UsageError: a number of steps below 1, or no `torch.optim.Optimizer`.
        """
        from torch.optim import Optimizer
        from torch.optim.lr_scheduler import LambdaLR

        instance(optimizer, Optimizer, "what is scheduled", "a torch.optim.Optimizer")
        schedule, steps = self.contender.schedule_at({}), whole(total_steps, "total_steps")
        if steps < 1:
            raise UsageError(f"total_steps must be 1 at least, not {steps}")
        return LambdaLR(optimizer, lambda step: factor_at(schedule, min(step / steps, 1.0)) if schedule else 1.0)

    def asks(self, optimizer: Any) -> Asks:
        """What an optimizer that it made asks of the code that trains with it."""
        from torch.optim import Optimizer

        closure = closure_of(self.contender.closure, optimizer.step)
        return Asks(closure, callable(getattr(optimizer, "eval", None)), not isinstance(optimizer, Optimizer))

    @property
    def optimizer_cls_and_kwargs(self) -> tuple[type, dict[str, Any]]:
        """For transformers' `Trainer(optimizer_cls_and_kwargs=…)`, which makes it itself.

        Trainer writes its own `weight_decay` into the groups and leaves norms and biases without: give `TrainingArguments`
        the same `weight_decay`, and `lr_scheduler_type="constant"`. Just as it was compared: Trainer(optimizers=…).

        Raises:
            UsageError: it is no class of plain params (a wrapper, a function), needs a closure, or has a schedule.
        """
        name = self.contender.name
        found = as_class(self.target, name, self.settings)
        if self.contender.closure != "no":
            raise UsageError(f"{name} needs a closure, which Trainer never gives: use Lightning, Accelerate or a loop")
        if self.contender.schedule:
            raise UsageError(
                f"{name} has a schedule, which these can't hold: make it by .optimizer(model), and give "
                "Trainer(optimizers=(optimizer, tuned.scheduler(optimizer, total_steps)))"
            )
        return found


def contender_for(contender: Brought, /, *, baseline: Brought | None = None, **settings: Any) -> Ready:
    """A contender at these settings, ready for training code that you have (docs/guides.md).

    Args:
        contender: a registered name, `pkg.mod:Name`, `path/file.py:Name`, an optimizer's class, a function that makes one, or
            an `assay.Contender`.
        baseline: what it wraps, where it is a wrapper.
        settings: its hyperparameters; at least those that would be tuned. `assay.open(FOLDER).contender(NAME)` has what was.

    Raises:
        UsageError: none of that name; a setting that it doesn't take, or a missing one.

    Example:
        >>> tuned = assay.contender_for("adam", lr=3e-3, beta2=0.99)
        >>> model = torch.nn.Linear(2, 1)
        >>> tuned.optimizer(model).param_groups[0]["betas"]
        (0.9, 0.99)
        >>> tuned.optimizer_cls_and_kwargs[1]
        {'lr': 0.003, 'betas': (0.9, 0.99)}
        >>> tuned.asks(tuned.optimizer(model))
        Asks(closure='no', switch=False, foreign=False)
    """
    found = settled(contender, settings, baseline)
    return Ready(found, _target(found.reference) if isinstance(contender, str) else contender)


def tuned(folder: Path, content: Mapping[str, Any], name: str) -> Ready:
    """A contender of a finished run at the settings that its report calls tuned, made again from its reference.

    Raises:
        UsageError: none of that name, given as a Python object, edited since; a record of several tasks.
    """
    if is_suite(folder):
        first = next(iter(runs(folder).values()))
        raise UsageError(
            f"{folder} was tuned on each of several tasks: open one's folder, as in assay.open({str(first)!r})"
        )
    came, infos = content["contenders"], read_plan(folder).science.contenders
    if name not in came:
        raise UsageError(f"no contender {name!r} in {folder}; {nearest(name, came)}")
    asked = [infos[0], *(info for info in infos[1:] if info.name == name)]
    found = again(asked)[-1]
    return Ready(at(found, came[name]["hyperparameters"]), _target(asked[-1].reference))


def _target(reference: str) -> Any:
    target = load(split_schedule(reference)[0]) if reference else None
    return None if isinstance(target, Contender) else target
