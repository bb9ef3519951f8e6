"""What the names stand for in torch, in what its users compute with, and in what assay writes its files with."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = frozenset((
    "builtins", "math", "random", "numpy", "numpy.random",
    "copy", "functools", "numpy.linalg",
    "json", "os", "pathlib", "posixpath", "time",
    "torch", "torch.autograd", "torch.linalg", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils",
    "torch.optim", "torch.functional", "torch._tensor", "torch._C", "torch._C._nn",
))  # fmt: skip
_MISSING = object()
_NOT_OURS = (
    "__annot",
    "__doc__",
    "__abstractmethods__",
    "_abc_impl",
    "tzname",
)  # what Python itself makes when it is asked for


class Held:
    """A shallow copy of every namespace that is watched."""

    def __init__(self) -> None:
        self._kept = [(name, owner, dict(vars(owner))) for name, owner in _owners().items()]

    def put_back(self, of_torch: bool) -> list[str]:
        """Put back what was replaced, taken away or (in a class) added since, in torch or elsewhere; its full names."""
        changed: list[str] = []
        for where, owner, before in self._kept:
            if where.startswith("torch") != of_torch:
                continue
            now = vars(owner)
            for name in [n for n, value in before.items() if now.get(n, _MISSING) is not value]:
                if not _by_itself(name, before[name], now.get(name)):
                    changed.append(f"{where}.{name}")
                    setattr(owner, name, before[name])
            if isinstance(owner, type):  # what a class gains, it may hide from a class above it
                for name in [n for n in now if n not in before and not _by_itself(n, None, now[n])]:
                    changed.append(f"{where}.{name}")
                    delattr(owner, name)
        return sorted(set(changed))


def _owners() -> dict[str, Any]:
    """The modules that are watched, and the classes of tensors, modules and optimizers, by their full names."""
    import torch

    modules = [name for name in sys.modules if name in MODULES or name.startswith("torch.optim.")]
    found: dict[str, Any] = {n: m for n in sorted(modules) if isinstance(m := sys.modules[n], ModuleType)}
    found["torch.Tensor"] = torch.Tensor
    found["torch.nn.Parameter"] = torch.nn.Parameter
    for kind in (json.JSONEncoder, json.JSONDecoder, *type(Path()).__mro__[:-1]):
        found[f"{kind.__module__}.{kind.__qualname__}"] = kind
    for place in ("torch.nn", "torch.optim", "torch.optim.lr_scheduler"):
        for name, value in vars(sys.modules[place]).items():
            if isinstance(value, type) and value.__module__.startswith("torch."):
                found[f"{place}.{name}"] = value
    return found


_WRAPPERS = ("torch.optim.optimizer", "torch._compile")  # whose functions torch lays around others when it is used


def _by_itself(name: str, before: Any, now: Any) -> bool:
    """Whether torch or Python makes such a change by itself.

    An optimizer's class has its step wrapped when it is first made, and `torch.manual_seed` is, when the compiler is loaded.
    """
    if name.startswith(_NOT_OURS) or name == "_" or isinstance(before, ModuleType):
        return True
    code, wrapped = getattr(now, "__code__", None), getattr(now, "__wrapped__", None)
    files = [getattr(sys.modules.get(module), "__file__", None) for module in _WRAPPERS]
    if code is None or code.co_filename not in files or wrapped is None:
        return False
    return wrapped is before or (before is None and name == "step")
