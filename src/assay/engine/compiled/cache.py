"""Compiled main graphs on disk: a shared library each, named by all that it is made of, and loaded in a few milliseconds.

The name is a hash of the graph itself, operation by operation, of the constants in it, and of its inputs' shapes, strides and
dtypes. Steps are traced anew in each run, so that whatever an optimizer's code reads, from wherever, is in the graph by then:
a library can't be out of date. A graph that can't be compiled leaves the reason in its place, for an hour.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from assay.contenders import guard
from assay.engine.refusal import Hindered, NotCompilable
from assay.engine.torch_private import compile_graph, compiler_settings, load_graph
from assay.record.cache import cache_folder

Main = Callable[[list[Tensor]], Sequence[Tensor]]
FAILED_FOR = 3600  # seconds; a compiler that was short of memory may not be the next time
_FORM = 3  # of what is compiled how: a new number voids what there is
_loaded: dict[str, Main] = {}


def compiled(main: GraphModule, inputs: Sequence[Tensor]) -> Main:
    """A main graph, compiled for inputs like these: from this process, from disk, or made, by one process for all.

    Raises:
        NotCompilable: the compiler's reason. Hindered: the folder can't be written.
    """
    key = key_of(main, inputs)
    if key not in _loaded:
        path = folder() / f"{key}.so"
        try:
            _loaded[key] = _load(path) or _made(path, main, inputs)
        except OSError as error:
            raise Hindered(
                f"compiled steps can't be kept in {folder()} ({error.strerror}): make room, or set ASSAY_CACHE"
            ) from error
    return _loaded[key]


def key_of(main: GraphModule, inputs: Sequence[Tensor]) -> str:
    """The name of a compiled graph, with this torch, its compiler's settings and this kind of processor."""
    here = [_FORM, torch.__version__, torch.backends.cpu.get_cpu_capability(), compiler_settings()]
    taken = [(tuple(t.shape), t.stride(), t.dtype) for t in inputs]
    return hashlib.sha256(repr([here, taken, *_text(main)]).encode()).hexdigest()[:32]


def _text(main: GraphModule) -> Iterator[str]:
    """A graph as text: equal for graphs that compute the same in the same order."""
    places = {node: f"%{i}" for i, node in enumerate(main.graph.nodes)}

    def shown(value: Any) -> str:
        if isinstance(value, Node):
            return places[value]
        if isinstance(value, list | tuple):
            return f"({', '.join(map(shown, value))})"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{name}: {shown(item)}' for name, item in value.items())}}}"
        return f"{type(value).__name__} {value!r}"

    for node in main.graph.nodes:
        if node.op == "get_attr":
            constant: Tensor = getattr(main, str(node.target))
            values = hashlib.sha256(constant.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
            yield f"constant {tuple(constant.shape)} {constant.dtype} {values.hexdigest()}"
        else:
            target = "" if node.op == "placeholder" else str(node.target)
            yield f"{node.op} {target} {shown(node.args)} {shown(node.kwargs)}"


def folder() -> Path:
    """Where compiled graphs are kept."""
    return cache_folder() / "compiled"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process compiles a graph; others that want the same one wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        with contextlib.suppress(ImportError):  # a platform without it: at worst the same thing is compiled twice
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _made(path: Path, main: GraphModule, inputs: Sequence[Tensor]) -> Main:
    failure = path.with_suffix(".failed")
    with _locked(path):
        if (found := _load(path)) is not None:
            return found
        if failure.exists() and time.time() - failure.stat().st_mtime < FAILED_FOR:
            raise NotCompilable(failure.read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as temporary:
            made = Path(temporary, path.name)
            try:
                compile_main(main, inputs, made)
            except NotCompilable as error:
                failure.write_text(str(error), encoding="utf-8")
                raise
            for part in sorted(made.parent.iterdir()):  # a .json before its .so, which is whole when it is there
                part.replace(path.with_suffix(part.suffix))
    if (found := _load(path)) is None:
        raise NotCompilable("its compiled step can't be read back")
    return found


def compile_main(main: GraphModule, inputs: Sequence[Tensor], path: Path) -> None:
    """Compile a main graph to a shared library. NotCompilable with the compiler's reason, which is never empty."""
    with guard.kept(), warnings.catch_warnings():  # what torch's compiler sets for all is no contender's doing
        warnings.simplefilter("ignore")
        try:
            compile_graph(main, inputs, path)
        except (OSError, MemoryError):  # no room, say: no fault of the step
            raise
        except Exception as error:  # of torch's compiler, whatever it is
            said = " ".join(str(error).split())[:160] or type(error).__name__
            raise NotCompilable(f"torch can't compile its step: {said}") from error


def _load(path: Path) -> Main | None:
    """None where there is none, or none that can be loaded."""
    if not path.exists():
        return None
    try:
        return load_graph(path)
    except RuntimeError:
        return None
