"""Counts the reads of a tensor's value by the host, of tensors that would live on the accelerator."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

_BY_PYTHON = {"__bool__": "bool()", "__float__": "float()", "__int__": "int()", "__index__": "index"}
_BY_NAME = ("item", "tolist", "numpy", "cpu", "nonzero", "equal")
_READS = {
    **{getattr(Tensor, name): shown for name, shown in _BY_PYTHON.items()},
    **{getattr(Tensor, name): f"{name}()" for name in _BY_NAME},
    **{getattr(torch, name): f"{name}()" for name in ("nonzero", "equal", "allclose")},
}


class CountReads(TorchFunctionMode):
    """Counts, while it is entered, reads of values that were computed from the parameters or their gradients.

    A step counter that an optimizer keeps in a tensor of its own stays on the CPU, so reading it costs nothing and is
    not counted. `where` says how and in which line the last read was made.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        super().__init__()
        self.count, self.where = 0, ""
        self.derived: WeakIdKeyDictionary = WeakIdKeyDictionary()
        for p in params:
            self.derived[p] = True

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        touched = any(self._is_derived(a) for a in (*args, *kwargs.values()))
        if touched and func in _READS:
            self.count += 1
            self.where = f"{_READS[func]} in {_line()}"
        result = func(*args, **kwargs)
        if touched:
            self._mark(result)
            if getattr(func, "__name__", "").endswith("_") and args:
                self._mark(args[0])
        return result

    def _is_derived(self, thing: Any) -> bool:
        if isinstance(thing, Tensor):
            return thing in self.derived
        return isinstance(thing, list | tuple) and any(self._is_derived(t) for t in thing)

    def _mark(self, thing: Any) -> None:
        if isinstance(thing, Tensor):
            self.derived[thing] = True
        elif isinstance(thing, list | tuple):
            for t in thing:
                self._mark(t)


def _line() -> str:
    frame = sys._getframe(2)
    while frame.f_back and ("/torch/" in frame.f_code.co_filename or "/assay/check/" in frame.f_code.co_filename):
        if "/torch/optim/" in frame.f_code.co_filename:
            break
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
