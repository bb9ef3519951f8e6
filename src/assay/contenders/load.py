"""Users' own files and modules: imported by reference, made to travel to workers, and known by their version."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import cloudpickle

from assay.contenders import guard
from assay.contenders.installed import installed
from assay.contenders.lasting import nothing_lasting
from assay.contenders.packages import content_of, imported_files, version_of
from assay.contenders.reach import reach_of
from assay.errors import UsageError, nearest, own_frames

_HELPERS: dict[str, list[str]] = {}  # module name → files that it imported from beside it
_BESIDE: dict[str, list[str]] = {}  # and those files' modules
_SEEN: dict[
    str, tuple[Any, bytes]
] = {}  # importable modules: their specification, which a reload renews, and their file
_LOADED: dict[str, list[bytes]] = {}  # what all of them held when they were loaded
_CHANGES: dict[str, str] = {}  # module name → what importing it changed in this process
_PRINTED: list[tuple[str, str]] = []  # what users' code was doing in this process, and printed


@contextlib.contextmanager
def apart(doing: str) -> Iterator[list[str]]:
    """Code of a user's, run in the command's own process: what it changes for all is put back, what it prints is kept.

    Yields a list that the changes are named in, afterwards. `doing` says what it does, as in "mine.py was imported".

    Raises:
        UsageError: it ends the process, by SystemExit or GeneratorExit; other exceptions are as they were raised.
    """
    me, printed, leave = os.getpid(), list[str](), os._exit

    def ends(code: int) -> None:  # in a child that was forked it may
        if os.getpid() != me:
            leave(code)
        raise SystemExit(code)

    os._exit = ends  # type: ignore[assignment]
    try:
        with guard.captured() as printed, nothing_lasting() as lasting:
            with guard.kept() as changed:
                yield changed
            changed += lasting
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if os.getpid() == me and not isinstance(error, Exception):
            raise UsageError(f"while {doing} it raised {own_frames(error)}{guard.last_lines(printed[0])}") from error
        raise
    finally:
        os._exit = leave
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
    module = module_at(where)
    target: Any = module
    for part in name.split("."):
        if not hasattr(target, part):
            public = [n for n in vars(module) if not n.startswith("_")]
            raise UsageError(f"{where} has no {name!r}; {nearest(name, public)}")
        target = getattr(target, part)
    return target


class Origin(NamedTuple):
    """Which version of it something is.

    `source`: `torch 2.13.0` for what an installed package brings, `sha256:…` of the files for what a user wrote. `reach`: the
    digest of all that it reaches, "" for what is no more than a package that assay needs. `beyond`: what no digest holds, a
    few words each.
    """

    source: str
    reach: str = ""
    beyond: tuple[str, ...] = ()


def origin_of(thing: Any, compared: Iterable[str] = (), **parts: Any) -> Origin:
    """The origin of a class or function that makes something; `parts`: what else decides what comes of it.

    `compared`: names of the parts whose product is compared each time by itself. What has no file of its own, as in a
    notebook, has its reach as its source, too. An installed package that defines it is known by its content, for it may be
    what is being developed.
    """
    package = content_of((getattr(thing, "__module__", None) or "").partition(".")[0])
    if not parts and not package and installed(thing):
        return Origin(source_of(thing))
    found = reach_of(parts or {"": thing}, compared, package)
    return Origin(source_of(thing) or found.digest, found.digest, found.beyond)


def source_of(thing: Any) -> str:
    """The package and version, or a hash of the files: of the thing and, for a class, of the classes that it inherits from.

    "" for what has no file.
    """
    path = _file(thing)
    if path is None:
        return ""
    return version_of(thing.__module__, path) or hash_of(Path(file).read_bytes() for file in files_of(thing))


def files_of(thing: Any) -> set[str]:
    """The user's own files behind a class or function, helpers beside it too; none for what a package brings."""
    path = _file(thing)
    if path is None or version_of(thing.__module__, path):
        return set()
    family = thing.__mro__ if inspect.isclass(thing) else (thing,)
    written = {file for member in family if (file := _file(member)) and not version_of(member.__module__, file)}
    return written | set(_HELPERS.get(thing.__module__, []))


def hash_of(contents: Iterable[bytes]) -> str:
    """What names a user's files as a contender's source, wherever they lie."""
    hashes = sorted(hashlib.sha256(content).hexdigest() for content in contents)
    return "sha256:" + (hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest())


def module_of(reference: str) -> Any:
    """Stands for the file or module of a reference: for an object that doesn't know where it was made."""
    return SimpleNamespace(__module__=module_at(reference.rpartition(":")[0]).__name__)


def _file(thing: Any) -> str | None:
    module = sys.modules.get(getattr(thing, "__module__", "") or "")
    path = getattr(module, "__file__", None)
    return path if path and Path(path).is_file() else None


def module_at(where: str) -> ModuleType:
    """The module `pkg.mod`, or that of `path/file.py`. UsageError where it isn't there, or fails to import."""
    return _load_file(Path(where)) if where.endswith(".py") else _load_module(where)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path} (seen from {Path.cwd()})")
    resolved = path.resolve()
    place = hashlib.sha256(str(resolved).encode()).hexdigest()[:8]
    name = f"{re.sub(r'[^A-Za-z0-9_]', '_', resolved.stem)}_{place}"  # two files of one name are two modules
    if name in sys.modules and _LOADED[name] == _bytes_of(name, resolved):
        return sys.modules[name]
    for old in _BESIDE.pop(name, []):  # edited since, in a notebook: what is in memory is not what the file says
        sys.modules.pop(old, None)
    spec = importlib.util.spec_from_file_location(name, resolved, loader=_AsWritten(name, str(resolved)))
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} can't be loaded as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        _see_that_no_other_is_loaded(name, path)
    except UsageError:
        del sys.modules[name]
        raise
    folder, before = str(resolved.parent), set(sys.modules)
    sys.path.insert(0, folder)  # its own imports from beside it
    try:
        with apart(f"{path} was imported") as changed, _leaving_no_bytecode():
            spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _import_failed(str(path), error) from error
    finally:
        sys.path.remove(folder)
    _note_changes(name, str(path), changed)
    if folder not in sys.path:
        sys.path.append(folder)  # workers inherit it, for what is imported only when it is needed
    imports = imported_files(name)  # some of them another file of the user's has loaded before
    beside = [
        m
        for n, m in sys.modules.items()
        if n != name and (n not in before or n in imports) and _lies_in(m, resolved.parent)
    ]
    for one in (module, *beside):
        cloudpickle.register_pickle_by_value(one)  # workers, here or on another machine, need not find the file
    _HELPERS[name] = [str(m.__file__) for m in beside]  # part of what a user's module is
    _BESIDE[name] = [m.__name__ for m in beside]
    _LOADED[name] = _bytes_of(name, resolved)
    return module


def _see_that_no_other_is_loaded(name: str, path: Path) -> None:
    """UsageError where a file would be given a user's module from elsewhere for one that lies beside it."""
    folder = path.resolve().parent
    for top in {imported.partition(".")[0] for imported in imported_files(name)}:
        other = getattr(sys.modules.get(top), "__file__", None)
        beside = next(
            (place for place in (folder / f"{top}.py", folder / top / "__init__.py") if place.is_file()), None
        )
        if other and beside and not Path(other).resolve().is_relative_to(folder) and version_of(top, other) is None:
            raise UsageError(
                f"{path} imports {top} from beside it, and another {top} is loaded already, {other}: of two modules of one name "
                "Python keeps the first; rename one of them (in a notebook or a test, a new process will do)"
            )


class _AsWritten(importlib.machinery.SourceFileLoader):
    """Compiles what is in the file now.

    Python takes kept bytecode for that of a file of the same size that was written in the same second, which an edited constant's
    may be: the plan would name one source, and another would run.
    """

    def path_stats(self, path: str) -> Any:
        raise OSError("no bytecode is looked for, or left")


@contextlib.contextmanager
def _leaving_no_bytecode() -> Iterator[None]:
    """Nor of what a file imports, for the same reason."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _bytes_of(name: str, path: Path) -> list[bytes]:
    """What a loaded file and those that it imported from beside it hold now."""
    return [Path(file).read_bytes() for file in (path, *_HELPERS.get(name, [])) if Path(file).is_file()]


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts


def _load_module(name: str) -> ModuleType:
    with contextlib.suppress(OSError):  # the working folder was removed
        if str(Path.cwd()) not in sys.path and "" not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
    if name in sys.modules or name.partition(".")[0] in ("assay", "torch"):
        return _as_it_is_now(importlib.import_module(name))
    try:
        with apart(f"{name} was imported") as changed, _leaving_no_bytecode():
            module = importlib.import_module(name)
        _note_changes(name, name, changed)
        return _as_it_is_now(module)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            looked = f"looked in {Path.cwd()} and the installed packages"
            raise UsageError(f"there is no module {name!r} ({looked})") from error
        raise _import_failed(name, error) from error
    except BaseException as error:
        raise _import_failed(name, error) from error


def _as_it_is_now(module: ModuleType) -> ModuleType:
    """The module. UsageError where its file was edited since it was seen here first, and it wasn't loaded again."""
    path = _file(SimpleNamespace(__module__=module.__name__))
    if path is None or version_of(module.__name__, path):
        return module
    spec, content = _SEEN.get(module.__name__, (None, b""))
    now = Path(path).read_bytes()
    if spec is module.__spec__ and content != now:
        raise UsageError(
            f"{path} was edited since Python imported {module.__name__}, which is what it was: importlib.reload it, or start "
            "anew"
        )
    _SEEN[module.__name__] = module.__spec__, now
    return module


def _note_changes(module: str, where: str, changed: list[str]) -> None:
    if changed:
        _CHANGES[module] = f"importing {where} changes {guard.listed(changed)} for all, which was put back"


def _import_failed(where: str, error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt | UsageError):
        return error
    printed = _PRINTED[-1][1] if _PRINTED and _PRINTED[-1][0] == f"{where} was imported" else ""
    return UsageError(f"{where} fails to import: {own_frames(error)}{guard.last_lines(printed)}")
