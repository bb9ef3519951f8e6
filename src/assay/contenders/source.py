"""Which version of an object this is: a package's version where it comes in a package, else a hash of its source."""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle


def source_of(thing: Any) -> str:
    """`torch 2.13.0` for what an installed package brings, `sha256:…` of the files for what a user wrote.

    The files are that of the thing and, for a class, those of the classes it inherits from, where a user wrote them. An
    object without a file (made in a notebook or an interpreter) is hashed by its own source text, or by its pickle.
    """
    path = _file(thing)
    if path is None:
        try:
            content = inspect.getsource(thing).encode()
        except (OSError, TypeError):
            content = cloudpickle.dumps(thing)
        return "sha256:" + hashlib.sha256(content).hexdigest()
    package = _installed_package(thing.__module__, path)
    if package:
        return package
    family = thing.__mro__ if inspect.isclass(thing) else (thing,)
    written = {file for member in family if (file := _file(member)) and not _installed_package(member.__module__, file)}
    written |= set(_HELPERS.get(thing.__module__, []))
    hashes = sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in written)  # wherever they lie
    return "sha256:" + (hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest())


_HELPERS: dict[str, list[str]] = {}  # module name → files that it imported from beside it


def note_helpers(module: ModuleType, files: list[str]) -> None:
    """Count these files as part of what a user's module is: they were imported by it, from beside it."""
    _HELPERS[module.__name__] = files


def _file(thing: Any) -> str | None:
    module = sys.modules.get(getattr(thing, "__module__", "") or "")
    return getattr(module, "__file__", None)


def _installed_package(module: str, path: str) -> str | None:
    if not {"site-packages", "dist-packages"} & set(Path(path).parts):
        return "python" if Path(path).is_relative_to(sysconfig.get_path("stdlib")) else None
    top = module.partition(".")[0]
    for distribution in metadata.packages_distributions().get(top, [top]):
        try:
            return f"{distribution} {metadata.version(distribution).partition('+')[0]}"
        except metadata.PackageNotFoundError:
            continue
    return None
