"""Where a contender is put to the test: it is made over tensors of our choice and fed gradients of our choice."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from assay.conformance.matrix import under
from assay.conformance.report import Failed, skip_if
from assay.conformance.script import Script
from assay.core import Contender, Run
from assay.space import Float, Int

RUN = Run(total_steps=1000, epochs=10, steps_per_epoch=100)
Shapes = tuple[tuple[int, ...], ...]
LONG_ENOUGH = 52  # steps after which what gathers gradients, or averages weights now and then, has moved
STANDARD: Shapes = ((4, 3), (5,))
MATRICES: Shapes = ((4, 3), (3, 5))
Loss = Callable[[Sequence[Tensor]], Tensor]
_FIRST_RNG = torch.Generator().manual_seed(4).get_state()


class Holder(nn.Module):
    """A model that is nothing but parameters p0, p1, …; in groups, where it is given any."""

    def __init__(self, params: Sequence[nn.Parameter], groups: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.items, self.groups = nn.ParameterList(params), groups

    def parameters(self, recurse: bool = True) -> Any:
        """The parameters, or the groups, as an optimizer takes them."""
        return iter(map(dict, self.groups)) if self.groups else super().parameters(recurse)


class Lab:
    """A contender, and what has been learnt of how it wants to be used (`facts`, from the check `made`)."""

    def __init__(self, contender: Contender, script: Script, facts: Mapping[str, Any]) -> None:
        self.contender, self.script, self.facts = contender, script, dict(facts)
        self.mode: Literal["no", "yes", "graph"] = self.facts.get("mode", contender.closure)
        self.shapes: Shapes = self.facts.get("shapes", STANDARD)
        self.example: str | None = None
        self.tell: Callable[[str], object] = lambda example: None  # who hears of it, should this process be lost
        self.script.train = self.facts.get("train", False)
        self.settings = contender.middle
        self.lr: float | None = self.settings.get("lr")

    @property
    def exact(self) -> torch.dtype:
        """float64, unless the contender can't work in it."""
        return torch.float32 if self.facts.get("single") else torch.float64

    @property
    def tolerance(self) -> float:
        """The relative difference that rounding may make, in `exact`."""
        return 2e-4 if self.facts.get("single") else 1e-6

    def make(self, model: nn.Module, lr: float | None = None, run: Run = RUN) -> Any:
        """A fresh optimizer, all hyperparameters in the middle of their ranges, the learning rate as given.

        Raises:
            Failed: nothing, or something without a `step`, comes back.
        """
        rate = {} if lr is None or "lr" not in self.settings else {"lr": lr}
        optimizer = self.contender.made(model, run, {**self.settings, **rate})
        if optimizer is None:
            raise Failed(f"{self.contender.name} returns None instead of an optimizer (a return statement is missing)")
        if not callable(getattr(optimizer, "step", None)):
            raise Failed(f"it is a {type(optimizer).__name__}, which has no step()")
        return optimizer

    def under(self, **setting: Any) -> Lab:
        """This lab, where settings of the contender are others; its examples have them too."""
        other = copy.copy(self)
        other.contender, other.script = under(self.contender, setting), self.script.under(setting)
        other.settings = other.contender.middle
        return other

    @property
    def declared(self) -> dict[str, Any]:
        """The settings that the class or factory declares, with their defaults. Skip where it can't tell."""
        skip_if(self.script.signature is None, "a contender that was made as one declares no settings")
        assert self.script.signature is not None
        named = self.script.signature.named.items()
        return {name: parameter.default for name, parameter in named if parameter.default is not parameter.empty}

    def rates(self) -> list[float | None]:
        """Learning rates over the whole range, from the middle outwards; [None] where none is tuned."""
        space = self.contender.space.get("lr")
        if not isinstance(space, Float | Int):
            return [self.lr]
        return [space.from_unit(place) for place in (0.5, 0.75, 0.25, 0.95, 0.05)]

    def start(self, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Where its parameters begin, a tensor for each of its shapes."""
        return start_values(self.shapes, dtype)

    def rows(self, steps: int, dtype: torch.dtype = torch.float32) -> list[list[Tensor]]:
        """The gradients of so many steps."""
        return gradients(self.shapes, steps, dtype)

    def training(self, dtype: torch.dtype = torch.float32, steps: int = 0) -> Training:
        """A training from `start`, so many steps along on `rows`."""
        return Training(self, self.start(dtype)).feed_all(self.rows(steps, dtype))

    def in_single(self) -> bool:
        """Are the first steps of float64 parameters, from zero, numbers that float32 can hold: were they computed in it?"""
        training = Training(self, [torch.zeros(s, dtype=torch.float64) for s in self.shapes])
        for row in self.rows(4, torch.float64):
            training.feed(row)
            values = training.values()
            if not all(_coarse(v) for v in values):
                return all(torch.equal(v, v.float().double()) for v in values)
        return False

    def shows(self, body: str) -> None:
        """Remember the example that shows what is being tried (see `Script.text`)."""
        self.example = self.script.text(body, self.mode)
        self.tell(self.example)

    def shows_alike(self, one: str, other: str, fault: str) -> None:
        """The example of an optimizer over p and q, given in one way and another, which must take the same steps."""
        self.shows(
            f"""
p, q = (torch.nn.Parameter(torch.ones(4, 3, dtype={self.exact})) for _ in range(2))
def feed(opt):
    for t in range(6):
        p.grad, q.grad = torch.full_like(p, 1.0 + t), torch.full_like(q, 2.5 - t)
        opt.step()
    moved = p.detach() - 1, q.detach() - 1
    with torch.no_grad():
        p.fill_(1.0); q.fill_(1.0)
    return moved
opt := {one}
first = feed(opt)
opt := {other}
second = feed(opt)
assert all(torch.allclose(a, b, rtol={10 * self.tolerance:g}, atol=0) for a, b in zip(first, second)), "{fault}"
"""
        )


class Training:
    """Parameters and an optimizer over them. It is fed gradients (`feed`) or minimises a loss (`minimise`).

    Args:
        start: initial values; the parameters are copies that keep dtype and memory layout.
        own: the settings of each parameter's own group; without, all are in one group of the defaults.
        copied: whether they are copies; else they are views of these very tensors.
    """

    def __init__(
        self,
        lab: Lab,
        start: Sequence[Tensor],
        *,
        lr: float | None = None,
        own: Sequence[Mapping[str, Any]] | None = None,
        copied: bool = True,
        run: Run = RUN,
    ) -> None:
        self.lab = lab
        kept = torch.preserve_format
        self.params = [nn.Parameter(t.detach().clone(memory_format=kept) if copied else t.detach()) for t in start]
        groups = [{"params": [p], **settings} for p, settings in zip(self.params, own, strict=True)] if own else []
        self.rng = _FIRST_RNG
        with self._own_randomness():
            self.optimizer = lab.make(Holder(self.params, groups), lr, run)
        self.start = self.values()
        self.switch("train")

    def switch(self, to: Literal["train", "eval"]) -> None:
        """Schedule-free optimizers keep two sets of weights, one to train and one to be judged by."""
        if callable(switch := getattr(self.optimizer, to, None)):
            switch()

    def with_other(self, params: Sequence[nn.Parameter], optimizer: Any) -> Training:
        """This training where it stands, with other parameters and another optimizer over them."""
        other = copy.copy(self)
        other.params, other.optimizer = list(params), optimizer
        return other

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """Random numbers from a stream of its own, so that trainings side by side draw the same ones."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.rng)
            try:
                yield
            finally:
                self.rng = torch.get_rng_state()

    @property
    def drew(self) -> bool:
        """Has it drawn random numbers?"""
        return not torch.equal(self.rng, _FIRST_RNG)

    def feed(self, gradients: Sequence[Tensor | None]) -> None:
        """One step on these gradients, whatever the parameters are."""
        if self.lab.mode == "graph":
            return self.minimise(curved(gradients))

        def evaluate() -> Tensor:
            for p, g in zip(self.params, gradients, strict=True):
                p.grad = None if g is None else g.clone(memory_format=torch.preserve_format)
            with torch.no_grad():
                return linear(gradients)(self.params)

        self._take(evaluate)

    def minimise(self, loss: Loss, *, steps: int = 1) -> None:
        """Steps on the gradients of a loss."""
        for _ in range(steps):
            self._take(self.closure(loss))

    def closure(self, loss: Loss) -> Callable[[], Tensor]:
        """What makes the gradients of a loss and returns it."""

        def evaluate() -> Tensor:
            for p in self.params:
                p.grad = None
            with torch.enable_grad():
                value = loss(self.params)
                value.backward(create_graph=self.lab.mode == "graph")
            return value

        return evaluate

    def step_with(self, closure: Callable[[], Tensor]) -> Any:
        """One step that is given this closure, as it is."""
        with self._own_randomness():
            return self.optimizer.step(closure)

    def _take(self, evaluate: Callable[[], Tensor]) -> None:
        with self._own_randomness():
            if self.lab.mode == "no":
                evaluate()
                self.optimizer.step()
            else:
                self.optimizer.step(evaluate)

    def feed_all(self, sequence: Sequence[Sequence[Tensor | None]]) -> Training:
        """A step on each; returns itself."""
        for gradients in sequence:
            self.feed(gradients)
        return self

    def moved(self) -> list[Tensor]:
        """How far each parameter is from its start, float64."""
        return [p.detach().double() - s.double() for p, s in zip(self.params, self.start, strict=True)]

    def moves(self) -> list[bool]:
        """Whether each parameter is elsewhere than at its start (or not a number)."""
        return [bool((m != 0).any()) for m in self.moved()]

    def way(self) -> Tensor:
        """How far all of them are from it, as one vector."""
        return flat(self.moved())

    def cosine(self, other: Training) -> float:
        """Of the angle between two ways, however short: torch's own takes a length below 1e-8 for 0."""
        a, b = (way / way.norm() for way in (self.way(), other.way()))
        return float(a @ b)

    def values(self) -> list[Tensor]:
        """The parameters' values, copied."""
        return [p.detach().clone() for p in self.params]

    def skip_if_random(self) -> Training:
        """Skip where it drew random numbers, which another order or form of the parameters puts elsewhere; else itself."""
        skip_if(self.drew, "it draws random numbers, so that no two trainings can be compared")
        return self

    def decay_by(self, rate: float) -> None:
        """Set the weight decay of the groups that hold one."""
        for group in groups_of(self.optimizer):
            if isinstance(group.get("weight_decay"), int | float):
                group["weight_decay"] = rate

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups. Skip where there are none."""
        groups = groups_of(self.optimizer)
        skip_if(not groups, "it has no param_groups")
        return groups


def groups_of(optimizer: Any) -> list[dict[str, Any]]:
    """An optimizer's groups; none of what holds no list of dicts."""
    groups = getattr(optimizer, "param_groups", None)
    return groups if isinstance(groups, list) and groups and isinstance(groups[0], dict) else []


def flat(tensors: Sequence[Tensor]) -> Tensor:
    """All elements as one vector."""
    return torch.cat([t.flatten() for t in tensors])


def _coarse(values: Tensor) -> bool:
    """Do all have 12 binary digits at most? Such numbers (0, a power of two) tell nothing of how they were computed."""
    digits = torch.frexp(values).mantissa * 2**12
    return torch.equal(digits, digits.round())


def linear(gradients: Sequence[Tensor | None]) -> Loss:
    """The loss whose gradients are these, everywhere."""

    def loss(params: Sequence[Tensor]) -> Tensor:
        terms = ((p * g.conj()).real.sum() for p, g in zip(params, gradients, strict=True) if g is not None)
        return sum(terms, torch.zeros(()))  # of float32 at least

    return loss


def quadratic(params: Sequence[Tensor]) -> Tensor:
    """Σ (p − 1)², of a start that is elsewhere."""
    return torch.stack([((p - 1) ** 2).sum() for p in params]).sum()


def curved(gradients: Sequence[Tensor | None]) -> Loss:
    """The same, with a slight curvature: an optimizer that differentiates twice finds something there."""

    def loss(params: Sequence[Tensor]) -> Tensor:
        bent = (p.square().sum() for p, g in zip(params, gradients, strict=True) if g is not None)
        return linear(gradients)(params) + 5e-3 * sum(bent)

    return loss


def start_values(shapes: Shapes, dtype: torch.dtype, seed: int = 1) -> list[Tensor]:
    """Normal initial values, one tensor a shape."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(dtype) for s in shapes]


def gradients(shapes: Shapes, steps: int, dtype: torch.dtype) -> list[list[Tensor]]:
    """A sequence of gradients, normal, of a length that wanders over the steps between 0.3 and 3."""
    generator = torch.Generator().manual_seed(2)
    lengths = [math.exp(math.sin(1.7 * t)) for t in range(steps)]
    return [
        [(torch.randn(s, generator=generator, dtype=torch.float64) * length).to(dtype) for s in shapes]
        for length in lengths
    ]


def difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """The largest relative difference between two lists of tensors, ‖aᵢ−bᵢ‖/max(‖aᵢ‖, ‖bᵢ‖); NaN unlike NaN is ∞."""
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        x, y = x.detach().double(), y.detach().double()
        if torch.equal(torch.isfinite(x), torch.isfinite(y)) and bool(torch.isfinite(x).all()):
            scale = max(float(x.norm()), float(y.norm()))
            worst = max(worst, float((x - y).norm()) / scale if scale else 0.0)
        elif not torch.equal(torch.nan_to_num(x, 1.0, 2.0, 3.0), torch.nan_to_num(y, 1.0, 2.0, 3.0)):
            return math.inf
    return worst


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Equal to the bit, NaN like NaN."""
    return all(torch.equal(x.nan_to_num(nan=1.5e30), y.nan_to_num(nan=1.5e30)) for x, y in zip(a, b, strict=True))


def finite(tensors: Sequence[Tensor]) -> bool:
    """Are all elements finite?"""
    return all(bool(torch.isfinite(t).all()) for t in tensors)
