"""What a user brings: an optimizer under test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from assay.errors import UsageError, described
from assay.space import Choice, Float, Int, Space, midpoint

from .typed import function, instance


@dataclass(frozen=True)
class Run:
    """What a contender may know of the training it is made for: lengths in steps and epochs, never data or scores.

    Example:
        >>> run = assay.Run(total_steps=150, epochs=15, steps_per_epoch=10)
        >>> run.steps_per_epoch / run.total_steps  # one epoch of warm-up, as a share of training
        0.06666666666666667
    """

    total_steps: int
    epochs: int
    steps_per_epoch: int
    fused: bool = False  # the engine asks for torch's fused kernels where the optimizer offers the choice


@dataclass(frozen=True)
class Contender:
    """An optimizer under test: how it is made and what of it is tuned.

    `make(model, run, **hyperparameters)` returns a fresh optimizer, draws no randomness and gets plain Python numbers.
    `schedule` maps the fraction of training in [0, 1] to a factor on each group's initial learning rate. Of what is tuned or
    fixed, `schedule_takes` names what is given to it and not to `make`, as in `schedule(done, warmup=0.05)`.
    `closure`: "yes" if `step` needs one, "graph" if it also needs `create_graph=True`.
    `sees_run`: whether what is made may depend on the run, on how long it will be trained for one; of a class that isn't given
    one it can't.
    `pilot`: where a pilot looks for the range of `lr`; None where somebody gave it.
    `reference` and `source` say where it comes from and which version of it (a package version or a hash of its file), `reach`
    is a digest of all that its code reaches, and `beyond` names what no digest holds; assay fills them in.

    Example:
        >>> def decayed(model, run, lr):
        ...     return torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
        >>> mine = assay.Contender("decayed", decayed, space={"lr": assay.Float(1e-5, 1e-1, log=True)})
        >>> type(mine.make(torch.nn.Linear(2, 1), assay.Run(10, 2, 5), lr=0.01)).__name__
        'AdamW'
    """

    name: str
    make: Callable[..., Any]
    space: Space
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    schedule: Callable[..., float] | None = None
    closure: Literal["no", "yes", "graph"] = "no"
    reference: str = ""
    source: str = ""
    pilot: Float | None = None
    sees_run: bool = True
    note: str = ""  # what a reader of the report must know of how it was adapted
    reach: str = ""
    beyond: tuple[str, ...] = ()
    schedule_takes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        instance(self.name, str, "a contender's name", "text")
        function(self.make, f"{self.name}: its make", "a function of a model, a run and its hyperparameters")
        instance(self.space, Mapping, f"{self.name}: its space", "a mapping of names to ranges")
        instance(self.fixed, Mapping, f"{self.name}: its fixed", "a mapping of names to values")
        for name, dimension in self.space.items():
            instance(name, str, f"{self.name}: a hyperparameter's name", "text")
            instance(dimension, Float | Int | Choice, f"{self.name}: its range of {name}", "assay.Float, Int or Choice")
        if self.schedule is not None:
            function(self.schedule, f"{self.name}: its schedule", "a function of the fraction of training")
        instance(self.schedule_takes, tuple, f"{self.name}: its schedule_takes", "a tuple of names, as in ('warmup',)")
        for name in self.schedule_takes:
            instance(name, str, f"{self.name}: what its schedule takes", "a name")
        if self.closure not in ("no", "yes", "graph"):
            raise UsageError(f"{self.name}: its closure must be no, yes or graph, not {described(self.closure)}")
        _see_that_it_takes(self)

    def made(self, model: Any, run: Run, values: Mapping[str, Any]) -> Any:
        """A fresh optimizer at these values, and the fixed ones."""
        return self.make(model, run, **self.own({**self.fixed, **values}))

    def own(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What of these the optimizer is given: not what its schedule takes."""
        return {name: value for name, value in values.items() if name not in self.schedule_takes}

    def schedule_at(self, values: Mapping[str, Any]) -> Callable[[float], float] | None:
        """The schedule at these values, and the fixed ones; None where it has none."""
        if self.schedule is None or not self.schedule_takes:
            return self.schedule
        known = {**self.fixed, **values}
        return partial(self.schedule, **{name: known[name] for name in self.schedule_takes if name in known})

    @property
    def middle(self) -> dict[str, Any]:
        """Each hyperparameter in the middle of its range, for where none has been tuned."""
        return {name: midpoint(dimension) for name, dimension in self.space.items()}


def _see_that_it_takes(contender: Contender) -> None:
    """UsageError where `make` can't be called as it will be."""
    try:
        signature = inspect.signature(contender.make)
    except (TypeError, ValueError):  # of C code: it is tried
        return
    names = list(contender.own({**contender.space, **contender.fixed}))
    try:
        signature.bind(None, None, **dict.fromkeys(names))
    except TypeError as error:
        asked = ", ".join(["model", "run", *names])
        raise UsageError(
            f"{contender.name}: its make is called with ({asked}), and takes {signature}: {error}; a function (model, lr, …) is "
            "a contender by itself, as in assay.compare('adam', my_function)"
        ) from None


Brought = str | Contender | Callable[..., Any]
"""How a contender may be given: by name or reference, made, or as an optimizer's class or a function that makes one."""
