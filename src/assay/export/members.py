"""What trackers of runs are given: the members of each record, a run each, grouped by replicate."""

from __future__ import annotations

import contextlib
import errno
import importlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from assay.core import PILOT
from assay.errors import AssayError, UsageError, said
from assay.record import RunFolder
from assay.record.chunks import CURVES
from assay.record.files import FULL, fault
from assay.record.layout import LADDER
from assay.record.outside import see_that_it_is_outside
from assay.record.suite import is_suite, runs


@dataclass(frozen=True)
class Exported:
    """One member, as a tracker shows a run."""

    plan_hash: str
    row: Mapping[str, Any]  # of the record

    @property
    def name(self) -> str:
        """Within its record."""
        replicate = "" if self.row["replicate"] == PILOT else f"{self.row['replicate']}-"
        return f"{self.row['contender']} {self.row['phase']} {replicate}{self.row['index']}"

    @property
    def identity(self) -> str:
        """The same for the same member of the same plan, and no other's: letters, digits and hyphens."""
        replicate = "p" if self.row["replicate"] == PILOT else self.row["replicate"]
        return f"{self.plan_hash[:12]}-{self.row['slot']}-{self.row['phase']}-{replicate}-{self.row['index']}"

    @property
    def group(self) -> str:
        """What it is grouped by."""
        return "pilots" if self.row["replicate"] == PILOT else f"replicate {self.row['replicate']}"

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """As it was trained."""
        return msgspec.json.decode(self.row["hyperparameters"])

    @property
    def epochs(self) -> Iterator[tuple[int, float, dict[str, float]]]:
        """For each epoch, from 1: the share of the member's seconds at its end, and its values; none from a divergence on."""
        kept = {name: self.row[name] for name in CURVES if self.row[name]}
        count = len(self.row["validation"])
        for epoch in range(1, count + 1):
            now = {name: curve[epoch - 1] for name, curve in kept.items()}
            values = {name: x for name, x in now.items() if x is not None and not math.isnan(x)}
            yield epoch, self.row["seconds"] * epoch / count, values

    @property
    def summary(self) -> dict[str, Any]:
        """What it came to: seconds, gradient evaluations, the epoch in which it diverged (0: it didn't), a trial's test score."""
        names = ("seconds", "gradient_evaluations", "diverged", "test_score")
        found = {name: self.row[name] for name in names if name in self.row}
        return {name: x for name, x in found.items() if x is not None and x == x}


def records(path: Path, to: Path) -> list[tuple[Path, RunFolder]]:
    """A run, or each run of several, and the rungs of their ladders, with where they go.

    Raises:
        UsageError: no run folder; or `to` lies in a record.
    """
    several = is_suite(path)
    found = [(to / folder.name if several else to, RunFolder.open(folder)) for folder in runs(path).values()]
    found += [(place / LADDER / rung.path.name, rung) for place, folder in found for rung in folder.rungs()]
    see_that_it_is_outside(to)
    return found


def members(folder: RunFolder) -> Iterator[Exported]:
    """Every member of a record, replicate by replicate."""
    plan_hash = folder.plan.science.plan_hash
    for row in folder.frame().sort("replicate", maintain_order=True).iter_rows(named=True):
        yield Exported(plan_hash, row)


def needed(option: str, name: str, install: str) -> ModuleType:
    """A tracker's package. UsageError, with how to install it, where it isn't or can't be imported."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{option} needs {name.partition('.')[0]} ({error}): pip install {install}") from None


def see_that_it_is_empty(to: Path, tracker: str) -> None:
    """UsageError where there is something already: a tracker would mix the two."""
    if to.is_dir() and any(to.iterdir()):
        raise UsageError(f"{to} isn't empty, and {tracker} would mix what is in it with this; take another folder")


def refused(option: str, to: Path, error: Exception) -> AssayError:
    """What a tracker's own fault means to the user: a full disk, or whatever it says."""
    if any(words in str(error) for words in FULL):
        return fault(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), to / "run")
    return UsageError(f"{option}: {to} can't be written ({said(error)}); take another folder")


@contextlib.contextmanager
def writing(to: Path) -> Iterator[None]:
    """The folder is made; what the operating system refuses is said in a line."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise fault(error, to) from error
