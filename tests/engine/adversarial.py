"""Optimizers and models that an engine could get wrong without a word: each changes late, or somewhere that is hard to see.

`OPTIMIZERS`: name → make(model, lr). `MODELS`: name → (make(), shape of a sample). Most change after LATE steps, long after the
parity probe has looked. Each is found right in an engine, or is refused with its reason (test_adversarial.py).
"""

from __future__ import annotations

import argparse
import array
import contextvars
import ctypes
import functools
import json
import math
import os
import queue
import weakref
from collections import Counter, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import torch
from torch import nn

LATE = 25
OPTIMIZERS: dict[str, Callable[[nn.Module, float], Any]] = {}
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {}


class Base(torch.optim.Optimizer):
    """SGD with a rule that subclasses change: `t` counts the steps from 1."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.t = 0
        self.prepare()

    def prepare(self) -> None: ...

    def scale(self, t: Any, lr: Any) -> Any:
        return 1.0

    def rule(self, p: Any, lr: Any) -> None:
        p.sub_(self.scale(self.t, lr) * lr * p.grad)

    def before(self) -> None: ...

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        self.t += 1
        self.before()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.rule(p, group["lr"])


def optimizer(name: str, **methods: Any) -> None:
    """Enter a subclass of Base with these methods."""
    made = type("Case", (Base,), methods)
    OPTIMIZERS[name] = lambda model, lr: made(model.parameters(), lr)


def by_scale(name: str, scale: Callable[[Any, Any], Any]) -> None:
    """Enter an optimizer whose rate is multiplied by `scale(t, lr)`."""
    optimizer(name, scale=lambda self, t, lr: scale(t, lr))


# ------------------------------------------------------------------------------------- a count is read by its hash, as text

by_scale("in a set", lambda t, lr: 0.0 if t in {LATE, LATE + 5} else 1.0)
by_scale("in a frozenset", lambda t, lr: 5.0 if t in frozenset({LATE}) else 1.0)
by_scale("in a dictionary", lambda t, lr: {LATE: 0.1, LATE + 3: 3.0}.get(t, 1.0))
by_scale("key of a dictionary", lambda t, lr: {LATE: 0.1}[t] if t == LATE else 1.0)
by_scale("in a counter", lambda t, lr: 0.5 ** Counter([LATE, LATE])[t])
by_scale("in a range", lambda t, lr: 0.1 if t in range(LATE, LATE + 4) else 1.0)
by_scale("in a list", lambda t, lr: 0.1 if t in [LATE, LATE + 2] else 1.0)
by_scale("in a tuple of pairs", lambda t, lr: 0.1 if (t, 1) in {(LATE, 1)} else 1.0)
by_scale("as text", lambda t, lr: 0.1 if str(t) == str(LATE) else 1.0)
by_scale("as an f-string", lambda t, lr: 0.1 if f"{t}" == f"{LATE}" else 1.0)
by_scale("as repr", lambda t, lr: 0.1 if repr(t).endswith("7") else 1.0)
by_scale("by percent", lambda t, lr: 0.1 if "%d" % t == "30" else 1.0)  # noqa: UP031
by_scale("by format", lambda t, lr: 0.1 if "{:d}".format(t).endswith("3") else 1.0)  # noqa: UP032
by_scale("its hash", lambda t, lr: 0.1 if hash(t) == LATE else 1.0)
by_scale("as an index", lambda t, lr: ([1.0] * LATE + [0.1] * 1000)[t])
by_scale("as a slice", lambda t, lr: 1.0 + len([0.0] * 5 + [1.0] * 60) / 100 - len(([0] * 65)[:t]) / 100)
by_scale("as bytes", lambda t, lr: 0.1 if bytes([t % 7]) == b"\x03" else 1.0)
by_scale("by match", lambda t, lr: {True: 0.1, False: 1.0}[t == LATE])
by_scale("by lru_cache", functools.lru_cache(lambda t, lr: 0.1 if t > LATE else 1.0))
by_scale("by bit length", lambda t, lr: 0.1 if t.bit_length() > 4 else 1.0)
by_scale("by divmod", lambda t, lr: 0.1 if divmod(t, 7)[1] == 3 else 1.0)
by_scale("by round", lambda t, lr: 1.0 / round(t / 10 + 1))
by_scale("by type", lambda t, lr: 0.1 if type(t) is int and t > LATE else 1.0)

# --------------------------------------------------------------------------------------------------------- Python's arithmetic

by_scale("true and true", lambda t, lr: 1.0 + 0.1 * ((t > 3) + (t > 5)))
by_scale("true times", lambda t, lr: 1.0 + (t > LATE) * 2)
by_scale("minus true", lambda t, lr: 1.0 + -(t > LATE) * 0.5)
by_scale("not by tilde", lambda t, lr: 1.0 + 0.01 * ~(t > LATE))
by_scale("two to the t", lambda t, lr: 1.0 / math.log2(2 ** (3 * t) + 1))
by_scale("two to the minus t", lambda t, lr: 1.0 + 2**-t)
by_scale("t to the minus one", lambda t, lr: 1.0 + t**-1)
by_scale("zero division", lambda t, lr: 1.0 + 1.0 / (t - LATE))
by_scale("zero modulo", lambda t, lr: 1.0 + 7 % (LATE - t))
by_scale("root of a negative", lambda t, lr: math.sqrt(LATE - t))
by_scale("power of a negative", lambda t, lr: 1.0 + float(LATE - t) ** 0.5)
by_scale("log of zero", lambda t, lr: 1.0 + math.log(max(0, LATE - t)) / 100)
by_scale("exp too large", lambda t, lr: 1.0 + 1e-300 / math.exp(t * 20.0))
by_scale("float power too large", lambda t, lr: 1.0 + 1.0 / (1e12 ** (t + 1.0)))
by_scale("member's own zero division", lambda t, lr: 1.0 + 1.0 / (lr * 1000 - 6))


def _doubled(self: Any, t: Any, lr: Any) -> Any:
    self.n = getattr(self, "n", 1) * 8
    return 1.0 + (self.n % 1000) / 1000


optimizer("n *= 8", scale=_doubled)


def _squared(self: Any, t: Any, lr: Any) -> Any:
    self.n = self.n + self.n + 1 if hasattr(self, "n") else 1
    return 1.0 + (self.n % 7) / 10


optimizer("n + n", scale=_squared)

# -------------------------------------------------------------------------------------------------- memory that two names share


def _placed(self: Any, p: Any, lr: Any) -> None:
    slow = self.state[p].setdefault("slow", p.clone())
    p.sub_(lr * p.grad)
    slow.lerp_(p, 0.1)
    if self.t == LATE:
        p.data = slow


optimizer("p.data = slow, late", rule=_placed)


def _placed_view(self: Any, p: Any, lr: Any) -> None:
    slow = self.state[p].setdefault("slow", p.clone())
    p.sub_(lr * p.grad)
    slow.lerp_(p, 0.1)
    if self.t == LATE:
        p.data = slow.view_as(p)


optimizer("p.data = a view of slow, late", rule=_placed_view)


def _exchanged(self: Any, p: Any, lr: Any) -> None:
    slow = self.state[p].setdefault("slow", p.clone())
    p.sub_(lr * p.grad)
    if self.t == LATE:
        old = p.data
        p.data = slow.clone()
        p.add_(0.1 * (old - slow))


optimizer("p.data exchanged", rule=_exchanged)


def _anchored(self: Any, p: Any, lr: Any) -> None:
    anchor = self.state[p].setdefault("anchor", p.detach().clone())
    p.sub_(lr * (p.grad + 0.1 * (p - anchor)))
    if self.t == LATE:
        self.state[p]["anchor"] = p.detach()


optimizer("an anchor that is p, late", rule=_anchored)


def _anchored_first(self: Any, p: Any, lr: Any) -> None:
    anchor = self.state[p].setdefault("anchor", p.detach())
    p.sub_(lr * (p.grad + 0.1 * (p - anchor)))


optimizer("an anchor that is p, at once", rule=_anchored_first)


def _frozen(self: Any) -> None:
    if self.t == LATE:
        self.param_groups[0]["params"][0].requires_grad = False


optimizer("frozen late", before=_frozen)


def _frozen_by_method(self: Any) -> None:
    if self.t == LATE:
        self.param_groups[0]["params"][0].requires_grad_(False)


optimizer("frozen late, by the method", before=_frozen_by_method)


def _shifted(self: Any, p: Any, lr: Any) -> None:
    state = self.state[p]
    a, b = state.setdefault("a", torch.zeros_like(p)), state.setdefault("b", torch.zeros_like(p))
    state["a"], state["b"] = b, a.mul(0.5).add(p.grad)
    p.sub_(lr * (p.grad + 0.3 * a))


optimizer("state that changes places", rule=_shifted)


def _remembering(self: Any, p: Any, lr: Any) -> None:
    kept = self.state[p].setdefault("kept", deque(maxlen=4))
    kept.append(p.grad.clone())
    p.sub_(lr * sum(kept) / len(kept))


optimizer("a deque of gradients", rule=_remembering)


def _late_state(self: Any, p: Any, lr: Any) -> None:
    if self.t >= 5:
        kept = self.state[p].setdefault("kept", torch.zeros_like(p))
        kept.mul_(0.9).add_(p.grad)
        p.sub_(lr * kept)
    else:
        p.sub_(lr * p.grad)


optimizer("state made at step 5", rule=_late_state)

# --------------------------------------------------------------------------------------------------- state that is hard to see

SHARED: dict[Any, Any] = {}
COUNT = 0


def _by_id(self: Any, p: Any, lr: Any) -> None:
    kept = SHARED.setdefault(id(p), torch.zeros_like(p))
    kept.mul_(0.9).add_(p.grad)
    p.sub_(lr * kept)


optimizer("a global by id", rule=_by_id)


def _global(self: Any, t: Any, lr: Any) -> Any:
    global COUNT
    COUNT += 1
    return 0.1 if COUNT > 40 else 1.0


optimizer("a global count", scale=_global)


def _of_class(self: Any, t: Any, lr: Any) -> Any:
    type(self).n = getattr(type(self), "n", 0) + 1
    return 0.1 if type(self).n > 40 else 1.0


optimizer("a count of the class", scale=_of_class)


def _of_function(self: Any, t: Any, lr: Any) -> Any:
    _of_function.n = getattr(_of_function, "n", 0) + 1  # type: ignore[attr-defined]
    return 0.1 if _of_function.n > 40 else 1.0  # type: ignore[attr-defined]


optimizer("a count of a function", scale=_of_function)


def _default(self: Any, t: Any, lr: Any, kept: list[int] = [0]) -> Any:  # noqa: B006
    kept[0] += 1
    return 0.1 if kept[0] > 40 else 1.0


optimizer("a count in a default", scale=_default)


def _weak(self: Any, p: Any, lr: Any) -> None:
    kept = self.kept.setdefault(p, torch.zeros_like(p))
    kept.mul_(0.9).add_(p.grad)
    p.sub_(lr * kept)


optimizer("a weak dictionary", prepare=lambda self: setattr(self, "kept", weakref.WeakKeyDictionary()), rule=_weak)


def _through_reference(self: Any, t: Any, lr: Any) -> Any:
    self.counter().n += 1
    return 0.1 if self.counter().n > LATE else 1.0


class _Counter:
    n = 0


def _with_reference(self: Any) -> None:
    self.owner = [_Counter()]
    self.counter = weakref.ref(self.owner[0])


optimizer("a count behind a weak reference", prepare=_with_reference, scale=_through_reference)


def _generated(self: Any, t: Any, lr: Any) -> Any:
    return next(self.rates)


def _rates() -> Any:
    for t in range(10**6):
        yield 0.1 if t > LATE else 1.0


optimizer("a generator's count", prepare=lambda self: setattr(self, "rates", _rates()), scale=_generated)
optimizer("an environment variable", scale=lambda self, t, lr: float(os.environ.get("BETA_OF_A_TEST", "1.0")))
optimizer("JSON", scale=lambda self, t, lr: json.loads(json.dumps({"beta": 0.5}))["beta"])

# ------------------------------------------------------------------------------------------------------- outside of its step


class Switching(Base):
    """Its evaluation changes a number, as schedule-free optimizers' may."""

    def prepare(self) -> None:
        self.factor, self.calls = 1.0, 0

    def eval(self) -> None:
        self.calls += 1
        if self.calls > 3:
            self.factor = 0.1

    def train(self) -> None: ...

    def scale(self, t: Any, lr: Any) -> Any:
        return self.factor


class Rare(Base):
    """A rare step changes a number that all others take for granted."""

    def prepare(self) -> None:
        self.factor = 1.0

    def scale(self, t: Any, lr: Any) -> Any:
        if t % 23 == 0:
            self.factor *= 0.7
        return self.factor


class Late(Base):
    """Every step from LATE on is another."""

    def scale(self, t: Any, lr: Any) -> Any:
        return 0.1 * math.cos(t) if t > LATE else 1.0


class Phases(Base):
    """Many phases, each with a number of its own."""

    def scale(self, t: Any, lr: Any) -> Any:
        return 1.0 / (1 + t // 6)


def _scheduled(make: Callable[[torch.optim.Optimizer], Any]) -> Callable[[nn.Module, float], Any]:
    class Scheduled(torch.optim.SGD):
        def __init__(self, params: Any, lr: float) -> None:
            super().__init__(params, lr=lr)
            self.scheduler = make(self)

        def step(self, closure: Any = None) -> None:
            super().step()
            self.scheduler.step()

    class Wrapped:
        """As `Scheduled`, but around an SGD."""

        def __init__(self, params: Any, lr: float) -> None:
            self.inner = torch.optim.SGD(params, lr=lr)
            self.param_groups = self.inner.param_groups
            self.scheduler = make(self.inner)

        def step(self) -> None:
            self.inner.step()
            self.scheduler.step()

    return lambda model, lr: Wrapped(model.parameters(), lr)


schedulers = torch.optim.lr_scheduler
OPTIMIZERS |= {
    "switching": lambda model, lr: Switching(model.parameters(), lr),
    "rare": lambda model, lr: Rare(model.parameters(), lr),
    "late": lambda model, lr: Late(model.parameters(), lr),
    "phases": lambda model, lr: Phases(model.parameters(), lr),
    "MultiStepLR": _scheduled(lambda o: schedulers.MultiStepLR(o, [7, LATE], gamma=0.1)),
    "StepLR": _scheduled(lambda o: schedulers.StepLR(o, 10, gamma=0.3)),
    "CosineAnnealingLR": _scheduled(lambda o: schedulers.CosineAnnealingLR(o, 60)),
    "LambdaLR": _scheduled(lambda o: schedulers.LambdaLR(o, lambda t: 0.1 if t in {LATE} else 1.0)),
    "SequentialLR": _scheduled(
        lambda o: schedulers.SequentialLR(
            o, [schedulers.ConstantLR(o, 0.5, 9), schedulers.ExponentialLR(o, 0.95)], milestones=[9]
        )
    ),
    "OneCycleLR": _scheduled(lambda o: schedulers.OneCycleLR(o, 0.1, total_steps=100)),
}


def _hooked(register: Callable[[nn.Module, Any, list[int]], Any]) -> Callable[[nn.Module, float], Any]:
    def make(model: nn.Module, lr: float) -> Any:
        made, count = torch.optim.SGD(model.parameters(), lr=lr), [0]
        register(model, made, count)
        return made

    return make


def _bites(count: list[int], otherwise: Any, biting: Any) -> Any:
    count[0] += 1
    return biting if count[0] > LATE else otherwise


def _shrunk(gradients: Any) -> Any:
    return tuple(g if g is None else 0.1 * g for g in gradients)


def _post_accumulate(p: Any, count: list[int]) -> None:
    p.grad.mul_(_bites(count, 1.0, 0.1))


OPTIMIZERS |= {
    "a gradient's hook": _hooked(lambda m, o, n: next(m.parameters()).register_hook(lambda g: _bites(n, g, 0.1 * g))),
    "a hook after accumulation": _hooked(
        lambda m, o, n: next(m.parameters()).register_post_accumulate_grad_hook(lambda p: _post_accumulate(p, n))
    ),
    "a module's backward hook": _hooked(
        lambda m, o, n: m.register_full_backward_hook(lambda m, i, out: _bites(n, None, _shrunk(i)))
    ),
    "a module's forward hook": _hooked(
        lambda m, o, n: m.register_forward_hook(lambda m, i, out: _bites(n, out, 0.1 * out))
    ),
    "a module's forward pre-hook": _hooked(
        lambda m, o, n: m.register_forward_pre_hook(lambda m, i: _bites(n, i, tuple(0.1 * x for x in i)))
    ),
    "a step's pre-hook": _hooked(
        lambda m, o, n: o.register_step_pre_hook(lambda o, *_: o.param_groups[0].update(lr=_bites(n, 0.01, 0.001)))
    ),
    "a step's post-hook": _hooked(
        lambda m, o, n: o.register_step_post_hook(lambda o, *_: o.param_groups[0].update(lr=_bites(n, 0.01, 0.001)))
    ),
}

# --------------------------------------------------------------------------------------------------------------------- models


def model(name: str, shape: tuple[int, ...] = (6,)) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Enter what makes a model."""

    def enter(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        MODELS[name] = make, shape
        return make

    return enter


class Net(nn.Module):
    """A small network; `hidden` may do something to its activations."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(6, 5), nn.Linear(5, 3), 0

    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        return h

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.hidden(torch.tanh(self.a(x))))


@model("counts its calls, evaluation too")
class _Calls(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return h * 0.5 if self.calls > LATE else h


@model("counts its evaluations")
class _Evaluations(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        self.calls += not self.training
        return h * 0.5 if self.calls > 4 else h


@model("counts in its class")
class _ClassCalls(Net):
    n = 0

    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        type(self).n += self.training
        return h * 0.5 if type(self).n > 60 else h


@model("hooks its activations")
class _Activations(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        if h.requires_grad:
            h.register_hook(lambda g: 0.1 * g)
        return h


@model("freezes itself late")
class _Freezing(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls == LATE:
            self.a.weight.requires_grad_(False)
        return h


@model("padding", (4,))
class _Padded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(5, 4, padding_idx=0), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.table((x.abs() * 2).long().clamp(max=4)).mean(1))


@model("padding counted from the end", (4,))
class _PaddedLast(_Padded):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4, padding_idx=-1)


@model("a table with a largest norm", (4,))
class _Renormed(_Padded):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4, max_norm=0.5)


@model("attention with rows all masked", (5, 2))
class _Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        mask = (x[..., 0] > 1.2)[:, None, :].expand(-1, 5, -1)
        return self.head(nn.functional.scaled_dot_product_attention(h, h, h, attn_mask=mask).mean(1))


@model("attention with rows all minus infinity", (5, 2))
class _Infinite(_Masked):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embed(x)
        mask = torch.where(x[..., 0] > 1.2, 0.0, -math.inf)[:, None, :].expand(-1, 5, -1).to(x.dtype)
        return self.head(nn.functional.scaled_dot_product_attention(h, h, h, attn_mask=mask).mean(1))


@model("adaptive pooling", (2, 6))
def _pooled() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))


@model("weight norm")
def _weight_normed() -> nn.Module:
    normed = nn.utils.parametrizations.weight_norm
    return nn.Sequential(normed(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 3))


@model("spectral norm")
def _spectral() -> nn.Module:
    normed = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(normed(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 3))


@model("the older weight norm")
def _older_weight_norm() -> nn.Module:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 3))


@model("a cache of its own")
class _Cached(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.last = h.detach().mean()
        return h * (1 + 0.1 * self.last.abs()) if hasattr(self, "last") else h


@model("Python's random numbers")
class _Random(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        import random

        return h * random.choice([0.5, 1.0]) if self.training else h


@model("batch norm with a late momentum")
class _Momentum(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        if self.calls > LATE:
            self.norm.momentum = 0.5
        return self.norm(h)


@model("batch norm without a momentum")
class _Averaging(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5, momentum=None)

    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        return self.norm(h)


@model("tied and looked at by id")
class _ById(Net):
    def hidden(self, h: torch.Tensor) -> torch.Tensor:
        kept = SHARED.setdefault(id(self), [0])
        kept[0] += self.training
        return h * 0.5 if kept[0] > LATE else h


# ------------------------------------------------------------------------------------------ which parameters, and what holds them


def _chosen(self: Any) -> list[Any]:
    return [p for group in self.param_groups for p in group["params"]]


def _frozen(self: Any) -> None:
    if self.t == LATE:
        self.param_groups[0]["params"] = self.param_groups[0]["params"][:-1]


def _ordered(self: Any, p: Any, lr: Any) -> None:
    if self.t == LATE and p is self.order[0]:
        self.order = self.order[::-1]
    p.sub_((0.5 + 0.2 * next(i for i, q in enumerate(self.order) if q is p)) * lr * p.grad)


def _active(self: Any, p: Any, lr: Any) -> None:
    if self.t % LATE == 0:
        self.active = _chosen(self)[-1]
    p.sub_((1.0 if p is self.active else 0.3) * lr * p.grad)


def _skipping(self: Any, p: Any, lr: Any) -> None:
    if self.t == LATE and not self.skipped:
        self.skipped.append(p)
    p.sub_((0.0 if any(p is q for q in self.skipped) else 1.0) * lr * p.grad)


def _swapped(self: Any) -> None:
    if self.t == LATE:
        one, other = self.param_groups
        one["params"], other["params"] = other["params"], one["params"]


class _Whole:
    def __call__(self, t: Any) -> float:
        return 1.0


class _Half:
    def __call__(self, t: Any) -> float:
        return 0.5


def _strategy(self: Any, t: Any, lr: Any) -> Any:
    if t == LATE:
        self.strategy = _Half()
    return self.strategy(t)


def _marked(self: Any, p: Any, lr: Any) -> None:
    if self.t == LATE:
        self.state[p]["done"] = []
    p.sub_((0.5 if "done" in self.state[p] else 1.0) * lr * p.grad)


def _default(self: Any, t: Any, lr: Any) -> Any:
    if t == LATE:
        self.defaults["done"] = {}
    return 0.5 if "done" in self.defaults else 1.0


optimizer("a parameter is frozen", before=_frozen)
optimizer("the order is turned", prepare=lambda self: setattr(self, "order", _chosen(self)), rule=_ordered)
optimizer("block by block", prepare=lambda self: setattr(self, "active", _chosen(self)[0]), rule=_active)
optimizer("one is skipped", prepare=lambda self: setattr(self, "skipped", []), rule=_skipping)
optimizer("a rule that is an object", prepare=lambda self: setattr(self, "strategy", _Whole()), scale=_strategy)
optimizer("an empty mark in state", rule=_marked)
optimizer("an empty mark in defaults", scale=_default)
_Swapping = type("Case", (Base,), {"before": _swapped})
OPTIMIZERS["groups are swapped"] = lambda model, lr: _Swapping(
    [{"params": list(model.parameters())[:2], "lr": lr}, {"params": list(model.parameters())[2:], "lr": lr / 2}], lr
)

# ------------------------------------------------------------------------ what is kept in objects of Python's and torch's own

_SPACE, _QUEUE, _COUNTS = argparse.Namespace(t=0), queue.SimpleQueue(), array.array("l", [0])
_EXACT, _SHARE, _CELL = {"t": Decimal(0)}, {"t": Fraction(0)}, ctypes.c_long(0)
_VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("steps", default=0)
_LAYER, _NAMED = nn.Linear(1, 1), type("Named", (dict,), {})()


def _counting(count: Callable[[], Any], forget: Callable[[], Any]) -> Callable[..., Any]:
    """An optimizer that counts its steps elsewhere, and halves its rate after LATE of them; each training begins anew."""

    def make(model: nn.Module, lr: float) -> Any:
        forget()
        scale = {"scale": lambda self, t, lr: 0.5 if self.counted > LATE else 1.0}
        counting = {"before": lambda self: setattr(self, "counted", float(count()))}
        return type("Case", (Base,), {**scale, **counting})(model.parameters(), lr)

    return make


def _in_space() -> int:
    _SPACE.t += 1
    return _SPACE.t


def _in_queue() -> int:
    _QUEUE.put(1)
    return _QUEUE.qsize()


def _in_array() -> int:
    _COUNTS[0] += 1
    return _COUNTS[0]


def _in_cell() -> int:
    _CELL.value += 1
    return _CELL.value


def _in_variable() -> int:
    _VARIABLE.set(_VARIABLE.get() + 1)
    return _VARIABLE.get()


def _on_layer() -> int:
    _LAYER.steps = getattr(_LAYER, "steps", 0) + 1
    return _LAYER.steps


def _on_dictionary() -> int:
    _NAMED.steps = getattr(_NAMED, "steps", 0) + 1
    return _NAMED.steps


def _exactly() -> Any:
    _EXACT["t"] += 1
    return _EXACT["t"]


def _in_shares() -> Any:
    _SHARE["t"] += Fraction(1, 2)
    return 2 * _SHARE["t"]


def _emptied() -> None:
    while not _QUEUE.empty():
        _QUEUE.get()


OPTIMIZERS |= {
    "counted in a namespace": _counting(_in_space, lambda: setattr(_SPACE, "t", 0)),
    "counted in a queue": _counting(_in_queue, _emptied),
    "counted in an array": _counting(_in_array, lambda: _COUNTS.__setitem__(0, 0)),
    "counted in C's number": _counting(_in_cell, lambda: setattr(_CELL, "value", 0)),
    "counted in a context variable": _counting(_in_variable, lambda: _VARIABLE.set(0)),
    "counted on a layer": _counting(_on_layer, lambda: setattr(_LAYER, "steps", 0)),
    "counted on a dictionary": _counting(_on_dictionary, lambda: setattr(_NAMED, "steps", 0)),
    "counted in decimals": _counting(_exactly, lambda: _EXACT.update(t=Decimal(0))),
    "counted in fractions": _counting(_in_shares, lambda: _SHARE.update(t=Fraction(0))),
}


class CountingLoss(nn.Module):
    """A loss that counts its batches, and halves itself after LATE of them."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.batches += 1
        loss = nn.functional.cross_entropy(outputs, targets)
        return loss * 0.5 if self.batches > LATE else loss


def counting_loss() -> Callable[..., torch.Tensor]:
    """The same in a closure."""
    batches = [0]

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        batches[0] += 1
        return nn.functional.cross_entropy(outputs, targets) * (0.5 if batches[0] > LATE else 1.0)

    return loss
