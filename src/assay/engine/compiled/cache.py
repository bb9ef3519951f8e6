"""Compiled steps on disk: a folder each, named by a hash of all that they depend on, loaded in a few milliseconds.

`variants.json` holds the host programs and what goes where; `N.so` the compiled main graph of variant N, which torch's
ahead-of-time runtime loads without its compiler. `variants.json` also names every source file whose code ran while the
step was traced, with its hash: a file that changed makes the artifact void.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.engine.compiled.partition import Step
from assay.engine.compiled.scalar_program import program
from assay.engine.compiled.values import Guard, Kind, Tracked
from assay.engine.eager.refusal import NotCompilable
from assay.record.cache import cache_folder

Runner = Callable[[list[Tensor]], list[Tensor]]


@dataclass
class Variant:
    """A step ready to run, for one batch size and as long as its guards hold. The names are those of `graphs.Step`."""

    size: int
    guards: list[Guard]
    host: Callable[..., list[Any]]
    host_inputs: list[str]
    host_updates: list[str]
    main: Runner
    main_inputs: list[str]
    main_updates: list[str]
    used: list[int]
    equal: list[list[str]]
    coefficients: list[Tensor]
    buffers: list[Any]  # the coefficients' memory, as NumPy sees it


@dataclass
class Artifact:
    """All variants of a contender's step. `tracked`: the numbers that are inputs; `reason`: why there are none, if so."""

    variants: list[Variant]
    tracked: Tracked
    reason: str = ""


# ------------------------------------------------------------------------------------------------------------ sources


@contextlib.contextmanager
def recording_sources() -> Iterator[set[str]]:
    """The files of all Python code that runs inside, torch's and the standard library's own left out."""
    files: set[str] = set()
    outside = (str(Path(torch.__file__).parent), sysconfig.get_paths()["stdlib"] + os.sep, "<")

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            files.add(frame.f_code.co_filename)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(before)
        site = sysconfig.get_paths()["purelib"]
        kept = {f for f in files if not f.startswith(outside) or (f.startswith(site) and not f.startswith(outside[0]))}
        files.clear()
        files |= {f for f in kept if Path(f).is_file()}


def hashes(files: Sequence[str] | set[str]) -> dict[str, str]:
    """SHA-256 of each file."""
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in sorted(files)}


@cache
def engine_source() -> str:
    """SHA-256 of this engine's own source: another engine, another artifact."""
    sha = hashlib.sha256()
    for path in sorted(Path(__file__).parent.parent.rglob("*.py")):
        sha.update(path.read_bytes())
    return sha.hexdigest()


def key_of(facts: Mapping[str, Any]) -> str:
    """The name of the artifact that these facts decide, with this torch, this Python and this kind of processor."""
    machine = {
        "torch": torch.__version__,
        "python": sys.version,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "engine": engine_source(),
    }
    return hashlib.sha256(json.dumps([machine, facts], sort_keys=True, default=repr).encode()).hexdigest()[:32]


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


# -------------------------------------------------------------------------------------------------------- in and out


_DESCRIBED = ("host_inputs", "host_updates", "main_inputs", "main_updates", "used", "coefficients", "equal")


def save(
    key: str,
    steps: Sequence[tuple[int, list[Guard], Step, list[Tensor]]],
    tracked: Tracked,
    sources: Mapping[str, str],
    reason: str = "",
) -> None:
    """Compile every step's main graph and keep the whole. `steps`: batch size, guards, step, example inputs."""
    folder = folder_of(key)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
    try:
        described: list[dict[str, Any]] = []
        for i, (size, guards, step, inputs) in enumerate(steps):
            compile_main(step, inputs, temporary / f"{i}.so")
            described.append(
                {
                    "size": size,
                    "guards": [[g.kind, g.outcome] for g in guards],
                    "host": step.host,
                    "constants": {
                        n: [str(t.dtype), list(t.shape), t.reshape(-1).tolist()] for n, t in step.constants.items()
                    },
                    **{name: getattr(step, name) for name in _DESCRIBED},
                }
            )
        document = {
            "tracked": tracked,
            "sources": dict(sources),
            "reason": reason,
            "variants": described,
        }
        (temporary / "variants.json").write_text(json.dumps(document))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def compile_main(step: Step, inputs: Sequence[Tensor], path: Path) -> None:
    """Compile a main graph to a shared library. NotCompilable with the compiler's reason."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
        warnings.simplefilter("ignore")
        import torch._inductor

        try:
            made = torch._inductor.aot_compile(
                step.main,
                tuple(inputs),
                options={
                    "aot_inductor.output_path": str(Path(scratch) / "main.so"),
                    "emulate_precision_casts": True,  # half precision is rounded where the optimizer rounds it
                },
            )
        except Exception as error:
            raise NotCompilable(f"torch can't compile its step: {' '.join(str(error).split())[:160]}") from error
        shutil.move(str(made), path)


def load(key: str) -> Artifact | None:
    """The artifact, or None where there is none or it is out of date."""
    folder = folder_of(key)
    try:
        document = json.loads((folder / "variants.json").read_text())
        if hashes(set(document["sources"])) != document["sources"]:
            return None
        variants = [_variant(described, folder / f"{i}.so") for i, described in enumerate(document["variants"])]
    except (OSError, ValueError, KeyError, RuntimeError):
        return None
    return Artifact(variants, {p: Kind(*k) for p, k in document["tracked"].items()}, document["reason"])


def _variant(described: Mapping[str, Any], path: Path) -> Variant:
    runner = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1)  # type: ignore[attr-defined]
    constants = {
        name: torch.tensor(values, dtype=getattr(torch, dtype.removeprefix("torch."))).reshape(shape)
        for name, (dtype, shape, values) in described["constants"].items()
    }
    coefficients = make_buffers(described["coefficients"])
    return Variant(
        described["size"],
        [Guard(outcome, kind) for kind, outcome in described["guards"]],
        program(described["host"], constants),
        described["host_inputs"],
        described["host_updates"],
        runner.run,
        described["main_inputs"],
        described["main_updates"],
        described["used"],
        described["equal"],
        coefficients,
        [c.numpy() for c in coefficients],
    )


def make_buffers(coefficients: Sequence[tuple[Sequence[int], str]]) -> list[Tensor]:
    """Room for the coefficients."""
    return [
        torch.empty(tuple(shape), dtype=getattr(torch, dtype.removeprefix("torch."))) for shape, dtype in coefficients
    ]
