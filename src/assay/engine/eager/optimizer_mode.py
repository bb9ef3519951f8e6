"""The `TorchFunctionMode` around an unmodified `optimizer.step()` whose numbers and tensors are batched.

What torch refuses to do with them there is done otherwise.

*Numbers* are 0-dimensional tensors that stand where Python numbers stood (a learning rate of each member's own, a step
count): they are float64 or int64 and follow Python's arithmetic, and meet a tensor as a Python number would, cast to the
tensor's dtype. `alpha=`, `value=`, `weight=` given as tensors are folded into the operands; `.item()` is the scalar
itself; a value is read only where all members agree.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from assay.engine.eager.op_tables import DECOMPOSED, FACTORIES, HALF, IN_SINGLE, WHOLE, foreach_elements, foreach_name
from assay.engine.eager.overrides import OVERRIDES
from assay.engine.eager.patching import patched
from assay.engine.eager.python_math import number_functions
from assay.engine.eager.python_numbers import as_number, as_numbers, is_number
from assay.engine.eager.refusal import NotVectorizable, hands_on
from assay.engine.eager.torch_private import batched, is_batched, physical, values_of


class OptimizerMode(TorchFunctionMode):
    """The mode to hold around `step()`.

    Args:
        width: members.
        level: the vmap level that the batched tensors live on.
        grads: id of a parameter → its gradient, or None; stands for `p.grad`.
        device: where the members are.
        alive: (members,) bool, who still counts where members must agree; all, if None.
        on_read: told of every value read (values (members,) or (), the outcome), for a trace to guard it.
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

    def __enter__(self) -> OptimizerMode:
        self.patches = patched(number_functions(self.item))
        self.patches.__enter__()
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.patches.__exit__(*error)

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called by torch for every operation inside."""
        return self.call(func, args, kwargs or {})

    @hands_on
    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operation, another in its place where it has to be."""
        if kwargs.get("out") is not None:
            out = kwargs.pop("out")
            return self._into(out, self.call(func, args, kwargs))
        override = OVERRIDES.get(func)
        if override is not None:
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
        decomposed = DECOMPOSED.get(name)
        if decomposed is not None and (
            decomposed.always or any(isinstance(a, Tensor) for a in decomposed.scalars(args, kwargs))
        ):
            return decomposed.run(*args, **kwargs)
        result = self._run(func, name, args, kwargs)
        if func in FACTORIES and isinstance(result, Tensor) and not is_batched(result):
            return self.own(result)
        return result

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
            if plain is None or "vmap fallback" not in str(error):
                raise
        return args[0].copy_(plain(*args, **kwargs))

    # ------------------------------------------------------------------------------------------------ numbers

    def _number_operation(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        """Python's arithmetic: a whole number meeting a float is a float64."""
        plain = name.strip("_").removeprefix("r") if name.startswith("__r") else name.strip("_")
        floating = plain not in WHOLE or any(
            isinstance(a, float) or (isinstance(a, Tensor) and a.is_floating_point()) for a in _flat(args, kwargs)
        )
        if floating:  # said outright: torch would take its default dtype, which is narrower

            def widen(value: Any) -> Any:
                return value.to(torch.float64) if isinstance(value, Tensor) and value.dtype is torch.int64 else value

            args = tuple(map(widen, args))
        return as_numbers(func(*args, **kwargs))

    def _in_single(self, func: Any, name: str, args: Any, kwargs: Any, dtype: torch.dtype) -> Any:
        """Torch doesn't round these operations' Python numbers to half precision, only what comes of them."""
        if is_number(args[0]):  # a number over a tensor is the tensor's reciprocal times the number
            func, args = Tensor.mul, (args[1].reciprocal(), args[0])

        def widen(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.float() if is_number(value) or value.dtype in HALF else value
            return type(value)(map(widen, value)) if type(value) in (list, tuple) else value

        plain, _ = _out_of_place(func, name)
        result = self.call(plain, tuple(map(widen, args)), {k: widen(v) for k, v in kwargs.items()})
        if plain is not func:
            return args[0].copy_(result)
        return result.to(dtype) if isinstance(result, Tensor) and result.is_floating_point() else result

    def _meet(self, args: Any, kwargs: Any, dtype: torch.dtype) -> tuple[Any, Any]:
        """Cast the numbers as torch casts a Python number that meets tensors of this dtype."""

        def cast(value: Any) -> Any:
            if is_number(value):
                if dtype.is_floating_point or dtype.is_complex:
                    return value.to(dtype)
                if value.is_floating_point():
                    return value.to(torch.get_default_dtype())
                return value if dtype is torch.bool or value.dtype is torch.bool else value.to(dtype)
            return type(value)(map(cast, value)) if type(value) in (list, tuple) else value

        return tuple(map(cast, args)), {k: cast(v) for k, v in kwargs.items()}

    # --------------------------------------------------------------------------------------------------- reads

    def read(self, tensor: Tensor, kind: Callable[[Any], Any]) -> Any:
        """The Python value of a one-element tensor, where all members that count agree. NotVectorizable elsewhere."""
        if tensor.numel() != 1:
            raise NotVectorizable("it reads a tensor of several values as one")
        if tensor.device.type != "cpu":
            raise NotVectorizable("it reads a value back from the device in each step")
        values = [kind(value) for value in values_of(tensor)]
        if self.alive is not None and len(values) == self.width:
            values = [value for value, alive in zip(values, self.alive.tolist(), strict=True) if alive] or values[:1]
        if any(value != values[0] and not (value != value and values[0] != values[0]) for value in values):
            raise NotVectorizable("its members take different branches (it reads a value on which they differ)")
        outcome = values[0]
        if self.on_read is not None:
            self.on_read(physical(tensor), outcome)
        return outcome

    def item(self, tensor: Tensor) -> Any:
        """A scalar's own value stays a tensor, with the precision of a Python number."""
        if not is_batched(tensor) and self.on_read is None and tensor.device.type == "cpu":
            return tensor.item()
        if tensor.numel() != 1:
            raise NotVectorizable("it reads a tensor of several values as one")
        wide = (
            torch.float64 if tensor.is_floating_point() else torch.bool if tensor.dtype is torch.bool else torch.int64
        )
        return as_number(tensor.reshape(()).to(wide, copy=True))

    # ---------------------------------------------------------------------------------------------- the others

    def _foreach(self, name: str, args: Any, kwargs: Any) -> Any:
        operation = foreach_name(name)
        results = [self.call(operation, a, k) for a, k in foreach_elements(args, kwargs)]
        return None if name.endswith("_") else results

    def _into(self, out: Any, result: Any) -> Any:
        if isinstance(out, Tensor):
            return out.copy_(result)
        return type(out)(o.copy_(r) for o, r in zip(out, result, strict=True))

    def get_grad(self, tensor: Tensor) -> Tensor | None:
        """`p.grad`."""
        return self.grads.get(id(tensor))

    def set_grad(self, tensor: Tensor, value: Tensor | None) -> None:
        """`p.grad = value`."""
        self.grads[id(tensor)] = value

    def is_parameter(self, tensor: Tensor) -> bool:
        """`requires_grad`, `is_leaf`: a parameter's are True though no gradient is recorded here."""
        return id(tensor) in self.grads or bool(Tensor.requires_grad.__get__(tensor))  # type: ignore[attr-defined]


def _out_of_place(func: Any, name: str) -> tuple[Any, str]:
    """`x *= y` on a Python number makes a new one; whoever kept the old one keeps it."""
    plain = "__" + name[3:] if name.startswith("__i") and name.endswith("__") else name
    if name.endswith("_") and not name.endswith("__"):
        plain = name[:-1]
    return (getattr(Tensor, plain), plain) if plain != name and hasattr(Tensor, plain) else (func, name)


def _flat(args: Any, kwargs: Mapping[str, Any]) -> Iterator[Any]:
    for value in (*args, *kwargs.values()):
        if type(value) in (list, tuple):
            yield from value
        else:
            yield value
