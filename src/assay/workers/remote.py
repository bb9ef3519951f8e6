"""What runs on the nodes of a Ray cluster, and what must be the same on all of them."""

from __future__ import annotations

import pickle
import socket
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from assay.errors import UsageError
from assay.training.numerics import hash_of_sources, torch_build


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
    raises).
    """
    import os
    import pickle

    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    from assay.workers.remote import call

    return pickle.dumps(call(driver, function, kinds, values))


_ready: dict[str, str] = {}  # this worker's identity, once it is set up


def call(driver: dict[str, str], function: tuple[str, str], kinds: str, values: tuple[bytes, ...]) -> tuple[bool, Any]:
    """`run`, in assay as the node has it."""
    try:
        if not _ready:
            import torch

            torch.set_num_threads(1)
            _ready.update(identity())
        if reason := refusal(socket.gethostname(), _ready, driver):  # a node that joined later
            raise UsageError(reason)
        arguments = [pickle.loads(v) if kind == "p" else v for kind, v in zip(kinds, values, strict=True)]
        return True, getattr(import_module(function[0]), function[1])(*arguments)
    except Exception as error:  # whatever the function raises
        error.__traceback__ = None
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an exception class of the user's own may not travel
            return False, RuntimeError(f"{type(error).__name__}: {error}")
        return False, error
