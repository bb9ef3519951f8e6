"""Whose a module is: an installed package's, by its version, Python's, or the user's own; and what a user's file imports."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import re
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

from assay.core.versions import hash_of_sources, installed

INSTALLED = {"site-packages", "dist-packages"}


@cache
def version_of(module: str, path: str | None) -> str | None:
    """`torch 2.13.0` or `python` for a module that was installed; None for what a user wrote.

    `path`: of its file; None where it has none, as modules in C and notebooks.
    """
    top = module.partition(".")[0]
    if path is None or not INSTALLED & set(Path(path).parts):
        standard = top in sys.stdlib_module_names if path is None else Path(path).is_relative_to(_stdlib())
        return "python" if standard and top != "__main__" else None
    return _distribution(top)


def owner_of(module: str) -> str | None:
    """The same by the module's name alone; assay itself counts as installed, wherever it lies.

    What was installed from a folder, as with `pip install .`, is its content, too: it may be again, under the same version.
    """
    top = module.partition(".")[0]
    if top == "assay":
        return f"assay {installed('assay')}"
    return _with_content(version_of(module, getattr(sys.modules.get(module), "__file__", None)), top)


def owner_once_imported(module: str) -> str | None:
    """The same of a module that needs not be loaded. Nothing is run."""
    owner = owner_of(module)
    path = None if owner or module in sys.modules else _place(module)
    return _with_content(version_of(module, str(path)), module.partition(".")[0]) if path else owner


def _with_content(owner: str | None, top: str) -> str | None:
    return f"{owner} {content_of(top)}" if owner and _from_a_folder(top) else owner


@cache
def content_of(top: str) -> str:
    """A digest of an installed package's Python files; "" of what assay depends on, and of what isn't installed."""
    place = _place(top)
    if place is None or not version_of(top, str(place)) or version_of(top, str(place)) == "python" or _assay_has(top):
        return ""
    return hash_of_sources(place.parent if place.name == "__init__.py" else place)


@cache
def _assay_has(top: str) -> bool:
    """Is it a package that assay needs or offers to use, which nobody edits in its place?"""
    needed = {re.split(r"[^\w.-]", text)[0] for text in (*_requirements(), "assay", "numpy", "torch")}
    return bool({_plain(name) for name in needed} & {_plain(name) for name in _distributions().get(top, [top])})


def _requirements() -> list[str]:
    try:
        return metadata.requires("assay") or []
    except metadata.PackageNotFoundError:
        return []


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _from_a_folder(top: str) -> bool:
    for name in _distributions().get(top, [top]):
        with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
            if "dir_info" in json.loads(metadata.distribution(name).read_text("direct_url.json") or "{}"):
                return bool(content_of(top))
    return False


def users_modules() -> list[ModuleType]:
    """The modules in this process that a user wrote, but for the main one."""
    known = [*sys.modules.items()]
    return [m for name, m in known if isinstance(m, ModuleType) and m.__name__ == name != "__main__" and _is_a_users(m)]


def _is_a_users(module: ModuleType) -> bool:
    return isinstance(getattr(module, "__file__", None), str) and owner_of(module.__name__) is None


@cache
def _stdlib() -> str:
    return sysconfig.get_path("stdlib")


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@cache
def _distribution(top: str) -> str | None:
    for distribution in sorted(set(_distributions().get(top, [top]))):
        try:
            return f"{distribution} {metadata.version(distribution).partition('+')[0]}"
        except metadata.PackageNotFoundError:
            continue
    return None


def imported_files(name: str) -> dict[str, str]:
    """SHA-256, by module, of a user's module and of the user's modules that it imports in turn. Nothing is run.

    What is installed has no part in it. A module that isn't there is "missing".
    """
    found: dict[str, str] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        path = None if module in found or owner_of(module) is not None else _place(module)
        if module in found or owner_of(module) is not None or (path and version_of(module, str(path)) is not None):
            continue
        content = path.read_bytes() if path is not None and path.suffix == ".py" else None
        found[module] = "missing" if content is None else hashlib.sha256(content).hexdigest()
        waiting += [module.rpartition(".")[0]] if "." in module else []  # the package around it is run first
        waiting += _imports(content, module, path) if path is not None and content is not None else []
    return found


def _place(module: str) -> Path | None:
    """Where a module's file is; of one that isn't loaded, where it would be loaded from, packages above it not run."""
    loaded = sys.modules.get(module)
    if isinstance(loaded, ModuleType):
        file = getattr(loaded, "__file__", None)
        return Path(file) if file else None
    where, spec = None, None
    for name in module.split("."):  # alone: by its whole name a namespace asks for packages that aren't loaded
        spec = PathFinder.find_spec(name, where)
        if spec is None:
            return None
        where = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin else None


def _imports(content: bytes, module: str, path: Path) -> Iterator[str]:
    """The modules that a file's text imports, wherever in it."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    parts = [*module.split("."), ""] if path.name == "__init__.py" else module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*(parts[: -node.level] if node.level else []), *([node.module] if node.module else [])])
            if base:
                yield base
                yield from (name for alias in node.names if _place(name := f"{base}.{alias.name}") is not None)
