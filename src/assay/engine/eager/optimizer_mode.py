"""The `TorchFunctionMode` around an unmodified `optimizer.step()` whose numbers and tensors are batched.

What torch refuses to do with them there is done otherwise.

*Numbers* are 0-dimensional tensors that stand where Python numbers stood (a learning rate of each member's own, a step
count): they are float64 or int64 and follow Python's arithmetic, and meet a tensor as a Python number would, cast to the
tensor's dtype. `alpha=`, `value=`, `weight=` given as tensors are folded into the operands; `.item()` is the scalar
itself; a value is read only where all members agree.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from assay.engine.eager.op_tables import ARITHMETIC, DECOMPOSED, DIVISIONS, FACTORIES, HALF, IN_SINGLE, OVERRIDES, WHOLE
from assay.engine.eager.patching import PatchingMode
from assay.engine.eager.python_numbers import (
    WHOLE_LIMIT,
    as_number,
    is_number,
    mapped,
    number_functions,
    same,
    sound_power,
)
from assay.engine.refusal import NotVectorizable, hands_on
from assay.engine.torch_private import batched, is_batched, left, physical, torch_functions_off, values_of
from assay.errors import said

UNSOUND = "it computes a number that Python refuses (a division by zero, out of a function's domain, or too large)"
AWAITED = "it reads a gradient before its closure has computed it"
DEAD = "it uses a tensor that it gave to p.data before, and that is a weight since"
LATE = "it calls a closure that was given to another step"
VIEWS = frozenset(
    (
        "__get__", "__getitem__", "chunk", "detach", "diagonal", "expand", "expand_as", "flatten", "movedim", "narrow", "permute",
        "ravel", "reshape", "reshape_as", "select", "split", "squeeze", "swapaxes", "t", "transpose", "unbind", "unflatten",
        "unfold", "unsqueeze", "view", "view_as",
    )
)  # fmt: skip  # what may be in a parameter's memory
APART = "its members take different branches (it reads a value on which they differ)"


class OptimizerMode(PatchingMode):
    """The mode to hold around the `step()` of `width` members, whose batched tensors live on a vmap `level` and a `device`.

    Args:
        grads: id of a parameter → its gradient, or None; stands for `p.grad`.
        alive: (members,) bool, who still counts where members must agree; all, if None.
        on_read: told of every value read (values (members,) or (), the outcome), for a trace to guard it; without an
            outcome, of what must be true.
    Attributes:
        sound: (members,) bool, or () for all: whether Python would have computed every number too; None where none was.
        placed: parameters, and what `p.data = …` gave them, whose memory is the parameter's then: nobody else may keep it.
        losses: what its closure gave, which torch would record the history of.
        given: paths of what is kept and was given to `p.data` in this step, which its owner notes.
        dead: tensors that were given to `p.data`: they are in p's memory in torch, and not here; nobody may use them.
        refused: the first refusal, for code that steps may catch whatever is raised.
        evaluations: how often a step has called its `closure`.
    """

    def __init__(
        self,
        width: int,
        level: int,
        grads: dict[int, Tensor | None],
        device: str = "cpu",
        alive: Tensor | None = None,
        on_read: Callable[[Tensor, Any], None] | None = None,
    ) -> None:
        super().__init__()
        self.width, self.level, self.grads, self.device = width, level, grads, device
        self.alive, self.on_read = alive, on_read
        self.sound: Tensor | None = None
        self.placed: list[tuple[Tensor, Tensor]] = []
        self.evaluations, self.awaited, self.over = 0, False, False
        self.losses: list[Tensor] = []
        self.given: set[str] = set()
        self.dead: dict[int, Tensor] = {}
        self.refused: NotVectorizable | None = None
        self.lent: dict[int, list[weakref.ref[Tensor]]] = {}  # what `p.data` gave, by id of p

    def replacements(self) -> dict[tuple[Any, str], Callable[..., Any]]:
        """Python's functions of numbers, and their hash, of which torch doesn't tell a mode."""
        return {**number_functions(self.item, self.require), (Tensor, "__hash__"): self.hash}

    @property
    def hash(self) -> Callable[[Tensor], int]:
        """A number is found in a set or a dictionary by its value, which is thereby read; any other tensor is itself."""

        def hash_of(tensor: Tensor) -> int:
            if not is_number(tensor):
                return id(tensor)
            with torch_functions_off():
                return hash(self.read(tensor, lambda value: value))

        return hash_of

    def closure(self, evaluate: Callable[[], tuple[Tensor, Sequence[Tensor | None]]]) -> Tensor:
        """What a step calls for losses and gradients where its members' weights are by now; outside, `evaluate` runs as ever."""
        if self.over:
            raise NotVectorizable(LATE)
        self.evaluations, self.awaited = self.evaluations + 1, False
        self.__exit__(None, None, None)
        try:
            with left(self.width), torch.enable_grad():
                losses, gradients = evaluate()
        finally:
            self.__enter__()
        own = (g if g is None else batched(g, self.level) for g in gradients)
        self.grads.update(zip(self.grads, own, strict=True))
        self.losses.append(batched(losses, self.level))
        return self.losses[-1]

    def gradient(self, tensor: Tensor) -> Any:
        """What stands for `p.grad`: until its closure was called, what can be set and asked for None alone."""
        return _AWAITED if self.awaited and id(tensor) in self.grads else self.grads.get(id(tensor))

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch for every operation inside."""
        try:
            return self.call(func, args, kwargs or {})
        except NotVectorizable as error:
            self.refused = self.refused or error
            raise

    def _noted(self, reason: str) -> NotVectorizable:
        self.refused = self.refused or NotVectorizable(reason)
        return self.refused

    @hands_on
    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operation, another in its place where it has to be."""
        if self.dead and any(id(a) in self.dead for a in _flat(args, kwargs)):
            raise NotVectorizable(DEAD)
        if kwargs.get("out") is not None:
            out = kwargs.pop("out")
            result = self.call(func, args, kwargs)
            if isinstance(out, Tensor):
                return out.copy_(result)
            return type(out)(o.copy_(r) for o, r in zip(out, result, strict=True))
        if (override := OVERRIDES.get(func)) is not None:
            return override(self, *args, **kwargs)
        name = getattr(func, "__name__", "")
        if name.startswith("_foreach_"):
            return self._foreach(name, args, kwargs)
        tensors = [a for a in _flat(args, kwargs) if isinstance(a, Tensor)]
        numbers = [t for t in tensors if is_number(t)]
        if args and is_number(args[0]):
            func, name = _out_of_place(func, name)
        if numbers and len(numbers) == len(tensors) and func not in FACTORIES:
            return self._number_operation(func, name, args, kwargs)
        if numbers:
            dtype = functools.reduce(torch.promote_types, (t.dtype for t in tensors if not is_number(t)), torch.bool)
            if dtype in HALF and name.strip("_") in IN_SINGLE:
                return self._in_single(func, name, args, kwargs, dtype)
            args, kwargs = self._meet(args, kwargs, dtype)
        if (decomposed := DECOMPOSED.get(name)) is not None and decomposed.needed(args, kwargs):
            return decomposed.run(*args, **kwargs)
        result = self._run(func, name, args, kwargs)
        if name in VIEWS and args and id(args[0]) in self.grads:
            views = [view for view in _flat((result,), {}) if isinstance(view, Tensor)]
            self.lent.setdefault(id(args[0]), []).extend(map(weakref.ref, views))
        shared = func in FACTORIES and isinstance(result, Tensor) and not is_batched(result)
        return self.own(result) if shared else result

    def own(self, made: Tensor) -> Tensor:
        """What was made once, as each member's own. A scalar goes to their device: torch lets it meet any, vmap doesn't."""
        made = made.to(self.device) if made.dim() == 0 else made
        return batched(made.expand(self.width, *made.shape).clone(), self.level)

    @staticmethod
    @hands_on
    def _run(func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """As it is; where torch can batch an operation but not its in-place form, the result is copied in."""
        try:
            return func(*args, **kwargs)
        except RuntimeError as error:
            plain = getattr(Tensor, name[:-1], None) if name.endswith("_") and not name.endswith("__") else None
            if plain is None or "vmap fallback" not in said(error):
                raise
        return args[0].copy_(plain(*args, **kwargs))

    # ------------------------------------------------------------------------------------------------ numbers

    def _number_operation(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Python's arithmetic: a whole number meeting a float is a float64."""
        plain = name.strip("_").removeprefix("r") if name.startswith("__r") else name.strip("_")
        if any(isinstance(a, complex) for a in _flat(args, kwargs)):
            raise NotVectorizable("it computes with complex numbers")
        if plain in ARITHMETIC:  # of true and false, too, which count as 1 and 0
            args = mapped(lambda t: t.to(torch.int64) if t.dtype is torch.bool else t, args)
        floating = plain not in WHOLE or any(
            isinstance(a, float) or (isinstance(a, Tensor) and a.is_floating_point()) for a in _flat(args, kwargs)
        )
        left, right = (*args, 1)[:2] if not name.startswith("__r") else args[1::-1]
        if plain == "pow" and not floating:
            floating = self.read(right < 0, bool) if isinstance(right, Tensor) else right < 0
        if floating:  # said outright: torch would take its default dtype, which is narrower
            args = mapped(lambda t: t.to(torch.float64) if t.dtype is torch.int64 else t, args)
        result = func(*args, **kwargs)
        if plain in DIVISIONS:
            self.require(right != 0)
        elif plain == "pow" and floating:
            self.require(sound_power(left, right, result))
        elif plain in ("add", "sub", "mul", "pow") and not floating and not (plain in ("add", "sub") and _small(args)):
            exact = mapped(lambda t: t.to(torch.float64), args)
            self.require(func(*exact, **kwargs).abs() <= WHOLE_LIMIT)
        return mapped(as_number, result)

    def require(self, condition: Any) -> None:
        """What holds where Python computes a number without an error, of each member or of all: seen to now, or later."""
        if not isinstance(condition, Tensor):
            if not condition:
                raise self._noted(UNSOUND)
        elif self.on_read is not None:
            if not all(values_of(condition)):
                raise self._noted(UNSOUND)
            self.on_read(physical(condition), None)
        else:
            self.sound = condition if self.sound is None else self.sound & condition

    def _in_single(self, func: Any, name: str, args: Any, kwargs: Any, dtype: torch.dtype) -> Any:
        """Torch doesn't round these operations' Python numbers to half precision, only what comes of them."""
        if is_number(args[0]):  # a number over a tensor is the tensor's reciprocal times the number
            func, args = Tensor.mul, (args[1].reciprocal(), args[0])
        wide = mapped(lambda t: t.float() if is_number(t) or t.dtype in HALF else t, (args, kwargs))
        plain, _ = _out_of_place(func, name)
        result = self.call(plain, *wide)
        if plain is not func:
            return args[0].copy_(result)
        return result.to(dtype) if isinstance(result, Tensor) and result.is_floating_point() else result

    def _meet(self, args: Any, kwargs: Any, dtype: torch.dtype) -> tuple[Any, Any]:
        """Cast the numbers as torch casts a Python number that meets tensors of this dtype."""

        def cast(tensor: Tensor) -> Tensor:
            if not is_number(tensor):
                return tensor
            if dtype.is_floating_point or dtype.is_complex:
                return tensor.to(dtype)
            if tensor.is_floating_point():
                return tensor.to(torch.get_default_dtype())
            return tensor if dtype is torch.bool or tensor.dtype is torch.bool else tensor.to(dtype)

        return mapped(cast, (args, kwargs))

    # --------------------------------------------------------------------------------------------------- reads

    def read(self, tensor: Tensor, kind: Callable[[Any], Any], apart: str = APART) -> Any:
        """The Python value of a one-element tensor, where all members that count agree. NotVectorizable elsewhere."""
        if tensor.numel() != 1:
            raise NotVectorizable("it reads a tensor of several values as one")
        if tensor.device.type != "cpu":
            raise NotVectorizable("it reads a value back from the device in each step")
        values = [kind(value) for value in values_of(tensor)]
        if self.alive is not None and len(values) == self.width:
            values = [value for value, alive in zip(values, self.alive.tolist(), strict=True) if alive] or values[:1]
        if not all(same(value, values[0]) for value in values):
            raise self._noted(apart)
        if self.on_read is not None:
            self.on_read(physical(tensor), values[0])
        return values[0]

    def item(self, tensor: Tensor) -> Any:
        """A scalar's own value stays a tensor, with the precision of a Python number."""
        if not is_batched(tensor) and self.on_read is None and tensor.device.type == "cpu":
            return tensor.item()
        if tensor.numel() != 1:
            raise NotVectorizable("it reads a tensor of several values as one")
        whole = torch.bool if tensor.dtype is torch.bool else torch.int64
        wide = torch.float64 if tensor.is_floating_point() else whole
        return as_number(tensor.reshape(()).to(wide, copy=True))

    def _foreach(self, name: str, args: Any, kwargs: Any) -> Any:
        """`torch._foreach_add_` is `Tensor.add_` of each element: lists are taken apart, what is one for all is repeated."""
        plain = name.removeprefix("_foreach_")
        operation = _norm if plain == "norm" else getattr(Tensor, plain)
        results: list[Any] = []
        for i in range(len(args[0])):
            own = [a[i] if isinstance(a, list | tuple) else a for a in args]
            named = {k: a[i] if isinstance(a, list | tuple) else a for k, a in kwargs.items()}
            results.append(self.call(operation, tuple(own), named))
        return None if name.endswith("_") else results


class _Awaited:
    """A gradient that isn't there yet: whoever does anything with it is refused."""

    def __getattr__(self, name: str) -> Any:
        raise NotVectorizable(AWAITED)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotVectorizable(AWAITED)


_AWAITED = _Awaited()


def _small(args: Any) -> bool:
    """Does a count grow by so little that it can't leave int64 in any training?"""
    return any(isinstance(a, int) and abs(a) < 2**32 for a in args)


def _norm(x: Tensor, ord: Any = 2, dtype: torch.dtype | None = None) -> Tensor:
    return torch.linalg.vector_norm(x, ord, dtype=dtype)


def _out_of_place(func: Any, name: str) -> tuple[Any, str]:
    """`x *= y` on a Python number makes a new one; whoever kept the old one keeps it."""
    plain = "__" + name[3:] if name.startswith("__i") and name.endswith("__") else name
    if name.endswith("_") and not name.endswith("__"):
        plain = name[:-1]
    return (getattr(Tensor, plain), plain) if plain != name and hasattr(Tensor, plain) else (func, name)


def _flat(args: Any, kwargs: Mapping[str, Any]) -> Iterator[Any]:
    for value in (*args, *kwargs.values()):
        yield from value if type(value) in (list, tuple) else (value,)
