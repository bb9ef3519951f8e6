"""The record's JSON files: plans, suites and manifests have a type, results and timings are plain data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from assay.core import canonical
from assay.record.files import write_bytes

T = TypeVar("T", bound=msgspec.Struct)

DAMAGED = (msgspec.MsgspecError, ValueError)  # what `read_struct` raises for content that isn't what it should be


def write_struct(path: Path, value: msgspec.Struct) -> None:
    """Its canonical JSON, indented. Raises as `files.write_atomically` does."""
    write_bytes(path, msgspec.json.format(canonical(value), indent=2) + b"\n")


def read_struct(path: Path, kind: type[T]) -> T:
    """What `write_struct` wrote. OSError, or one of DAMAGED."""
    return msgspec.json.decode(path.read_bytes(), type=kind)


def write_data(path: Path, content: Mapping[str, Any]) -> None:
    """The same bytes for the same content, as JSON; ValueError for a number that is not finite."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_data(path: Path) -> dict[str, Any]:
    """What `write_data` wrote. OSError, or ValueError where it is no JSON object."""
    content: object = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    return cast(dict[str, Any], content)
