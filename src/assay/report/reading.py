"""The run folder as the report reads it: the plan, the answer, and the members as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay.answer.arrays import RecordArrays, Study
from assay.answer.reached import reached
from assay.core import PHASES, ContenderInfo, Plan
from assay.errors import BrokenRecord, UsageError
from assay.judge.divergence import floored
from assay.judge.process import Process
from assay.record import RunFolder, manifest
from assay.record.documents import read_data
from assay.record.timings import read_timings
from assay.report.style import Look, look
from assay.report.units import Units


@dataclass(frozen=True)
class Arm:
    """One contender: K replicates of n trials and r final runs over E epochs, scores in file units."""

    slot: int
    name: str
    look: Look
    info: ContenderInfo
    arrays: RecordArrays
    came: dict[str, Any]  # what result.json says of it

    def curves(self, name: str) -> np.ndarray:
        """A curve of every final run (K·r, E), NaN from a divergence on."""
        by_replicate = self.arrays.curves(self.slot, name)
        return by_replicate.reshape(-1, by_replicate.shape[-1])

    def scores(self, name: str) -> np.ndarray:
        """`test` or `validation` of every final run by epoch (K, r, E), diverged runs at the floor."""
        return floored(self.arrays.curves(self.slot, name), self.arrays.floors(f"{name}_floor"))

    def good_range(self, hyperparameter: str) -> tuple[float, float] | None:
        """Where a hyperparameter is as good as at its best, as far as the result says."""
        return self.came.get("good_range", {}).get(hyperparameter)

    @cached_property
    def trials(self) -> list[dict[str, Any]]:
        """The hyperparameters of all trials (K·n), replicate by replicate."""
        return [h for study in self._studies for h in study.hyperparameters]

    @cached_property
    def trial_scores(self) -> np.ndarray:
        """The validation scores of all trials (K·n,), NaN where they diverged."""
        return np.concatenate([study.validation for study in self._studies])

    @property
    def promised(self) -> np.ndarray:
        """The validation score that each replicate's choice had in tuning, or should have (K,); NaN where it diverged."""
        if self.arrays.protocol.name == "published":
            return np.array([study.validation[study.best] for study in self._studies])
        return np.array([study.promised for study in self._studies])

    @property
    def processes(self) -> list[Process]:
        """What each replicate's trials say of the score at any place (K); none where no process chooses."""
        return [study.process for study in self._studies if study.second]

    @property
    def seconds(self) -> float:
        """What its trainings took, summed."""
        return float(self._members["seconds"].sum())

    @property
    def step_seconds(self) -> float | None:
        """Seconds of one training step: the median over the trainings that ran to their end."""
        middle = self._members.filter(pl.col("diverged") == 0)["seconds"].median()
        if not isinstance(middle, int | float):
            return None
        return middle / (self.arrays.steps_per_epoch * self.arrays.task.epochs)

    @property
    def _members(self) -> pl.DataFrame:
        return pl.concat([self.arrays.members(self.slot, phase) for phase in PHASES])

    @cached_property
    def _studies(self) -> list[Study]:
        return [self.arrays.study(self.slot, k) for k in range(self.arrays.protocol.replicates)]


@dataclass(frozen=True)
class Reading:
    """Everything the report shows."""

    arrays: RecordArrays
    pilots: dict[int, Study]  # by slot
    content: dict[str, Any]
    timings: dict[str, Any]
    root: str  # of the record (`record.manifest.root`)

    @property
    def plan(self) -> Plan:
        """What was asked."""
        return self.arrays.plan

    @property
    def units(self) -> Units:
        """How scores read."""
        task = self.plan.science.task
        return Units(task.metric, task.unit, task.scale)

    @cached_property
    def arms(self) -> list[Arm]:
        """The contenders, the baseline first."""
        return [
            Arm(slot, info.name, look(slot), info, self.arrays, self.content["contenders"][info.name])
            for slot, info in enumerate(self.plan.science.contenders)
        ]

    @cached_property
    def pairs(self) -> list[tuple[Arm, dict[str, Any]]]:
        """Every candidate with its verdict."""
        return list(zip(self.arms[1:], self.content["verdicts"], strict=True))

    @property
    def facts(self) -> list[tuple[Arm, dict[str, Any]]]:
        """Every contender with what the verdicts tell of it alone."""
        own = [self.content["verdicts"][0]["details"]["baseline"]]
        own += [v["details"]["candidate"] for v in self.content["verdicts"]]
        return list(zip(self.arms, own, strict=True))


def read(path: Path) -> Reading:
    """The run in a folder.

    Raises:
        UsageError: no run folder, or one without a result yet. BrokenRecord: a file that can't be read.
    """
    folder = RunFolder.open(path)
    content, timings = written(path)
    if content.get("plan_hash") != folder.plan.science.plan_hash:
        raise BrokenRecord(f"{path / 'result.json'} belongs to another plan; run the command that made it again")
    frame = folder.frame()
    begun = RecordArrays(folder.plan, frame)  # with the ranges that pilots begin with
    pilots = {slot: study for slot in range(len(begun.plan.science.contenders)) if (study := begun.pilot(slot))}
    return Reading(RecordArrays(reached(folder.plan, frame), frame), pilots, content, timings, manifest.root(path))


def written(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`result.json` of a finished run or suite, and `timings.json`, empty where there is none.

    Raises:
        UsageError: there is no result yet. BrokenRecord: a file that can't be read.
    """
    if not (path / "result.json").exists():
        raise UsageError(f"{path} has no result yet; run the command that made it again, it goes on")
    return _data(path / "result.json"), read_timings(path)


def _data(path: Path) -> dict[str, Any]:
    try:
        return read_data(path)
    except (OSError, ValueError) as error:
        raise BrokenRecord(f"{path} can't be read ({error}); delete it and run the command again") from error
