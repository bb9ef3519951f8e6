"""Submissions as they are received: each is judged anew from its members, and either stands or is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.core import Science
from assay.driver.verify import faults
from assay.errors import AssayError, UsageError
from assay.openboard.submission import RECORD, Submission, is_submission, open_submission, sciences
from assay.record.documents import read_data
from assay.record.inspection import reading
from assay.record.plan import read_plan
from assay.record.suite import is_suite, open_suite, runs


@dataclass(frozen=True)
class Received:
    """A submission that stands: `content` is that of its `result.json`, which follows from the members."""

    folder: Path
    submission: Submission
    sciences: tuple[Science, ...]
    content: dict[str, Any]
    machine: str
    hash: str  # of the plan, or of the comparison across tasks: two of one hash are one run

    @property
    def record(self) -> Path:
        """Its run folder, or that of a comparison across tasks."""
        return self.folder / RECORD

    @property
    def across(self) -> bool:
        """Whether it is a comparison across tasks."""
        return is_suite(self.record)


@dataclass(frozen=True)
class Refused:
    """A submission that doesn't stand, and why."""

    folder: Path
    reason: str


def received(to: Path, told: Callable[[str], None] = lambda line: None) -> tuple[list[Received], list[Refused]]:
    """Those in a folder that stand, the earliest first, and those that don't. `told` is given the name of each in its turn.

    Of several submissions of one run the earliest stands.

    Raises:
        UsageError: the folder isn't there, or holds no submission.
    """
    if not to.is_dir():
        raise UsageError(f"there is no folder {to}")
    folders = sorted(path for path in to.iterdir() if not path.is_symlink() and is_submission(path))
    if not folders:
        raise UsageError(f"{to} holds no submission; assay submit RUN --to {to} --by NAME writes one")
    standing: list[Received] = []
    refused: list[Refused] = []
    for folder in folders:
        told(folder.name)
        try:
            standing.append(_received(folder))
        except AssayError as error:
            refused.append(Refused(folder, str(error)))
    standing.sort(key=lambda one: (one.submission.made, one.folder.name))
    first: dict[str, Received] = {}
    for one in standing:
        before = first.setdefault(one.hash, one)
        if before is not one:
            refused.append(
                Refused(
                    one.folder,
                    f"it is the same run as {before.folder.name}: one plan at one root seed; a rerun has another --seed",
                )
            )
    return list(first.values()), refused


def _received(folder: Path) -> Received:
    submission, record = open_submission(folder), folder / RECORD
    with reading(record):
        if found := next(_unsound(record), None):
            raise UsageError(f"its record doesn't verify: {found}")
        plans = [read_plan(path) for path in runs(record).values()]
        return Received(
            folder,
            submission,
            tuple(sciences(record)),
            read_data(record / "result.json"),
            plans[0].numerics[0].cpu,
            open_suite(record).hash if is_suite(record) else plans[0].science.plan_hash,
        )


def _unsound(record: Path) -> Iterator[str]:
    yield from faults(record)
    if not (record / "result.json").is_file():
        yield "there is no result yet"
