"""What it costs: memory that grows, host reads, state, time; and which engine can train it."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from assay.conformance.lab import MATRICES, RUN, Lab, Shapes, Training, gradients, start_values
from assay.conformance.report import Passed, Skip, fail_if, skip_if

_LEAK_STEPS = 1000
_SECONDS = 6.0
_RARELY = 0.01  # one in a hundred steps
_FEW = 60  # Python's own blocks come and go by as many between two moments


def check_leak(lab: Lab) -> Passed:
    """Neither tensors nor other objects nor the process's memory grow with the steps, after the first two fifths of them.

    1,000 steps are taken, or as many as take six seconds.
    """
    lab.shows(
        """
import gc, sys
def tensors():
    gc.collect()
    found = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    return len(found), sys.getallocatedblocks(), sum(o.untyped_storage().nbytes() for o in found)
counts = []
for t in range(1000):
    p.grad = torch.ones(4, 3)
    opt.step()
    if t in (399, 999):
        counts.append(tensors())
grown = [after - before for before, after in zip(*counts)]
assert grown[0] < 5 and grown[1] < 300 and grown[2] < 300, f"more tensors, objects, bytes: {grown}"
"""
    )
    shapes = ((64, 128), *lab.shapes)
    training = Training(lab, start_values(shapes, torch.float32))
    rows = gradients(shapes, 4, torch.float32)
    began = time.perf_counter()
    training.feed_all(rows)
    each = (time.perf_counter() - began) / len(rows)
    block = max(10, min(_LEAK_STEPS // 5, int(_SECONDS / 5 / each)))
    marks: list[tuple[int, int, int, int]] = []
    for _ in range(5):
        for step in range(block):
            training.feed(rows[step % len(rows)])
            skip_if(time.perf_counter() - began > 2 * _SECONDS, "its steps are too slow for as many as tell")
        gc.collect()
        tensors = [o for o in gc.get_objects() if issubclass(type(o), Tensor)]
        size = sum(_size(t) for t in tensors)
        marks.append((len(tensors), size, sys.getallocatedblocks(), _resident()))
        del tensors
    grown = [min((b - a) / block for a, b in pairwise(kind)) for kind in zip(*marks[1:], strict=True)]
    tensors, size, objects, memory = grown
    fail_if(tensors > 0.5, f"it keeps {tensors:.1f} more tensors with every step, and never lets go of them")
    fail_if(
        tensors > _RARELY, f"it keeps a tensor more every {1 / max(tensors, 1e-9):.0f} steps, and never lets go of it"
    )
    fail_if(size > 0.5, f"its tensors grow by {size:.3g} bytes with every step")
    too_many = objects > 0.7 and objects * block > _FEW
    fail_if(too_many, f"it keeps {objects:.1f} more Python objects with every step, and never lets go of them")
    share = memory / (4 * 64 * 128)
    fail_if(share > 0.6, f"memory grows by {memory / 1024:.0f} KiB a step, about {share:.1f} times its parameters")
    return Passed(f"nothing grows over {5 * block:,} steps")


def _size(tensor: Tensor) -> int:
    """Bytes; 0 of what has no storage of its own."""
    try:
        return tensor.untyped_storage().nbytes()
    except (RuntimeError, NotImplementedError):
        return 0


def _resident() -> int:
    """Bytes of memory this process holds; 0 where that isn't told."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0


_BY_PYTHON = {"__bool__": "bool()", "__float__": "float()", "__int__": "int()", "__index__": "index"}
_BY_NAME = ("item", "tolist", "numpy", "cpu", "nonzero", "equal")
_READS = {
    **{getattr(Tensor, name): shown for name, shown in _BY_PYTHON.items()},
    **{getattr(Tensor, name): f"{name}()" for name in _BY_NAME},
    **{getattr(torch, name): f"{name}()" for name in ("nonzero", "equal", "allclose")},
}


class _CountReads(TorchFunctionMode):
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
        touched = any(t in self.derived for t in _tensors((args, kwargs)))
        if touched and func in _READS:
            self.count += 1
            self.where = f"{_READS[func]} in {_line_read()}"
        result = func(*args, **(kwargs or {}))
        if touched:
            in_place = getattr(func, "__name__", "").endswith("_")
            for t in _tensors((result, args[:1] if in_place else ())):
                self.derived[t] = True
        return result


def _tensors(thing: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(thing) if isinstance(leaf, Tensor)]


def _line_read() -> str:
    frame = sys._getframe(2)
    while frame.f_back and ("/torch/" in frame.f_code.co_filename or "/assay/conformance/" in frame.f_code.co_filename):
        if "/torch/optim/" in frame.f_code.co_filename:
            break
        frame = frame.f_back
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def check_host_reads(lab: Lab) -> Passed:
    """Reads of a value back from a tensor, for 2 and for 10 parameters."""
    counts, where = [], ""
    for n in (2, 10):
        shapes = MATRICES[:1] * n
        training = Training(lab, start_values(shapes, torch.float32))
        rows = gradients(shapes, 5, torch.float32)
        training.feed_all(rows[:2])
        try:
            with _CountReads(training.params) as reads:
                training.feed_all(rows[2:])
        except Exception as error:
            raise Skip(f"its steps can't be watched ({type(error).__name__}: compiled ones, as a rule)") from None
        counts.append(reads.count / 3)
        where = reads.where
    few, many = counts
    for_each = many - few >= 8
    value = {"reads": few, "reads_of_10_parameters": many, "for_each_parameter": for_each}
    if for_each:
        return Passed(
            f"values are read back for each parameter, {many:.0f} times a step for 10 of them ({where}): on an accelerator "
            "each one waits",
            value,
        )
    if not many:
        return Passed("no value is read back from a tensor", value)
    return Passed(f"{many:.3g} a step ({where}), however many parameters there are", value)


def check_state_bytes(lab: Lab) -> Passed:
    """Bytes of all tensors it holds but parameters and gradients, for each number of its parameters."""
    shapes = ((100, 100), (32, 64))
    training = Training(lab, start_values(shapes, torch.float32)).feed_all(gradients(shapes, 3, torch.float32))
    known = {_storage(t) for p in training.params for t in (p, p.grad) if t is not None}
    held = {_storage(t): t.untyped_storage().nbytes() for t in _reachable(training.optimizer)}
    size = sum(p.numel() for p in training.params)
    per = sum(count for place, count in held.items() if place not in known) / size
    return Passed(f"{per:.3g} bytes of state a parameter, in float32", {"bytes": per})


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _reachable(root: Any) -> list[Tensor]:
    """All tensors that an object's attributes, containers and inner objects lead to."""
    found, seen, waiting = [], set(), [root]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, Tensor):
            found.append(thing)
        else:
            waiting += gc.get_referents(thing)
    return found


def check_engine(lab: Lab) -> Passed:
    """Ask the parity probe, or whoever else is named. No engine trains what can't train a network with biases by `step()`."""
    from assay.engine.select.choose import engine_reached

    ask: Callable[[Any], tuple[str, str]] = lab.facts.get("engine_of") or engine_reached
    try:
        engine, reason = ask(lab.contender)
    except Exception as error:
        told = " ".join(str(error).split())[:160]
        raise Skip(f"it can't train a small network: {type(error).__name__}: {told}") from error
    return Passed(f"{engine}: {reason}", {"engine": engine, "reason": reason})


def check_speed_1m(lab: Lab) -> Passed:
    """Four matrices of 500 × 500."""
    return _speed(lab, ((500, 500),) * 4)


def check_speed_10m(lab: Lab) -> Passed:
    """Ten matrices of 1000 × 1000."""
    return _speed(lab, ((1000, 1000),) * 10)


def _speed(lab: Lab, shapes: Shapes) -> Passed:
    """Fastest of interleaved steps, against torch's fused Adam, one thread."""
    start = [torch.full(s, 0.01) for s in shapes]
    gradient = [torch.randn(s) for s in shapes]
    training = Training(lab, start, run=replace(RUN, fused=True))
    others = [Parameter(t.clone()) for t in start]
    reference = torch.optim.Adam(others, lr=1e-4, fused=True)
    for p, q, g in zip(training.params, others, gradient, strict=True):
        p.grad, q.grad = g.clone(), g

    own = training.optimizer.step if lab.mode == "no" else lambda: training.feed(gradient)
    ours, fused = [], []
    deadline = time.perf_counter() + 1.5
    for attempt in range(30):
        for take, times in ((own, ours), (reference.step, fused)):
            began = time.perf_counter()
            take()
            if attempt:
                times.append(time.perf_counter() - began)
        if time.perf_counter() > deadline and ours:
            break
    skip_if(not ours, "a step takes too long to be timed")
    ratio = min(ours) / min(fused)
    value = {"seconds": min(ours), "fused_adam_seconds": min(fused), "ratio": ratio}
    return Passed(f"{1e3 * min(ours):.3g} ms a step, {ratio:.3g} times fused Adam's (one thread)", value)
