"""From the members on record to the arrays that the judge looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np
import polars as pl

from assay.core import Hyperparameters, Plan, steps_per_epoch
from assay.errors import BrokenRecord
from assay.judge import ContenderScores, select
from assay.judge.decide import resolution
from assay.judge.divergence import floored, without_blown_up
from assay.judge.pair import Question, twins
from assay.judge.process import Process
from assay.space import Choice, Space, at, place_of


@dataclass(frozen=True)
class Study:
    """One contender's tuning in one replicate, n trials in order; `second`: by the second edition's rule.

    `validation`, `test` (n,): scores after the last epoch, file units, NaN = diverged, `test` also NaN where it was
    not scored. `floor`: what a diverged trial counts for.
    """

    space: Space
    hyperparameters: list[Hyperparameters]
    validation: np.ndarray
    test: np.ndarray
    floor: float
    sign: int
    second: bool

    @cached_property
    def positions(self) -> np.ndarray:
        """Where the trials lie (n, d), in the units of the space."""
        return np.array([place_of(self.space, values) for values in self.hyperparameters])

    @cached_property
    def unordered(self) -> np.ndarray:
        """Which hyperparameters are choices (d,)."""
        return np.array([isinstance(d, Choice) for d in self.space.values()])

    @cached_property
    def turned(self) -> np.ndarray:
        """Validation scores (n,), larger is better, diverged ones at the floor."""
        return self.sign * floored(self.validation, self.floor)

    @cached_property
    def process(self) -> Process:
        """What the trials say of the score at any place."""
        return self.process_of(len(self.turned))

    def process_of(self, trials: int) -> Process:
        """What the first of the trials say."""
        return Process(self.positions[:trials], self.turned[:trials], self.unordered)

    @cached_property
    def incumbents(self) -> np.ndarray:
        """The trial (n,) that the honest rule thinks best after 1, 2, … n trials."""
        if not self.second:
            return select.incumbents(self.positions, self.turned, self.unordered)
        return np.array([self.process_of(t).highest(self.positions[:t]) for t in range(1, len(self.turned) + 1)])

    @property
    def chosen(self) -> int:
        """The trial that the honest rule thinks best."""
        return int(self.incumbents[-1])

    @property
    def choice(self) -> Hyperparameters:
        """The hyperparameters that the honest rule chooses: the chosen trial's, or where the process has its maximum."""
        trial = self.hyperparameters[self.chosen]
        return {**trial, **at(self.space, self.process.maximum())} if self.second else trial

    @property
    def place(self) -> np.ndarray:
        """Where the choice lies (d,), in the units of the space."""
        return np.array(place_of(self.space, self.choice))

    @property
    def promised(self) -> float:
        """The validation score that the choice had, or should have by the process; file units."""
        return (
            self.sign * float(self.process.mean(self.place[None])[0]) if self.second else self.validation[self.chosen]
        )

    @property
    def best(self) -> int:
        """The trial with the best raw score, the earliest of equals: the published rule."""
        return select.raw(self.turned)


class RecordArrays:
    """What a record holds, as arrays. K replicates, r final seeds, n trials, E epochs."""

    def __init__(self, plan: Plan, frame: pl.DataFrame) -> None:
        self.plan, self.frame = plan, frame
        self.task, self.protocol = plan.science.task, plan.science.protocol
        self._studies: dict[tuple[int, int], Study] = {}
        self._members: dict[tuple[int, str], pl.DataFrame] = {}

    def members(self, slot: int, phase: str) -> pl.DataFrame:
        """The plan's members of one contender and phase, by replicate and index; of a pilot as many as there are.

        Raises:
            BrokenRecord: members that the plan asks for are missing.
        """
        if (slot, phase) in self._members:
            return self._members[slot, phase]
        p = self.protocol
        if phase == "pilot":
            return self.frame.filter((pl.col("slot") == slot) & (pl.col("phase") == phase)).sort("index")
        per_replicate = p.trials if phase == "tune" else p.final_seeds
        rows = self.frame.filter(
            (pl.col("slot") == slot)
            & (pl.col("phase") == phase)
            & (pl.col("replicate") < p.replicates)
            & (pl.col("index") < per_replicate)
        ).sort("replicate", "index")
        if len(rows) != p.replicates * per_replicate:
            name = self.plan.science.contenders[slot].name
            raise BrokenRecord(
                f"{p.replicates * per_replicate} members ({name}, {phase}) are planned and {len(rows)} on record; "
                "run the command that made it again"
            )
        self._members[slot, phase] = rows
        return rows

    def study(self, slot: int, replicate: int) -> Study:
        """One study of one contender."""
        if (slot, replicate) not in self._studies:
            rows = self.members(slot, "tune")[replicate * self.protocol.trials : (replicate + 1) * self.protocol.trials]
            if self.protocol.name == "honest" and rows["test_score"].null_count():
                raise BrokenRecord("trials without a test score are on record; run the command that made it again")
            self._studies[slot, replicate] = self._study_of(slot, rows)
        return self._studies[slot, replicate]

    def pilot(self, slot: int) -> Study | None:
        """A contender's pilot as far as it is on record; None where there is nothing of it."""
        rows = self.members(slot, "pilot")
        return self._study_of(slot, rows) if len(rows) else None

    def _study_of(self, slot: int, rows: pl.DataFrame) -> Study:
        floor = float(rows["validation_floor"][0])
        return Study(
            space=self.plan.science.contenders[slot].space,
            hyperparameters=[msgspec.json.decode(text) for text in rows["hyperparameters"]],
            validation=self._alive(rows["validation"].list.last().to_numpy(), floor),
            test=self._alive(rows["test_score"].fill_null(np.nan).to_numpy(), float(rows["test_floor"][0])),
            floor=floor,
            sign=self.task.sign,
            second=self.protocol.second,
        )

    def chosen(self, slot: int, replicate: int) -> Hyperparameters:
        """The hyperparameters that the plan's protocol chooses."""
        study = self.study(slot, replicate)
        return study.hyperparameters[study.best] if self.protocol.name == "published" else study.choice

    def curves(self, slot: int, name: str) -> np.ndarray:
        """Final runs' curves (K, r, E), file units, NaN from a divergence on."""
        rows = self.members(slot, "final")[name].explode().to_numpy()
        found = rows.astype(float).reshape(self.protocol.replicates, self.protocol.final_seeds, -1)
        return self._alive(found, self.floors(f"{name}_floor", slot)) if name in ("validation", "test") else found

    def _alive(self, scores: np.ndarray, floor: float | np.ndarray) -> np.ndarray:
        """Scores, file units, NaN where a model has blown up; so from the second edition on."""
        return without_blown_up(scores, floor) if self.protocol.second and self.task.sign < 0 else scores

    def ends(self, slot: int) -> list[np.ndarray]:
        """Final runs' test and validation score and training loss at their end (K, r), file units, NaN = diverged."""
        return [self.curves(slot, name)[:, :, -1] for name in ("test", "validation", "train_loss")]

    def scores(self, slot: int) -> np.ndarray:
        """Test scores of the final runs (K, r), turned (larger is better), diverged ones at the floor."""
        return self.scores_of(self.curves(slot, "test")[:, :, -1])

    def scores_of(self, test: np.ndarray) -> np.ndarray:
        """Test scores (K, r) as they are compared: turned (larger is better), diverged ones at the floor."""
        return self.task.sign * floored(test, self.floors("test_floor"))

    def floors(self, name: str, slot: int = 0) -> np.ndarray:
        """The constant predictor's scores (K,): `test_floor` or `validation_floor`, the same for all contenders."""
        return self.members(slot, "final").group_by("replicate", maintain_order=True).first()[name].to_numpy()

    @cached_property
    def steps_per_epoch(self) -> int:
        """Of every training: all data sets of a task have one size."""
        return steps_per_epoch(int(self.frame["train_samples"][0]), self.task.batch_size)

    @property
    def test_fraction(self) -> float | None:
        """n_test / n_train; None for generated data, whose replicates share none of it."""
        if self.task.generated:
            return None
        first = self.members(0, "final").row(0, named=True)
        return first["test_samples"] / first["train_samples"]

    @property
    def step(self) -> float:
        """What a score is rounded to, from the second edition on: an accuracy to 1/n_test, another metric to whatever is seen.

        That is infinity where all are equal: then nothing says how far others would lie apart.
        """
        if not self.protocol.second:
            return 0.0
        samples = int(self.members(0, "final")["test_samples"][0])
        return 1 / samples if self.task.metric == "accuracy" else math.inf

    @cached_property
    def deciding(self) -> Question:
        """How the verdicts decide."""
        candidates = len(self.plan.science.contenders) - 1
        scores = [self.scores(slot) for slot in range(candidates + 1)]
        step = resolution(scores, self.step)
        return Question(self.task, self.protocol, candidates, self.test_fraction, self.plan.science.seed, step)

    def differences(self, slot: int) -> np.ndarray:
        """A candidate's differences (K,) from the baseline, turned: what decides."""
        return (self.scores(slot) - self.scores(0)).mean(axis=1)

    def same(self, slot: int) -> bool:
        """Whether each of its final runs is the baseline's, to the last bit."""
        return bool(twins(self.ends(slot), self.ends(0)).all())

    def contender(self, slot: int) -> ContenderScores:
        """What one contender left, for the judge."""
        contender = self.plan.science.contenders[slot]
        tune, finals = self.members(slot, "tune"), self.members(slot, "final")
        studies = [self.study(slot, k) for k in range(self.protocol.replicates)]
        alive = pl.concat([tune, finals]).filter(pl.col("diverged") == 0)
        steps = self.steps_per_epoch * self.task.epochs
        test, validation, train_loss = self.ends(slot)
        return ContenderScores(
            name=contender.name,
            space=contender.space,
            test=test,
            validation_final=validation,
            chosen_validation=np.array([s.promised for s in studies]),
            chosen_positions=np.array([s.place for s in studies]),
            trials=self.protocol.trials,
            allotted_steps=steps,
            gradient_evaluations=int(alive["gradient_evaluations"].sum()),
            steps=steps * len(alive),
            diverged_tune=float(np.mean([~np.isfinite(s.validation) for s in studies])),
            train_loss=train_loss,
        )
