"""Fields of record types as tables: name, type, and the comment that stands beside it in the code."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Iterable, Iterator

from msgspec import Struct


def section(kind: type[Struct], level: int = 2) -> str:
    """A heading, what the docstrings of the type and of those before it say, and a row for each field, inherited ones first."""
    owners = [k for k in reversed(kind.__mro__) if issubclass(k, Struct) and k is not Struct]
    rows = [row for owner in owners for row in _rows(owner)]
    table = ["| field | type | |", "|---|---|---|", *rows]
    said = "\n\n".join(inspect.cleandoc(owner.__doc__ or "") for owner in reversed(owners))
    return f"{'#' * level} {kind.__name__}\n\n{said}\n\n" + "\n".join(table) + "\n"


def of_all(roots: Iterable[type[Struct]]) -> list[type[Struct]]:
    """These types and all that their fields hold, each once, in the order in which they are met."""
    found: dict[type[Struct], None] = {}

    def visit(annotation: object) -> None:
        if isinstance(annotation, type) and issubclass(annotation, Struct):
            if annotation in found:
                return
            found[annotation] = None
            for hint in inspect.get_annotations(annotation, eval_str=True).values():
                visit(hint)
            for base in annotation.__bases__:
                for hint in _hints(base):
                    visit(hint)
        for part in getattr(annotation, "__args__", ()):
            visit(part)

    for root in roots:
        visit(root)
    return list(found)


def _hints(kind: type) -> Iterator[object]:
    for owner in kind.__mro__:
        if issubclass(owner, Struct) and owner is not Struct:
            yield from inspect.get_annotations(owner, eval_str=True).values()


def _rows(kind: type[Struct]) -> Iterator[str]:
    source = textwrap.dedent(inspect.getsource(kind))
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = " ".join(comments[n] for n in range(node.lineno, (node.end_lineno or 0) + 1) if n in comments)
            type_, optional = _type(ast.unparse(node.annotation))
            note = " ".join(filter(None, [said, "*(may be absent)*" if optional else ""]))
            yield f"| `{node.target.id}` | `{type_}` | {note} |".replace("\\", "\\\\")


def _type(text: str) -> tuple[str, bool]:
    """The annotation as JSON has it, and whether the field may be absent."""
    parts = re.sub(r"msgspec\.", "", text)
    absent = "UnsetType" in parts
    parts = re.sub(r" \| UnsetType|UnsetType \| ", "", parts).replace("None", "null").replace("Given", "float | null")
    return parts.replace("|", "or"), absent
