"""What runs on the nodes of a Ray cluster, and what must be the same on all of them."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from assay.core.versions import hash_of_sources
from assay.errors import UsageError
from assay.training.numerics import torch_build
from assay.workers.serve import portable


def refusal(where: str, found: dict[str, Any], here: dict[str, str]) -> str | None:
    """Why a node can't do the work; None if it can."""
    if found["assay"] is None:
        return f"node {where} of the cluster has no assay ({found['python']}); install it there, as it is here"
    for name in ("torch", "assay"):
        if found[name] != here[name]:
            return f"node {where} of the cluster has {name} {found[name]}, this machine {here[name]}; install the same there"
    return None


def identity() -> dict[str, str]:
    """What must be the same on every worker: `assay` with its sources (two checkouts of one version differ), and `torch`."""
    sources = hash_of_sources(Path(__file__).parents[1])[:8]
    return {"assay": f"{metadata.version('assay')} ({sources})", "torch": torch_build()}


def travelling(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, to be sent as code, not by name: a node that lacks assay can run it all the same, and say so."""
    function.__module__ = "__main__"
    return function


def look() -> dict[str, Any]:
    """What a node has: `python`, `assay`, `torch`, `cpu`; None for what it lacks."""
    import sys

    found: dict[str, Any] = {"python": sys.executable, "assay": None, "torch": None, "cpu": None}
    try:
        from assay.training import numerics
        from assay.workers import remote
    except ImportError:
        return found
    found["cpu"] = numerics.cpu_model()
    try:
        return {**found, **remote.identity()}
    except Exception as error:  # whatever a broken installation raises
        return {**found, "assay": "unknown", "torch": f"none ({error})"}


def run(driver: dict[str, str], function: tuple[str, str], kinds: str, *values: bytes) -> bytes:
    """Call a function, given by module and name, with `values`: bytes as they are (kind "b") or pickled things ("p").

    `driver`: the identity of the process that asks. What comes back is pickled: (True, what it returns) or (False, what it
    raises), and then what was printed, as pairs of what was done meanwhile and the text.
    """
    import os
    import pickle

    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    from assay.workers.remote import call

    return pickle.dumps(call(driver, function, kinds, values))


_ready: dict[str, str] = {}  # this worker's identity, once it is set up
_workers: dict[str, Any] = {}  # its own processes, by the GPU that Ray has given it
_printed: list[tuple[str, str]] = []


def call(
    driver: dict[str, str], function: tuple[str, str], kinds: str, values: tuple[bytes, ...]
) -> tuple[bool, Any, list[tuple[str, str]]]:
    """`run`, in assay as the node has it; beside it what the code of others printed, and while it did what.

    It is done in a process of this node that serves one contender only, as on the driver's own machine.
    """
    _printed.clear()
    try:
        if not _ready:
            _ready.update(identity())
        if reason := refusal(socket.gethostname(), _ready, driver):  # a node that joined later
            raise UsageError(reason)
        arguments = [pickle.loads(v) if kind == "p" else v for kind, v in zip(kinds, values, strict=True)]
        called = getattr(import_module(function[0]), function[1])
        return True, _local().submit(called, *arguments).result(), [*_printed]
    except Exception as error:  # whatever the function raises
        return False, portable(error), [*_printed]


def _local() -> Any:
    """Processes of this node, with the GPU that Ray has given to the call."""
    from assay.workers.local import LocalWorkers

    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    if gpus not in _workers:
        _workers[gpus] = LocalWorkers(1, on_printed=lambda *printed: _printed.append(printed))
    return _workers[gpus]
