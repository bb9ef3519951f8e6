"""When a record was made; and one that stands in the way of a new one, set aside whole."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from assay.errors import UsageError
from assay.record.documents import read_data
from assay.record.files import fault
from assay.record.lock import locked
from assay.record.plan import NAME
from assay.record.suite import is_suite

MADE = "made"  # in timings.json


def now() -> str:
    """The time of day as records have it: `2026-11-28 18:03:07 UTC`."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"


def made_at(folder: Path) -> str:
    """When the answer of a record was made: by its `timings.json`, or when its youngest member was written."""
    try:
        if isinstance(made := read_data(folder / "timings.json").get(MADE), str):
            return made
    except (OSError, ValueError):  # a record of an earlier layout, or none that is finished
        pass
    written = [path.stat().st_mtime for path in folder.rglob("members/*.parquet")]
    return f"{datetime.fromtimestamp(max(written), UTC):%Y-%m-%d %H:%M:%S} UTC" if written else "an unknown time"


def set_folder_aside(path: Path) -> Path | None:
    """Rename a run folder or that of a suite to `*.before-1`, or `*.before-2` …; where it went, None where there is none.

    Raises:
        UsageError: another command is at work in it, or it can't be renamed.
    """
    if not ((path / NAME).exists() or is_suite(path)):
        return None
    path = path.resolve()
    count = 1
    while (place := path.with_name(f"{path.name}.before-{count}")).exists():
        count += 1
    try:
        with locked(path):
            path.rename(place)
    except OSError as error:
        refused = fault(error, path)
        raise refused if isinstance(refused, UsageError) else error from error
    return place
