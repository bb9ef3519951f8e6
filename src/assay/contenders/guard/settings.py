"""The settings of a process that change what others compute in it, each with how it is read and how it is put back.

Function modes and global hooks have no public form in torch; the private names here were tried with torch 2.13.0.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """`get` reads it; `put` sets it to what was read before, as far as that can be done."""

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], object]


def settings() -> list[Setting]:
    """Python's, NumPy's and torch's; torch is imported."""
    return [*_of_python(), *_of_numpy(), *_of_torch()]


def random_states() -> tuple[Any, ...]:
    """Of the global generators of torch (the CPU's), NumPy and Python."""
    import numpy as np
    import torch

    return torch.default_generator.get_state(), np.random.get_state(), random.getstate()


def set_random_states(states: tuple[Any, ...]) -> None:
    """Put the global generators back to `random_states`."""
    import numpy as np
    import torch

    torch.default_generator.set_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


ENVIRONMENT = "the environment"
OWN_VARIABLES = (
    "KMP_",
    "TORCHINDUCTOR_",
    "TRITON_",
    "_RJEM_",
)  # what libraries set for themselves when they are loaded


def changed_variables(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """The names of environment variables that differ."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}


def _of_python() -> list[Setting]:
    found = [
        Setting("resource limits", _limits, _put_limits),  # first: what follows may need what they deny
        Setting("timers", _timers, _put_timers),
        Setting(ENVIRONMENT, _environment, _put_environment),
        Setting("the working folder", _folder, lambda path: path and os.chdir(path)),
        Setting("signal handlers", _handlers, _put_handlers),
        Setting("Python's recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Setting("the garbage collector", _collector, _put_collector),
        Setting("Python's trace function", sys.gettrace, sys.settrace),
        Setting("Python's profile function", sys.getprofile, sys.setprofile),
        Setting("standard streams", lambda: (sys.stdin, sys.stdout, sys.stderr), _put_streams),
    ]
    if hasattr(os, "sched_getaffinity"):
        found.append(
            Setting("the cores in use", lambda: os.sched_getaffinity(0), lambda some: os.sched_setaffinity(0, some))
        )
    return found


try:
    import resource
except ImportError:  # elsewhere than on POSIX
    resource = None
_LIMITS = sorted(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
_TIMERS = [getattr(signal, name) for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF") if hasattr(signal, name)]


def _limits() -> dict[int, tuple[int, int]]:
    return {which: resource.getrlimit(which) for which in _LIMITS} if resource else {}


def _put_limits(before: dict[int, tuple[int, int]]) -> None:
    for which, limits in before.items():
        if resource and resource.getrlimit(which) != limits:
            with contextlib.suppress(OSError, ValueError):  # a hard one that was lowered
                resource.setrlimit(which, limits)


def _timers() -> list[bool]:
    """Which of the process's timers run (an alarm is one)."""
    return [signal.getitimer(which)[0] > 0 for which in _TIMERS]


def _put_timers(before: list[bool]) -> None:
    for which, ran in zip(_TIMERS, before, strict=True):
        if not ran:
            signal.setitimer(which, 0)


def _of_numpy() -> list[Setting]:
    import numpy as np

    return [Setting("NumPy's error handling", np.geterr, lambda how: np.seterr(**how))]


def _of_torch() -> list[Setting]:
    import torch

    return [
        Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        Setting("torch's default device", torch.get_default_device, _put_device),
        Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
        Setting("torch's threads between operations", torch.get_num_interop_threads, torch.set_num_interop_threads),
        Setting("torch's deterministic algorithms", _deterministic, _put_deterministic),
        Setting(
            "torch's precision of matrix products",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        Setting("torch's cuDNN flags", _cudnn, _put_cudnn),
        Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled),
        Setting("torch's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        Setting("torch's autocast", lambda: torch.is_autocast_enabled("cpu"), _put_autocast),
        Setting("torch's treatment of denormal numbers", _keeps_denormal, _put_denormal),
        Setting("torch's function modes", lambda: torch._C._len_torch_function_stack(), _pop_modes),
        Setting("the settings of torch's compiler", _compiler, _put_compiler),
        Setting("torch's global hooks", lambda: [dict(own) for own in _hooks()], _put_hooks),
    ]


_COMPILER = ("torch._dynamo.config", "torch._functorch.config", "torch._inductor.config")
_first: dict[str, dict[str, Any]] = {}  # as they were when they were first seen: loading a part changes nothing


def _compiler() -> dict[str, Any]:
    """What is set otherwise than at first, of the parts of torch's compiler that are loaded. (Workers have loaded all.)"""
    now = {name: _configured(sys.modules[name]) for name in _COMPILER if name in sys.modules}
    for name, values in now.items():
        _first.setdefault(name, values)
    return {f"{n}.{key}": v for n, values in now.items() for key, v in values.items() if v != _first[n].get(key)}


def _configured(module: Any) -> dict[str, Any]:
    """Its settings; a copy is made of those only that can be changed where they stand: of all it takes a millisecond."""
    kept = module.save_config_portable(readonly_values=True)
    changing = {key: copy.copy(getattr(module, key)) for key, v in kept.items() if isinstance(v, list | dict | set)}
    return {**kept, **changing}


def _put_compiler(before: dict[str, Any]) -> None:
    for path in _compiler():
        module = next(name for name in _COMPILER if path.startswith(f"{name}."))
        key = path.removeprefix(f"{module}.")
        setattr(sys.modules[module], key, before.get(path, _first[module].get(key)))


def _put_device(device: Any) -> None:
    import torch

    torch.set_default_device(None if device.type == "cpu" else device)


def _deterministic() -> tuple[bool, bool]:
    import torch

    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _put_deterministic(both: tuple[bool, bool]) -> None:
    import torch

    torch.use_deterministic_algorithms(both[0], warn_only=both[1])


_CUDNN = ("enabled", "benchmark", "deterministic")


def _cudnn() -> list[bool]:
    from torch.backends import cudnn

    return [getattr(cudnn, name) for name in _CUDNN]


def _put_cudnn(values: list[bool]) -> None:
    from torch.backends import cudnn

    for name, value in zip(_CUDNN, values, strict=True):
        setattr(cudnn, name, value)


def _put_denormal(kept: bool) -> None:
    import torch

    torch.set_flush_denormal(not kept)


def _hooks() -> list[dict[Any, Any]]:
    """The hooks on every module, and on every optimizer, as torch keeps them."""
    return [
        hooks
        for owner in (sys.modules["torch.nn.modules.module"], sys.modules["torch.optim.optimizer"])
        for name, hooks in sorted(vars(owner).items())
        if name.startswith("_global_") and "hooks" in name and isinstance(hooks, dict)
    ]


def _put_hooks(kept: list[dict[Any, Any]]) -> None:
    for own, before in zip(_hooks(), kept, strict=True):
        own.clear()
        own.update(before)


def _put_environment(before: dict[str, str]) -> None:
    for name in changed_variables(before, _environment()):
        os.environ.pop(name, None)
        if name in before:
            os.environ[name] = before[name]


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _put_handlers(before: dict[int, Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) != handler:
            with contextlib.suppress(OSError, ValueError):  # of a signal that nobody may handle
                signal.signal(number, handler)


def _collector() -> tuple[bool, tuple[int, int, int]]:
    return gc.isenabled(), gc.get_threshold()


def _put_collector(before: tuple[bool, tuple[int, int, int]]) -> None:
    gc.enable() if before[0] else gc.disable()
    gc.set_threshold(*before[1])


def _put_streams(streams: tuple[Any, Any, Any]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


def _put_autocast(enabled: bool) -> None:
    import torch

    torch.set_autocast_enabled("cpu", enabled)


def _keeps_denormal() -> bool:
    """Whether 1e-310, which has no normal form, is still more than nothing when it was added to nothing."""
    import torch

    return bool(torch.zeros(1, dtype=torch.float64, device="cpu").add(1e-310).item() > 0)


def _pop_modes(before: int) -> None:
    import torch
    from torch.overrides import _pop_mode

    while torch._C._len_torch_function_stack() > before:
        _pop_mode()


class Filters(NamedTuple):
    """Python's warning filters, and what shows a warning."""

    filters: list[Any]
    show: Any

    @classmethod
    def now(cls) -> Filters:
        """As they are."""
        return cls(list(warnings.filters), warnings.showwarning)

    def changed_for_all(self) -> bool:
        """Whether some filter for every warning is new, or some are gone: what a library adds for its own is no change."""
        for_all = [f for f in warnings.filters if f[1] is None and f[3] is None and f[2] is Warning]
        gone = len(warnings.filters) < len(self.filters)
        return gone or warnings.showwarning is not self.show or any(f not in self.filters for f in for_all)

    def put_back(self) -> None:
        """The filters as they were."""
        warnings.filters[:] = self.filters  # type: ignore[index]
        warnings.showwarning = self.show
        if hasattr(warnings, "_filters_mutated"):
            warnings._filters_mutated()  # type: ignore[attr-defined]
