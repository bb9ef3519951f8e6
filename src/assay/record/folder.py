"""The run folder: plan, members, weights that wait for their test score. A run is a fold over these files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from assay.core import Curves, Member, Plan, digest
from assay.errors import BrokenRecord, Interrupted, UsageError
from assay.record import checksum, chunks
from assay.record.files import fault, set_aside
from assay.record.layout import LADDER
from assay.record.plan import NAME, read_plan, write_plan

SCORES: dict[str, Any] = {
    **{k: chunks.SCHEMA[k] for k in ("slot", "phase", "replicate", "index")},
    "test_score": pl.Float64,
}


class RunFolder:
    """A record on disk. Every file in it is written whole or not at all; a file that is there is never computed again."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path, self.plan = path, plan
        self.members, self.weights, self.scores = path / "members", path / "weights", path / "scores"
        self.steps = path / "steps"
        self._training = [
            digest((plan.science.training_hash(slot), msgspec.structs.replace(numerics, reason="")))
            for slot, numerics in enumerate(plan.numerics)
        ]

    @classmethod
    def create(cls, path: Path, plan: Plan) -> RunFolder:
        """Start a record in a new or empty folder, or in one that has lost its plan and has this one's members.

        Raises:
            UsageError: it can't be written, or holds members of another plan.
        """
        folder = cls(path, plan)
        folder._see_that_members_are_its_own()
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_plan(path, plan)
            folder.members.mkdir(exist_ok=True)
        except OSError as error:
            raise fault(error, path) from error
        return folder

    @classmethod
    def open(cls, path: Path, fewest: int = 2) -> RunFolder:
        """The record in a folder, as `read_plan`. UsageError where there is none, or it is of another version or damaged."""
        return cls(path, read_plan(path, fewest))

    def rungs(self) -> list[RunFolder]:
        """The records of a ladder's rungs, finished or not, the shortest first; none without a ladder."""
        found = [RunFolder.open(path.parent, fewest=1) for path in (self.path / LADDER).glob("*/plan.json")]
        return sorted(found, key=lambda rung: rung.plan.science.task.epochs)

    def keep_plan(self) -> None:
        """Write the plan again where its file is gone: without it nothing could be resumed."""
        if not (self.path / NAME).exists():
            write_plan(self.path, self.plan)

    def _see_that_members_are_its_own(self) -> None:
        for path in sorted(self.members.glob("*.parquet")):
            with contextlib.suppress(BrokenRecord):  # which is set aside later
                found = chunks.to_members(chunks.read(path))
                if max(m.slot for m in found) >= len(self._training) or self.key(found) != path.stem:
                    raise UsageError(
                        f"{self.path} has lost its {NAME}, and its members are not of what is asked now, or of another engine "
                        "or machine; ask what it was made for, or choose another folder with --out"
                    )

    def key(self, members: Sequence[Member]) -> str:
        """The name of a chunk's file: a hash of what can change its content. All members are of one contender."""
        return digest((self._training[members[0].slot], list(members)))[:32]

    def set_damaged_aside(self) -> list[str]:
        """Set aside every file of members, scores and steps that is not what was written, to be made again; their names."""
        places = (self.members, self.scores, self.steps)
        paths = [path for place in places for path in sorted([*place.glob("*.parquet"), *place.glob("*.npy")])]
        return [path.relative_to(self.path).as_posix() for path in paths if not _sound(path)]

    def find(self, members: Sequence[Member], step_norms: bool = False) -> Curves | None:
        """What a chunk left, if it was trained. A damaged file is set aside as `*.damaged` and trained again.

        A trial that is still to be tested, or whose test score is lost, and whose weights are gone too, counts as not
        trained; where `step_norms` are asked for, so does a final run of a candidate without them.
        """
        key = self.key(members)
        path, scores = self.members / f"{key}.parquet", self.scores / f"{key}.parquet"
        if not path.exists():
            return None
        try:
            frame = chunks.read(path)
            if chunks.to_members(frame) != list(members):
                raise BrokenRecord(f"{path} holds other members")
        except BrokenRecord:
            set_aside(path)
            return None
        tested = members[0].phase == "tune" and self.plan.science.protocol.name == "honest"
        if tested and not _sound(scores) and not (self.weights / f"{key}.npy").exists():
            return None
        if step_norms and _keeps_steps(members) and not _sound(self.steps / f"{key}.npy"):
            return None
        return chunks.to_curves(frame)

    def keep(self, members: Sequence[Member], curves: Curves) -> None:
        """Write what a chunk left. Weights go first: a chunk is finished when its members' file is there."""
        self.keep_plan()
        key = self.key(members)
        if curves.weights is not None:
            self.weights.mkdir(exist_ok=True)
            checksum.write_array(self.weights / f"{key}.npy", curves.weights)
        honest = self.plan.science.protocol.name == "honest"
        if curves.step_norms is not None and _keeps_steps(members) and honest:
            self.steps.mkdir(exist_ok=True)
            checksum.write_array(self.steps / f"{key}.npy", curves.step_norms)
        chunks.write(self.members / f"{key}.parquet", chunks.to_frame(members, curves))

    def data_digests(self) -> dict[int, str]:
        """The digest of each replicate's data set, as the members on record saw it; several where they saw several."""
        found: dict[int, set[str]] = {}
        frame = chunks.read_all(sorted(self.members.glob("*.parquet")))
        for replicate, seen in frame.select("replicate", "digest").unique().rows():
            found.setdefault(replicate, set()).add(seen)
        return {replicate: ",".join(sorted(seen)) for replicate, seen in sorted(found.items())}

    def counts(self) -> dict[tuple[int, str], int]:
        """Finished members by (slot, phase)."""
        frame = chunks.read_all(sorted(self.members.glob("*.parquet")))
        return {(slot, phase): n for slot, phase, n in frame.group_by("slot", "phase").len().rows()}

    def unscored(self) -> list[str]:
        """The chunks whose final weights wait for their test score, in the order they were kept: neighbours share data."""
        return [p.stem for p in sorted(self.weights.glob("*.npy"), key=lambda p: (p.stat().st_mtime_ns, p.stem))]

    def weights_of(self, key: str) -> tuple[list[Member], np.ndarray]:
        """A chunk's members and their final weights (n, P), NaN for members that diverged.

        Raises:
            Interrupted: a file is damaged; it is set aside, and the chunk will be trained again.
        """
        file = self.members / f"{key}.parquet"
        try:
            frame = chunks.read(file)
            file = self.weights / f"{key}.npy"
            weights = checksum.read_array(file)
        except (BrokenRecord, OSError, ValueError) as error:
            set_aside(file)
            raise Interrupted(
                f"{file} can't be used ({error}): set aside; run the same command again, it trains those trials again"
            ) from error
        weights[frame["diverged"].to_numpy() > 0] = np.nan
        return chunks.to_members(frame), weights

    def keep_scores(self, key: str, members: Sequence[Member], scores: np.ndarray) -> None:
        """Write a chunk's test scores (n,), NaN where diverged, and let go of its weights."""
        columns = {name: [getattr(m, name) for m in members] for name in SCORES if name != "test_score"}
        self.scores.mkdir(exist_ok=True)
        frame = pl.DataFrame({**columns, "test_score": scores.tolist()}, schema=SCORES)
        chunks.write(self.scores / f"{key}.parquet", frame)
        (self.weights / f"{key}.npy").unlink(missing_ok=True)
        if not any(self.weights.iterdir()):
            self.weights.rmdir()

    def step_norms(self, slot: int) -> dict[tuple[int, int], np.ndarray]:
        """The update norm of each step (T,) of a candidate's final runs, by replicate and final seed."""
        found: dict[tuple[int, int], np.ndarray] = {}
        for path in sorted(self.steps.glob("*.npy")):
            try:
                members = chunks.to_members(chunks.read(self.members / f"{path.stem}.parquet"))
                if members[0].slot == slot:
                    places = [(m.replicate, m.index) for m in members]
                    found |= zip(places, checksum.read_array(path), strict=True)
            except (OSError, ValueError) as error:
                raise BrokenRecord(f"{path} can't be read ({error}); delete it and run the command again") from error
        return found

    def frame(self) -> pl.DataFrame:
        """All members on record, a row each, sorted by slot, phase, replicate, index.

        Beside the columns of `chunks.SCHEMA`: `contender`, its name, and `test_score`: the last test score of a final
        run, a trial's own (scored after all selection), or null where there is none.

        Raises:
            BrokenRecord: a file that can't be read. UsageError: there is no member yet.
        """
        paths = sorted(self.members.glob("*.parquet"))
        if not paths:
            raise UsageError(f"{self.path} has no finished training yet; run the command that made it again")
        frame = chunks.read_all(paths)
        names = [c.name for c in self.plan.science.contenders]
        scores = chunks.read_all(sorted(self.scores.glob("*.parquet")), SCORES)
        return (
            frame.join(scores, on=["slot", "phase", "replicate", "index"], how="left")
            .with_columns(
                contender=pl.col("slot").replace_strict(dict(enumerate(names)), return_dtype=pl.String),
                test_score=pl.coalesce("test_score", pl.col("test").list.last()),
            )
            .sort("slot", "phase", "replicate", "index")
        )


def _sound(path: Path) -> bool:
    """Whether a file is there as it was written; a damaged one is set aside."""
    if path.exists() and not checksum.whole(path.read_bytes()):
        set_aside(path)
    return path.exists()


def _keeps_steps(members: Sequence[Member]) -> bool:
    return members[0].phase == "final" and members[0].slot > 0
