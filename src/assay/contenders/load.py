"""Users' own files and modules: imported by reference, made to travel to workers, and known by their version."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle

from assay import guard
from assay.errors import UsageError, nearest, own_frames

_HELPERS: dict[str, list[str]] = {}  # module name → files that it imported from beside it
_CHANGES: dict[str, str] = {}  # module name → what importing it changed in this process
_PRINTED: list[tuple[str, str]] = []  # what users' code was doing in this process, and printed


@contextlib.contextmanager
def apart(doing: str) -> Iterator[list[str]]:
    """Code of a user's, run in the command's own process: what it changes for all is put back, what it prints is kept.

    Yields a list that the changes are named in, afterwards. `doing` says what it does, as in "mine.py was imported".

    Raises:
        UsageError: it ends the process, by SystemExit or GeneratorExit; other exceptions are as they were raised.
    """
    me, printed = os.getpid(), list[str]()
    try:
        with guard.captured() as printed, guard.kept() as changed:
            yield changed
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if os.getpid() == me and not isinstance(error, Exception):
            raise UsageError(f"while {doing} it raised {own_frames(error)}{guard.last_lines(printed[0])}") from error
        raise
    finally:
        if os.getpid() != me:  # a child that it forked: the command goes on once only
            os._exit(0)
        if printed and printed[0].strip():
            _PRINTED.append((doing, printed[0]))


def take_printed() -> list[tuple[str, str]]:
    """What users' code printed in this process since this was last asked: what it was doing, and the text."""
    taken = [*_PRINTED]
    _PRINTED.clear()
    return taken


def changes_of(thing: Any) -> str:
    """What importing the module of a thing changed in this process, in a sentence; "" where it was nothing."""
    return _CHANGES.get(getattr(thing, "__module__", None) or "", "")


def changes_in(note: str) -> list[str]:
    """Those of these sentences that a note holds."""
    return [change for change in _CHANGES.values() if change in note]


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
        with apart(f"{path} was imported") as changed:
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _import_failed(str(path), error) from error
    finally:
        sys.path.remove(folder)
    _note_changes(name, str(path), changed)
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
    if name in sys.modules or name.partition(".")[0] in ("assay", "torch"):
        return importlib.import_module(name)
    try:
        with apart(f"{name} was imported") as changed:
            module = importlib.import_module(name)
        _note_changes(name, name, changed)
        return module
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            looked = f"looked in {Path.cwd()} and the installed packages"
            raise UsageError(f"there is no module {name!r} ({looked})") from error
        raise _import_failed(name, error) from error
    except BaseException as error:
        raise _import_failed(name, error) from error


def _note_changes(module: str, where: str, changed: list[str]) -> None:
    if changed:
        _CHANGES[module] = f"importing {where} changes {guard.listed(changed)} for all, which was put back"


def _import_failed(where: str, error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt | UsageError):
        return error
    printed = _PRINTED[-1][1] if _PRINTED and _PRINTED[-1][0] == f"{where} was imported" else ""
    return UsageError(f"{where} fails to import: {own_frames(error)}{guard.last_lines(printed)}")
