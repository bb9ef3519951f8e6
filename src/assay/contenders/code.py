"""What a code object does and what it names, read off its bytecode: no line numbers, no comments, no constants it never loads."""

from __future__ import annotations

import dis
import re
from collections.abc import Container, Iterator
from types import CodeType
from typing import Any, NamedTuple

_LOOKS_UP = {
    name for name in dis.opname if name.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"))
}
_LOOKS_UP |= {"LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"}
_TAKES = {"LOAD_ATTR", "LOAD_METHOD"}
_FAST = re.compile("LOAD_FAST_BORROW|LOAD_FAST|STORE_FAST")  # which some Pythons join to one of two variables
_SAYS_NOTHING = {"PUSH_NULL", "PRECALL"}
_OF_ITS_TEXT = {"__doc__", "__firstlineno__", "__static_attributes__"}  # what a class body says of its own lines
_HAS_DOCSTRING = 0x4000000


class Named(NamedTuple):
    """A name that code looks up, with the attributes that it takes of it at once: `helper.rates.first`.

    `bare`: is what they lead to called at once, with nothing in the parentheses?
    """

    name: str
    attributes: tuple[str, ...]
    bare: bool = False


class Imported(NamedTuple):
    """An import inside of code: `from ..helper import rates` is level 2, `helper` and ("rates",)."""

    module: str
    level: int
    names: tuple[str, ...] = ()


class Step(NamedTuple):
    """An instruction: its name and what it is about; `constant` where that is a value which it loads."""

    name: str
    about: Any
    constant: bool


def steps(code: CodeType) -> list[Step]:
    """The instructions, without what a class body says of its own text."""
    found: list[Step] = []
    for each in dis.get_instructions(code):
        if each.opname == "STORE_NAME" and each.argval in _OF_ITS_TEXT and found:
            found.pop()
        elif each.opcode in dis.hasconst:
            found.append(Step(each.opname, each.argval, True))
        else:
            simple = each.argval is None or isinstance(each.argval, str | int | tuple)
            found.append(Step(each.opname, each.argval if simple else each.argrepr, False))
    return found


def shape(code: CodeType) -> str:
    """How it is called and what it is: parameters by name, generator or not, where it catches."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 4) + bool(code.co_flags & 8)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_HAS_DOCSTRING)
    return f"{counts} {code.co_varnames[:count]} {code.co_exceptiontable.hex()}"


def names(found: list[Step], local: Container[str] = ()) -> list[Named]:
    """The names looked up outside the code, and of its variables these, each once, in the order of their first use."""
    flat = list(_one_by_one(found))
    ways: dict[Named, None] = {}
    for place, step in enumerate(flat):
        if step.name in _LOOKS_UP or (step.name.startswith("LOAD_FAST") and step.about in local):
            ways[_named(flat, place)] = None
    return list(ways)


def _named(flat: list[Step], place: int) -> Named:
    """The name that is looked up there; `getattr(name, "text")` takes an attribute, too."""
    after = place + 1
    while after < len(flat) and flat[after].name in _TAKES:
        after += 1
    taken = [step.about for step in flat[place + 1 : after]]
    nothing = Step("", None, False)
    before, following = flat[place - 1] if place else nothing, (flat[after:] or [nothing])[0]
    if before.name in _LOOKS_UP and before.about == "getattr" and following.constant and type(following.about) is str:
        taken.append(following.about)
    return Named(flat[place].about, tuple(taken), following.name == "CALL" and following.about == 0)


def _one_by_one(found: list[Step]) -> Iterator[Step]:
    """The steps, those apart that are about two variables."""
    for step in found:
        if isinstance(step.about, tuple) and _FAST.match(step.name):
            yield from (
                Step(name, about, False) for name, about in zip(_FAST.findall(step.name), step.about, strict=True)
            )
        elif step.name not in _SAYS_NOTHING:
            yield step


def bound(found: list[Step]) -> dict[str, tuple[str, ...]]:
    """The names that imports inside of code bind, to what: `np` to `numpy`, `get` to `os.getenv`; relative ones apart."""
    flat, names = list(_one_by_one(found)), dict[str, tuple[str, ...]]()
    for place, step in enumerate(flat):
        if step.name == "IMPORT_NAME" and not flat[place - 2].about:
            for name, what in _bindings(step.about, bool(flat[place - 1].about), flat[place + 1 :]):
                names[name] = (*names.get(name, ()), what)
    return names


def _bindings(module: str, members: bool, after: list[Step]) -> Iterator[tuple[str, str]]:
    """The names that one import binds; `members`: those of the module, as `from` does."""
    what = module if members else module.partition(".")[0]
    for step in after:
        if step.name == "IMPORT_FROM":
            what = f"{module}.{step.about}" if members else module  # import a.b as c takes b of a
        elif step.name.startswith("STORE_"):
            yield step.about, what
            if not members:
                return
        elif step.name not in ("SWAP", "POP_TOP") or (members and step.name == "POP_TOP"):
            return


def attributes(found: list[Step]) -> list[str]:
    """The names of all attributes taken, of whatever."""
    return [step.about for step in found if step.name in _TAKES]


def imports(found: list[Step]) -> list[Imported]:
    """What is imported while the code runs."""
    return [
        Imported(step.about, found[place - 2].about or 0, found[place - 1].about or ())
        for place, step in enumerate(found)
        if step.name == "IMPORT_NAME"
    ]
