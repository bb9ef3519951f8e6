"""Where what is made of a record may be written: anywhere but in one."""

from __future__ import annotations

from pathlib import Path

from assay.errors import UsageError
from assay.record.suite import is_suite


def see_that_it_is_outside(to: Path) -> None:
    """UsageError where a place lies in a record, which is sealed."""
    places = (to.resolve(), *to.resolve().parents)
    if record := next((p for p in places if (p / "plan.json").exists() or is_suite(p)), None):
        raise UsageError(f"{to} lies in {record}, which is a sealed record; write somewhere else")
