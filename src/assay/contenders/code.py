"""What a code object does and what it names, read off its bytecode: no line numbers, no comments, no constants it never loads."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

_LOOKS_UP = {
    name for name in dis.opname if name.startswith(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"))
}
_LOOKS_UP |= {"LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF"}
_TAKES = {"LOAD_ATTR", "LOAD_METHOD"}
_OF_ITS_TEXT = {"__doc__", "__firstlineno__", "__static_attributes__"}  # what a class body says of its own lines
_HAS_DOCSTRING = 0x4000000


class Named(NamedTuple):
    """A name that code looks up outside itself, with the attributes that it takes of it at once: `helper.rates.first`."""

    name: str
    attributes: tuple[str, ...]


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


def names(found: list[Step]) -> list[Named]:
    """The names looked up outside the code, each once, in the order of their first use."""
    ways: dict[Named, None] = {}
    for place, step in enumerate(found):
        if step.name in _LOOKS_UP:
            ways[Named(step.about, tuple(_attributes(found[place + 1 :])))] = None
    return list(ways)


def _attributes(after: list[Step]) -> Iterator[str]:
    for step in after:
        if step.name not in _TAKES:
            return
        yield step.about


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
