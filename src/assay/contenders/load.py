"""Users' own files and modules: imported by reference, made to travel to workers, and known by their version."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle

from assay.errors import UsageError, nearest, own_frames

_HELPERS: dict[str, list[str]] = {}  # module name → files that it imported from beside it


def load(reference: str) -> Any:
    """The object that `pkg.mod:Name` or `path/file.py:Name` names.

    Raises:
        UsageError: the file or module isn't there, fails to import (its own frames are shown), or lacks the name.
    """
    where, _, name = reference.rpartition(":")
    if not where or not name:
        raise UsageError(f"{reference!r}: write package.module:Name or path/file.py:Name")
    module = _module(where)
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            public = [n for n in vars(module) if not n.startswith("_")]
            raise UsageError(f"{where} has no {name!r}; {nearest(name, public)}")
        target = getattr(target, part)
    return target


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


def source_of_file(reference: str) -> str:
    """Which version the file or module of a reference is: for an object that doesn't know where it was made."""
    return source_of(SimpleNamespace(__module__=_module(reference.rpartition(":")[0]).__name__))


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


def _module(where: str) -> ModuleType:
    return _load_file(Path(where)) if where.endswith(".py") else _load_module(where)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path} (seen from {Path.cwd()})")
    resolved = path.resolve()
    place = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = f"{re.sub(r'[^A-Za-z0-9_]', '_', resolved.stem)}_{place}"  # two files of one name are two modules
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} can't be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder, before = str(resolved.parent), set(sys.modules)
    sys.path.insert(0, folder)  # its own imports from beside it
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _import_failed(str(path), error) from error
    finally:
        sys.path.remove(folder)
    if folder not in sys.path:
        sys.path.append(folder)  # workers inherit it, for what is imported only when it is needed
    beside = [m for n, m in sys.modules.items() if n not in before and _lies_in(m, resolved.parent)]
    for one in (module, *beside):
        cloudpickle.register_pickle_by_value(one)  # workers, here or on another machine, need not find the file
    _HELPERS[name] = [str(m.__file__) for m in beside]  # part of what a user's module is
    return module


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts


def _load_module(name: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            looked = f"looked in {Path.cwd()} and the installed packages"
            raise UsageError(f"there is no module {name!r} ({looked})") from error
        raise _import_failed(name, error) from error
    except BaseException as error:
        raise _import_failed(name, error) from error


def _import_failed(where: str, error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt):
        return error
    return UsageError(f"{where} fails to import: {own_frames(error)}")
