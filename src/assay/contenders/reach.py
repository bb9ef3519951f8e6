"""What code reaches, as one digest: the code itself and all that it names, found by walking, the same in every process.

A function is its bytecode, defaults, closure and attributes, and each global that its code names; a class its bases and all that
its body defines; plain data, arrays and instances are their content; what is installed is a package and its version. No address,
no line number, no hash of Python's has part in it. What can't be digested is listed as beyond it.
"""

from __future__ import annotations

import builtins
import copyreg
import functools
import hashlib
import sys
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from assay.contenders import beyond, code
from assay.contenders.installed import altered, home_of, in_c, is_data, is_there, made_while_running, patched, unhooked
from assay.contenders.packages import imported_files, owner_of, owner_once_imported

_PYTHON = f"python {sys.version_info.major}.{sys.version_info.minor}"  # bytecode is its own
_NO_PART = {  # of a class: made by Python, or kept there by those who look at it
    *("__dict__", "__weakref__", "__module__", "__doc__", "__annotations__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "__firstlineno__", "__static_attributes__", "__slotnames__", "__orig_bases__"),
    *("__parameters__", "_abc_impl", "__qualname__", "__abstractmethods__"),
}
_OF_A_MODULE = {"__name__", "__file__", "__doc__", "__spec__", "__package__", "__loader__", "__builtins__", "__path__"}


class Reach(NamedTuple):
    """The digest of what is reached, `python 3.11 sha256:…`, and what is beyond it, a few words each."""

    digest: str
    beyond: tuple[str, ...]


def reach_of(roots: Mapping[str, Any], compared: Iterable[str] = (), package: str = "") -> Reach:
    """What these objects reach together.

    Args:
        roots: objects by what they are to whoever asks: `{"make": make}`.
        compared: names of roots whose product is compared each time by itself, so that nothing of theirs is beyond.
        package: a digest of the package that defines them.
    """
    walk = _Walk()
    if package:
        walk.say("package", package)
    try:
        for name, root in sorted(
            roots.items(), key=lambda item: item[0] in compared
        ):  # what both reach is said of the others
            walk.quiet = name in compared
            walk.place = name
            walk.say("root", name)
            walk.value(root)
    except RecursionError:
        return Reach(f"{_PYTHON} beyond", ("what it reaches is nested too deep to be read",))
    return Reach(f"{_PYTHON} sha256:{walk.sha.hexdigest()}", tuple(walk.notes))


class _Walk:
    """One walk over objects, each told to the hash once; then it is the number of its first visit."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []  # what was seen stays, so that no other object gets its address
        self.notes: dict[str, None] = {}
        self.place, self.quiet = "", False
        self.inside: tuple[
            str, ...
        ] = ()  # modules of objects that are being taken apart: their own functions say nothing

    def say(self, *words: object) -> None:
        """Words to the hash, each with its length, so that no two lists of them are one text."""
        for word in words:
            text = str(word).encode("utf-8", "surrogatepass")
            self.sha.update(b"%d:" % len(text) + text)

    def note(self, what: str) -> None:
        """Something is beyond the digest, here."""
        self.say("beyond", what)
        if not self.quiet:
            self.notes[f"{what} ({self.place})"] = None

    def value(self, value: Any) -> None:
        """Any object."""
        kind = type(value)
        if value is None or value is Ellipsis or value is NotImplemented or kind in (bool, float, complex):
            self.say(kind.__name__, repr(value))
        elif kind is int:
            self.say("int", hex(value))
        elif kind is str or kind is bytes:
            self.say(kind.__name__, value if kind is str else value.hex())
        elif kind is tuple:
            self._members("tuple", value)
        elif kind in (set, frozenset):
            self.say(kind.__name__, *sorted(self._apart(each) for each in value))
        elif kind is CodeType:
            self._code(value, {}, {}, {})
        elif id(value) in self.seen:
            self.say("again", self.seen[id(value)])
        else:
            self.seen[id(value)] = len(self.seen)
            self.kept.append(value)
            if kind in weakref.ProxyTypes:
                self.note("a weak proxy")
            elif what := beyond.of_value(value):
                self.note(what)
            elif not (self._callable(value) or self._container(value) or self._array(value)):
                self._instance(value)

    def _apart(self, value: Any) -> str:
        """The digest of an element of a set, whose order says nothing."""
        walk = _Walk()
        walk.notes, walk.place, walk.quiet = self.notes, self.place, self.quiet
        walk.value(value)
        return walk.sha.hexdigest()

    def _members(self, kind: str, values: Iterable[Any]) -> None:
        members = list(values)
        self.say(kind, len(members))
        for each in members:
            self.value(each)

    def _callable(self, value: Any) -> bool:
        """Told, if it is code of some kind: a function, a method, a class, a module, or what wraps one."""
        if isinstance(value, type):
            self._class(value)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, ModuleType):
            self._module(value)
        elif isinstance(value, MethodType):
            self._members("method", (value.__func__, value.__self__))
        elif isinstance(value, staticmethod | classmethod):
            self._members(type(value).__name__, (value.__func__,))
        elif isinstance(value, property):
            self._members("property", (value.fget, value.fset, value.fdel))
        elif isinstance(value, cached_property):
            self._members("cached property", (value.func,))
        elif in_c(value):
            home = getattr(value, "__module__", None) or ""
            self.say("in C", owner_of(home), value.__qualname__)
            self._handed_on(home, value.__qualname__)
            own = getattr(value, "__self__", None)
            self.value(None if isinstance(own, ModuleType | type) else own)
        elif isinstance(value, functools._lru_cache_wrapper):  # not by what it answers to: some answer to any name
            self._members("cached", (value.__wrapped__,))
        else:
            return False
        return True

    def _container(self, value: Any) -> bool:
        kind = type(value)
        if kind is list:
            self._members("list", value)
        elif kind is dict or kind is types.MappingProxyType:
            self._members("dict", (part for item in value.items() for part in item))
        elif kind is bytearray or kind is memoryview:
            self.say(kind.__name__, value.hex())
        elif isinstance(value, weakref.ref):
            self._members("weak", (value(),))
        elif kind is types.CellType:
            self._cell(value)
        else:
            return False
        return True

    def _cell(self, cell: types.CellType) -> None:
        try:
            self.value(cell.cell_contents)
        except ValueError:
            self.say("empty")

    def _array(self, value: Any) -> bool:
        """Told, if it is an array or a tensor, by type, shape and a digest of its bytes."""
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if numpy and (type(value) in (numpy.ndarray, numpy.memmap) or isinstance(value, numpy.generic)):
            self.say("array", value.dtype.str, value.dtype.descr if value.dtype.fields else "", value.shape)
            if value.dtype.hasobject:
                self.value(value.tolist())
            else:
                self.say(hashlib.sha256(numpy.ascontiguousarray(value).tobytes()).hexdigest())
            return True
        if torch and isinstance(value, torch.Tensor):
            shape = "nested" if value.is_nested else tuple(value.shape)
            self.say("tensor", type(value).__name__, value.dtype, shape, value.requires_grad)
            try:
                for part in _strided(value.detach()):
                    flat = part.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8)
                    self.say(hashlib.sha256(flat.numpy().tobytes()).hexdigest())
            except (RuntimeError, TypeError, NotImplementedError):  # a layout without bytes of its own
                self.note(f"a tensor of layout {str(value.layout).removeprefix('torch.')}")
            own = {name: held for name, held in vars(value).items() if not name.startswith("_dynamo_")}
            if own:
                self._named(own)
            return True
        return False

    def _instance(self, value: Any) -> None:
        """Any other object: what pickle would take of it, which is what travels to a worker."""
        kind = type(value)
        try:
            reducer = copyreg.dispatch_table.get(kind)
            made: Any = reducer(value) if reducer else value.__reduce_ex__(4)
            name, parts = (made, []) if isinstance(made, str) else ("", [*made, None, None, None][:5])
            parts = [list(part) if place > 2 and part is not None else part for place, part in enumerate(parts)]
        except (RecursionError, KeyboardInterrupt):
            raise
        except BaseException:  # whatever an object does that can't be taken apart, sys.exit among it
            self.note(f"a {kind.__module__}.{kind.__qualname__}, which can't be taken apart")
            return
        self.say("instance", name, owner_of(kind.__module__))
        if not parts:  # the object of that name
            self._class(kind)
            if not owner_of(kind.__module__):
                self._named(getattr(value, "__dict__", {}))
            elif kind.__name__ == "ufunc" and not is_there(value, name):
                self.note("a function that NumPy made of another")
            return
        outside, self.inside = self.inside, (*self.inside, kind.__module__)
        for part in (parts[0], parts[1], _in_order(parts[2]), *parts[3:]):
            self.value(part)
        self.inside = outside

    # ------------------------------------------------------------------------------------------------------------ code

    def _function(self, function: FunctionType) -> None:
        if (own := unhooked(function)) is not function:
            self.value(own)
            return
        home = home_of(function)
        owner = owner_of(home)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        if owner:
            self.say("installed", owner, home, function.__code__.co_qualname)
            self._handed_on(home, function.__qualname__)
            if cells:  # made by what is installed, of something that may not be
                self._members("made with", (*cells.values(), function.__defaults__, function.__kwdefaults__))
            return
        outside, self.place = self.place, function.__qualname__
        self._code(function.__code__, function.__globals__, cells, {})
        self._members("defaults", (function.__defaults__, function.__kwdefaults__))
        self._named(vars(function))
        self.place = outside

    def _code(
        self,
        body: CodeType,
        globals_: Mapping[str, Any],
        cells: Mapping[str, types.CellType],
        around: Mapping[str, tuple[str, ...]],
    ) -> None:
        """A code object, those inside of it, and what they name in these globals and this closure.

        `around`: what imports in the code around it bind.
        """
        found = code.steps(body)
        bound = {name: what for name, what in around.items() if name in body.co_freevars} | code.bound(found)
        self.say("code", code.shape(body), len(found))
        for step in found:
            self.say(step.name)
            if not step.constant:
                self.say(step.about)
            elif isinstance(step.about, CodeType):
                self._code(step.about, globals_, cells, bound)
            else:
                self.value(step.about)
        for named in code.names(found):
            self._look_up(named, globals_, cells, body.co_name)
        for imported in code.imports(found):
            self._import(imported, globals_)
        for named in code.names(found, bound):
            for what in bound.get(named.name, ()):
                self._late(what, named)
        for what in {beyond.of_attribute(name): None for name in code.attributes(found)}:
            if what:
                self.note(what)

    def _look_up(
        self, named: code.Named, globals_: Mapping[str, Any], cells: Mapping[str, types.CellType], within: str
    ) -> None:
        """What a name leads to: through modules by the attributes that are taken of them, the rest as a whole."""
        if named.name in cells and not issubclass(type(_content(cells[named.name])), ModuleType):
            self._cell(cells[named.name])
            return
        if named.name in cells:
            found = _content(cells[named.name])
        elif named.name in _OF_A_MODULE:
            return
        elif named.name in globals_:
            found = globals_[named.name]
        else:
            known = hasattr(builtins, named.name)
            self.say("builtin" if known else "missing")
            if (named.name, within) != ("hash", "__hash__") and (what := beyond.of_builtin(named.name)):
                self.note(what)
            return
        self.say("name", named.name)
        way = list(named.attributes)
        while issubclass(type(found), ModuleType) and owner_of(found.__name__) is None and way:
            if way[0] not in vars(found) or way[0] == "__dict__":  # served by the module's own code, or by its own dict
                break
            found = vars(found)[attribute := way.pop(0)]
            self.say("attribute", attribute)
        self._found(found, way, named.bare)

    def _found(self, found: Any, way: list[str], bare: bool) -> None:
        """What a name led to; `way`: the attributes that are taken of it next."""
        if type(found) in weakref.ProxyTypes:  # of what may be gone, which can't be asked
            self.value(found)
            return
        module = isinstance(found, ModuleType)
        home = found.__name__ if module else getattr(found, "__module__", None)
        if (
            isinstance(home, str)
            and (owner := owner_of(home))
            and (module or isinstance(found, type | types.FunctionType))
        ):
            chain = ".".join([home, *way] if module else [home, found.__qualname__, *way])
            self.say("installed", owner, chain)
            self._of_package(chain, bare)
            self._put_in(owner, found, way)
            return
        if in_c(found) and isinstance(home, str):
            self._of_package(f"{home}.{found.__qualname__}", bare)
        self.value(found)

    def _handed_on(self, home: str, name: str) -> None:
        """What is installed, as a value."""
        if home not in self.inside:
            self._of_package(f"{home}.{name}")

    def _of_package(self, chain: str, bare: bool = False) -> None:
        """Said, if what has this full name fetches from outside."""
        if what := beyond.of_installed(chain, bare):
            self.note(what)

    def _put_in(self, owner: str, found: Any, way: Iterable[str]) -> None:
        """What a user has put in the place of something installed, or in it."""
        rest = [*way]
        while isinstance(found, ModuleType) and rest:  # only what is loaded: looking must not load more
            found = vars(found).get(rest.pop(0))
        if altered(found):
            self.value(found)
        elif isinstance(found, type) and rest:
            found = next((vars(base)[rest[0]] for base in found.__mro__ if rest[0] in vars(base)), None)
        if is_data(found) and owner != "python":  # whose numbers may be the machine's, as time.timezone
            self.value(found)

    def _late(self, what: str, named: code.Named) -> None:
        """A name that an import inside of code binds, to what is installed: as one that is imported before."""
        top, *rest = [*what.split("."), *named.attributes]
        if owner := owner_once_imported(top):
            chain = ".".join([top, *rest])
            self.say("installed", owner, chain)
            self._of_package(chain, named.bare)
            self._put_in(owner, sys.modules.get(top), rest)

    def _import(self, imported: code.Imported, globals_: Mapping[str, Any]) -> None:
        """An import inside a function: a user's module is its file, and those of the modules that it imports."""
        parts = str(globals_.get("__package__") or "").split(".")
        above = parts[: len(parts) - imported.level + 1] if imported.level else []
        name = ".".join([*above, *([imported.module] if imported.module else [])])
        owner = owner_once_imported(name)
        files = {} if owner else imported_files(name)
        for each in () if owner else imported.names:  # of which some may be modules
            files |= {where: held for where, held in imported_files(f"{name}.{each}").items() if held != "missing"}
        self.say("import", owner, *sorted(files.values()))
        for module, content in files.items():
            if content == "missing":
                self.note(f"the module {module}, which isn't there")

    def _class(self, kind: type) -> None:
        owner = owner_of(kind.__module__)
        if owner and not made_while_running(kind):
            self.say("installed", owner, kind.__module__, kind.__qualname__)
            self._handed_on(kind.__module__, kind.__qualname__)
            self._named(patched(kind))
            return
        self.say("class", kind.__qualname__)
        outside, self.place = self.place, kind.__qualname__
        self._members("bases", (type(kind), *kind.__bases__))
        self._named({name: own for name, own in vars(kind).items() if name not in _NO_PART})
        self.place = outside

    def _module(self, module: ModuleType) -> None:
        """A module as a whole, for it is handed on."""
        if owner := owner_of(module.__name__):
            self.say("installed", owner, module.__name__)
        elif module.__name__ == "__main__":
            self.note("all that the main module holds")
        else:
            self._named({name: own for name, own in vars(module).items() if name not in _OF_A_MODULE})

    def _named(self, values: Mapping[str, Any]) -> None:
        """What has names of its own, whose order says nothing."""
        self.say("named", len(values))
        for name in sorted(values):
            self.say(name)
            self.value(values[name])


def _in_order(state: Any) -> Any:
    """An instance's attributes by their names; any other state as it is."""
    if isinstance(state, dict) and all(isinstance(name, str) for name in state):
        return dict(sorted(state.items()))
    return state


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _strided(tensor: Any) -> Iterator[Any]:
    """The tensors that a sparse one is made of, or it itself."""
    layout = str(tensor.layout).removeprefix("torch.")
    if layout == "sparse_coo":
        yield from (tensor._indices(), tensor._values())
    elif layout in ("sparse_csr", "sparse_bsr"):
        yield from (tensor.crow_indices(), tensor.col_indices(), tensor.values())
    elif layout in ("sparse_csc", "sparse_bsc"):
        yield from (tensor.ccol_indices(), tensor.row_indices(), tensor.values())
    else:
        yield tensor
