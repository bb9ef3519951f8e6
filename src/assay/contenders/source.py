"""Which version of an object this is: a package's version where it comes in a package, else a hash of its source."""

from __future__ import annotations

import hashlib
import inspect
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import cloudpickle


def source_of(thing: Any) -> str:
    """`torch 2.13.0` for what an installed package brings, `sha256:…` of the file for what a user wrote.

    An object without a file (made in a notebook or an interpreter) is hashed by its own source text, or by its pickle.
    """
    module = sys.modules.get(getattr(thing, "__module__", "") or "")
    path = getattr(module, "__file__", None)
    if path is None:
        try:
            content = inspect.getsource(thing).encode()
        except (OSError, TypeError):
            content = cloudpickle.dumps(thing)
        return "sha256:" + hashlib.sha256(content).hexdigest()
    package = _installed_package(module.__name__, path) if module else None
    return package or "sha256:" + hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _installed_package(module: str, path: str) -> str | None:
    if "site-packages" not in Path(path).parts:
        return None
    top = module.partition(".")[0]
    for distribution in metadata.packages_distributions().get(top, [top]):
        try:
            return f"{distribution} {metadata.version(distribution).partition('+')[0]}"
        except metadata.PackageNotFoundError:
            continue
    return None
