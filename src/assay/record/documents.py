"""The record's JSON files: plans, suites and manifests have a type, results and timings are plain data."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from assay.core import canonical
from assay.record.files import read_bytes, write_bytes

T = TypeVar("T", bound=msgspec.Struct)

DAMAGED = (msgspec.MsgspecError, ValueError)  # what `read_struct` raises for content that isn't what it should be
MOST = 384 * 2**20  # bytes of memory that a document may take
CONTAINER, ITEM, LETTER = 240, 48, 3  # bytes that an object or list, an item, and a byte of text take at most


def write_struct(path: Path, value: msgspec.Struct) -> None:
    """Its canonical JSON, indented. Raises as `files.write_atomically` does."""
    write_bytes(path, msgspec.json.format(canonical(value), indent=2) + b"\n")


def read_struct(path: Path, kind: type[T]) -> T:
    """What `write_struct` wrote. OSError, or one of DAMAGED."""
    content = _unambiguous(path)
    with _shallow():
        return msgspec.json.decode(content, type=kind)


def write_data(path: Path, content: Mapping[str, Any]) -> None:
    """The same bytes for the same content, as JSON; ValueError for a number that is not finite."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_data(path: Path) -> dict[str, Any]:
    """What `write_data` wrote. OSError, or ValueError where it is no JSON object."""
    text = _unambiguous(path)
    with _shallow():
        content: object = msgspec.json.decode(text)
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    return cast(dict[str, Any], content)


def _unambiguous(path: Path) -> bytes:
    """The bytes of a document that says one thing only: no object has a name twice. OSError, or ValueError where it isn't."""
    content = read_bytes(path, MOST)
    containers = content.count(b"{") + content.count(b"[")
    if CONTAINER * containers + ITEM * content.count(b",") + LETTER * len(content) > MOST:
        raise ValueError("it is larger than any that assay writes")
    with _shallow():
        json.loads(content.decode("utf-8"), object_pairs_hook=_no_name_twice)
    return content


def _no_name_twice(pairs: list[tuple[str, object]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it says {twice[:40]!a} twice")


@contextlib.contextmanager
def _shallow() -> Generator[None]:
    try:
        yield
    except RecursionError:
        raise ValueError("it is nested too deep") from None
