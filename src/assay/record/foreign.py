"""What was put into a record that no run writes: words in its plan, files beside its own. A line for each."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Any, cast

import msgspec

from assay.record.documents import read_data
from assay.record.folder import RunFolder
from assay.record.plan import NAME

WRITTEN = re.compile(
    r"(plan|result|manifest|timings)\.json|studies\.db|report\.html|output\.log|[a-z_]+\.png|.*\.damaged"
)


def faults(folder: RunFolder, where: str = "", own: Container[str] | None = None) -> Iterator[str]:
    """What is none of a record's. `where`: how lines begin. `own`: the files that it may have, where it isn't a run's."""
    for name in _unknown(read_data(folder.path / NAME), msgspec.to_builtins(folder.plan)):
        yield f"{where}{NAME} has {name}, which no plan has"
    for name in sorted(path.name for path in folder.path.iterdir() if path.is_file()):
        known = WRITTEN.fullmatch(name) if own is None else name in own or name.endswith(".damaged")
        if not known:
            yield f"{where}{name} is no file of a run's"


def _unknown(written: object, known: object) -> Iterator[str]:
    """The names in a document that are not in what was read of it."""
    if isinstance(written, dict) and isinstance(known, dict):
        read = cast("dict[Any, object]", known)
        for name, value in cast("dict[Any, object]", written).items():
            yield from _unknown(value, read[name]) if name in read else [str(name)]
    elif isinstance(written, list) and isinstance(known, list | tuple):
        for one, other in zip(cast("list[object]", written), cast("list[object]", known), strict=False):
            yield from _unknown(one, other)
