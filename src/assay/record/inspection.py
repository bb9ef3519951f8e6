"""What a record must be before anything else reads it: bounded in memory, and row by row something the plan could have left.

Sizes are seen first, from what the files say of themselves; only then are they unpacked, and their rows looked at. It is
about what can be read, not about what is true: whether the rows fit each other and the answer, `assay verify` says.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assay.core import environment, steps_per_epoch
from assay.errors import AssayError, BrokenRecord
from assay.record import checksum, chunks, layout, parquet, rows
from assay.record.files import read_bytes
from assay.record.folder import SCORES, RunFolder
from assay.record.suite import is_suite, runs

KINDS = ("members", "scores", "steps")
SPARE, TIMES = 64 * 2**20, 8  # bytes: what all files together may make, and for each byte that they have on the disk
LARGEST = 2**30  # bytes of one file, whatever its plan asks for
TEXTS = frozenset(name for name, kind in (chunks.SCHEMA | SCORES).items() if kind == pl.String)


def inspect(path: Path, kinds: Sequence[str] = KINDS) -> None:
    """See that a run folder, or that of a suite, holds what a record can hold.

    Args:
        kinds: of the files of trainings, those that are to be read.
    Raises:
        BrokenRecord: the first file that can't be what this version writes, and why. UsageError: no run folder, or a
            damaged plan.
    """
    layout.see_that_it_is_a_runs(path)
    layout.files(path)
    for folder in runs(path).values():
        if not is_suite(path) or (folder / "plan.json").exists():
            _run(folder, kinds)


def _run(path: Path, kinds: Sequence[str]) -> None:
    run = RunFolder.open(path)
    inspected = [_Files(run, run.plan.science.protocol.trials, run.plan.science.protocol.final_seeds)]
    if (path / "controls" / "plan.json").exists():  # whose sceptic has twice the trials, and A/A final seeds of its own
        controls = RunFolder.open(path / "controls")
        p = controls.plan.science.protocol
        inspected.append(_Files(controls, 2 * p.trials, 2 * p.final_seeds, more=True))
    for rung in run.rungs():
        inspected.append(_Files(rung, rung.plan.science.protocol.trials, rung.plan.science.protocol.final_seeds))
    for files in inspected:
        files.inspect(kinds)


@dataclass(frozen=True)
class _Files:
    """The files of one record: with so many trials and final seeds at most; `more`: members may have other values, too."""

    folder: RunFolder
    trials: int
    finals: int
    more: bool = False

    def inspect(self, kinds: Sequence[str]) -> None:
        epochs = self.folder.plan.science.task.epochs
        columns = {name: epochs if name in chunks.CURVES else 1 for name in chunks.SCHEMA}
        members = self._sized(self.folder.members, columns)
        if not members:
            return
        frame = self._read(list(members), chunks.SCHEMA)
        if found := rows.impossible(frame, self.folder.plan, self.trials, self.finals, more=self.more):
            raise BrokenRecord(f"{self.folder.path}: {found}; see assay verify")
        if "scores" in kinds:
            scores = self._sized(self.folder.scores, dict.fromkeys(SCORES, 1))
            for path in scores:
                if self.folder.members / path.name not in members:
                    raise BrokenRecord(f"{path} belongs to no members")
            if scores and (found := rows.impossible_scores(self._read(list(scores), SCORES), frame)):
                raise BrokenRecord(f"{self.folder.path}: {found}; see assay verify")
        if "steps" in kinds:
            steps = steps_per_epoch(int(frame["train_samples"][0]), self.folder.plan.science.task.batch_size)
            self._steps(members, epochs * steps)

    def _sized(self, place: Path, columns: Mapping[str, int]) -> dict[Path, int]:
        """The Parquet files of a folder with the number of their rows. BrokenRecord where they would make too much."""
        found, unpacked, packed, most = dict[Path, int](), 0, 0, self._most(columns)
        for path in sorted(place.glob("*.parquet")):
            try:
                content = read_bytes(path, most)
                if not checksum.whole(content):
                    raise ValueError("it is not what was written")
                size = parquet.measured(content, columns, TEXTS, may_lack=chunks.CHANGED)
                if not size.rows:
                    raise ValueError("nothing is in it")
            except FileNotFoundError:  # set aside meanwhile by a command at work
                continue
            except ValueError as error:
                raise BrokenRecord(f"{path} can't be read ({error}); delete it and run the command again") from error
            found[path] = size.rows
            unpacked, packed = unpacked + size.unpacked, packed + len(content)
            if unpacked > SPARE + TIMES * packed:
                raise BrokenRecord(f"{path} can't be read (it makes more than any such file does); delete it")
        return found

    def _most(self, columns: Mapping[str, int]) -> int:
        """Bytes that a file of all members could have, were nothing of it packed."""
        plan = self.folder.plan
        count = len(plan.science.contenders) * rows.most_replicates(plan) * (self.trials + self.finals)
        row = sum(parquet.TEXT if name in TEXTS else parquet.WIDEST * values for name, values in columns.items())
        return min(count * row + SPARE, LARGEST)

    def _read(self, paths: list[Path], schema: dict[str, Any]) -> pl.DataFrame:
        with _quiet():
            return chunks.read_all(paths, schema)

    def _steps(self, members: Mapping[Path, int], steps: int) -> None:
        for path in sorted(self.folder.steps.glob("*.npy")):
            count = members.get(self.folder.members / f"{path.stem}.parquet")
            if count is None or not _has_steps(path, count, steps):
                raise BrokenRecord(f"{path} can't be read (it is not the steps of its members); delete it")


def _has_steps(path: Path, count: int, steps: int) -> bool:
    try:
        content = read_bytes(path, 8 * count * steps + parquet.SPARE)
    except ValueError:
        return False
    return checksum.whole(content) and checksum.shape_of(io.BytesIO(content)) == (count, steps)


@contextlib.contextmanager
def reading(path: Path) -> Generator[None]:
    """Reading a record ends in one line, whatever is in it: where `inspect` let something through that it should not have.

    Under ASSAY_STRICT, as the tests have it, that is not hidden.
    """
    try:
        yield
    except (AssayError, OSError):
        raise
    except chunks.UNREADABLE as error:
        if environment.STRICT.value:
            raise
        said = " ".join(str(error).split())
        raise BrokenRecord(f"{path} can't be read as a record ({type(error).__name__}: {said[:200]})") from error


@contextlib.contextmanager
def _quiet() -> Generator[None]:
    """Nothing is written to standard error meanwhile: polars says there what it panics of, before it can be caught."""
    try:
        before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is none
        yield
        return
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)
