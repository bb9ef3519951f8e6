"""Compiled steps on disk: a folder each, named by a hash of all that they depend on, loaded in a few milliseconds.

`variants.msgpack` holds the variants' recipes; `N.so` the compiled main graph of variant N, which torch's ahead-of-time
runtime loads without its compiler. The former also names every source file whose code ran while the step was traced, with
its hash: a file that changed makes the artifact void.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor
from torch.fx import GraphModule

from assay.engine.compiled.values import Tracked
from assay.engine.compiled.variant import Recipe, Variant
from assay.engine.refusal import NotCompilable
from assay.engine.torch_private import compile_graph, load_graph
from assay.record.cache import cache_folder
from assay.record.files import NO_ROOM
from assay.training.numerics import hash_of_sources

Artifact = tuple[list[Variant], Tracked]  # all variants of a contender's step, and the numbers that are inputs


class Document(msgspec.Struct):
    """An artifact as it is kept, beside its variants' compiled main graphs; `reason`: why there are none, if so."""

    variants: list[Recipe]
    tracked: Tracked
    sources: dict[str, str]
    reason: str = ""


ENGINE = Path(__file__).parents[1]  # whose sources decide too: another engine, another artifact
NAME = "variants.msgpack"  # which knows infinity and NaN, as JSON doesn't
_TORCH = str(Path(torch.__file__).parent)
_STDLIB, _SITE = sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("purelib")


@contextlib.contextmanager
def recording_sources() -> Iterator[set[str]]:
    """The files of all Python code that runs inside."""
    files: set[str] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(before)


def hashes(files: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each file that is there and neither torch's nor the standard library's."""
    return {
        file: hashlib.sha256(Path(file).read_bytes()).hexdigest()
        for file in sorted(files)
        if not file.startswith(_TORCH)
        and (file.startswith(_SITE) or not file.startswith(_STDLIB))
        and os.path.isfile(file)
    }


def key_of(facts: Mapping[str, Any]) -> str:
    """The name of the artifact that these facts decide, with this torch, this Python and this kind of processor."""
    here = [torch.__version__, sys.version, torch.backends.cpu.get_cpu_capability(), hash_of_sources(ENGINE)]
    return hashlib.sha256(json.dumps([here, facts], sort_keys=True, default=repr).encode()).hexdigest()[:32]


def folder_of(key: str) -> Path:
    """Where an artifact is kept."""
    return cache_folder() / "compiled" / key


@contextlib.contextmanager
def locked(key: str) -> Iterator[None]:
    """One process compiles an artifact; others that want the same one wait for it."""
    try:
        import fcntl
    except ImportError:  # a platform without it: at worst the same thing is compiled twice
        yield
        return
    path = folder_of(key).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def save(key: str, document: Document, mains: Sequence[tuple[GraphModule, list[Tensor]]]) -> None:
    """Compile every variant's main graph with its example inputs, and keep the whole."""
    folder = folder_of(key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as temporary:
        made = Path(temporary, key)
        made.mkdir()
        for i, (main, inputs) in enumerate(mains):
            compile_main(main, inputs, made / f"{i}.so")
        (made / NAME).write_bytes(msgspec.msgpack.encode(document))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def compile_main(main: GraphModule, inputs: Sequence[Tensor], path: Path) -> None:
    """Compile a main graph to a shared library. NotCompilable with the compiler's reason."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile_graph(main, inputs, path)
        except Exception as error:  # of torch's compiler, whatever it is
            if isinstance(error, MemoryError) or getattr(error, "errno", None) in NO_ROOM:
                raise  # says nothing of the step
            raise NotCompilable(f"torch can't compile its step: {' '.join(str(error).split())[:160]}") from error


def load(key: str) -> Artifact | None:
    """The artifact, or None where there is none or it is out of date. NotCompilable where it says why it is empty."""
    folder = folder_of(key)
    try:
        document = msgspec.msgpack.decode((folder / NAME).read_bytes(), type=Document)
        if hashes(document.sources) != document.sources:
            return None
        variants = [Variant(recipe, load_graph(folder / f"{i}.so")) for i, recipe in enumerate(document.variants)]
    except (OSError, msgspec.MsgspecError, RuntimeError):
        return None
    if document.reason:
        raise NotCompilable(document.reason)
    return variants, document.tracked
