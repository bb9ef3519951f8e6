"""A candidate beside the baseline: their scores, the question they are an answer to, and the intervals between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypedDict

import numpy as np

from assay import seeds
from assay.core import Outcome, Protocol, Stages, TaskInfo, finite
from assay.judge import two_stage
from assay.judge.collapse import collapsed
from assay.judge.decide import Interval, level_of, outcome, paired_interval, rounding_sd, superiority
from assay.judge.divergence import survivor_differences
from assay.judge.edges import Edge, edges
from assay.judge.looks import look_interval, nominal
from assay.judge.power import settling_replicates
from assay.judge.second_opinion import bca_interval, hall_interval
from assay.judge.sentence import Shape
from assay.space import Space


@dataclass(frozen=True)
class ContenderScores:
    """What one contender left. K replicates, r final seeds, d hyperparameters; scores in file units, NaN = diverged.

    `trials` and `allotted_steps` are its budget: the steps it may take in one training. `gradient_evaluations` were
    spent over `steps` steps, both counted over the trainings that did not diverge.
    """

    name: str
    space: Space
    test: np.ndarray  # (K, r) fresh final runs, test split
    validation_final: np.ndarray  # (K, r) the same runs, validation split
    chosen_validation: np.ndarray  # (K,) the chosen trial's own validation score
    chosen_positions: np.ndarray  # (K, d) unit positions of what was chosen, in the space's order
    trials: int
    allotted_steps: int
    gradient_evaluations: int
    steps: int
    diverged_tune: float = 0.0  # fraction of its trials
    train_loss: np.ndarray | None = None  # (K, r) the final runs' mean over the last epoch

    def edges(self, protocol: Protocol) -> list[Edge]:
        """The edges of its ranges that its choices lie at."""
        return edges(self.chosen_positions, self.space, protocol.second)

    @property
    def gradients_per_step(self) -> float | None:
        """Gradient evaluations for each step; None where every training diverged."""
        return self.gradient_evaluations / self.steps if self.steps else None

    def twins(self, other: ContenderScores) -> np.ndarray:
        """Which final runs (K, r) are the other's."""
        ours, theirs = ((c.test, c.validation_final, c.train_loss) for c in (self, other))
        return twins(ours, theirs)


def twins(ours: Iterable[np.ndarray | None], theirs: Iterable[np.ndarray | None]) -> np.ndarray:
    """Which runs of two contenders are one and the same: equal to the last bit in all that they left, arrays of one shape.

    NaN is NaN's twin. Runs whose scores are equal need not be: a score is a whole number of test samples.
    """
    both = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    return np.all([(a == b) | (np.isnan(a) & np.isnan(b)) for a, b in both], axis=0)


@dataclass(frozen=True)
class Question:
    """What was asked of all candidates, and by which interval it is answered."""

    task: TaskInfo
    protocol: Protocol
    candidates: int
    test_fraction: float | None
    seed: int
    resolution: float
    asked: tuple[int | None, ...] = ()  # replicates that each candidate's first of two stages asked for

    @property
    def overlap(self) -> float | None:
        """What partitions of one data set add to the error; None where nothing does."""
        return self.protocol.overlap(self.test_fraction)

    def interval(self, differences: np.ndarray, twins: bool = False) -> Interval:
        """The interval that decides; `twins`: whether each run is the other contender's."""
        stages, looks, alpha = self.protocol.stages, self.protocol.looks, self.protocol.alpha
        step = self.rounded_to(differences, twins)
        if isinstance(looks, tuple):
            return look_interval(differences, looks, alpha, self.candidates, step)
        if isinstance(stages, Stages):
            return two_stage.two_stage_interval(differences, stages.first, alpha, self.candidates, self.overlap, step)
        return paired_interval(differences, alpha, self.candidates, self.overlap, step)

    def among(self, differences: np.ndarray, replicates: int, twins: bool) -> tuple[Interval, Outcome]:
        """What some of the runs of so many replicates say by themselves."""
        alpha, level = self.alpha_beside(replicates), level_of(self.protocol.alpha, self.candidates)
        step = self.rounded_to(differences, twins)
        found = paired_interval(differences, alpha, 1, self.overlap, step)._replace(level=level)
        return found, outcome(found.low, found.high, self.task.margin)

    def rounded_to(self, differences: np.ndarray, twins: bool) -> float:
        """What the differences are rounded to: nothing where each run is its twin, for that is no luck.

        In the first edition nothing, too, where they happen to be 0.
        """
        return 0.0 if twins or not (self.protocol.second or differences.any()) else self.resolution

    def asked_by(self, differences: Sequence[np.ndarray], twins: Sequence[bool]) -> tuple[int | None, ...]:
        """How many replicates each candidate asks for, of two stages, by the spread of the first."""
        stages, alpha = self.protocol.stages, self.protocol.alpha
        if not isinstance(stages, Stages):
            return ()
        rounded = [rounding_sd(self.rounded_to(d, same)) for d, same in zip(differences, twins, strict=True)]
        least = rounded if self.protocol.second else 0.0
        return tuple(two_stage.asked(differences, stages.first, self.task.margin, alpha, self.overlap, least))

    def alpha_beside(self, replicates: int) -> float:
        """What an interval beside the one that decides spends of the error: from the second edition on, as that one at a look."""
        looks, alpha = self.protocol.looks, self.protocol.alpha
        if isinstance(looks, tuple) and self.protocol.second:
            return nominal(looks, list(looks).index(replicates), alpha, self.candidates)
        return alpha / self.candidates

    @property
    def wanted(self) -> int | None:
        """The largest number of replicates that a candidate asked for; None where no number would do."""
        return None if None in self.asked else max((n for n in self.asked if n is not None), default=None)


@dataclass(frozen=True)
class Pair:
    """A candidate beside the baseline; `ours` and `theirs` are turned, floored scores (K, r)."""

    question: Question
    candidate: ContenderScores
    baseline: ContenderScores
    ours: np.ndarray
    theirs: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        """Mean differences over the final seeds (K,)."""
        return (self.ours - self.theirs).mean(axis=1)

    @cached_property
    def interval(self) -> Interval:
        """The one that decides."""
        return self.question.interval(self.differences, self.same)

    @cached_property
    def twins(self) -> np.ndarray:
        """Which final runs (K, r) are the same run as the baseline's."""
        return self.candidate.twins(self.baseline)

    @property
    def same(self) -> bool:
        """Whether all are."""
        return bool(self.twins.all())

    @cached_property
    def superiority(self) -> Interval:
        """P(a single run of the candidate beats its twin)."""
        q = self.question
        return superiority(self.ours, self.theirs, q.protocol, q.candidates, q.test_fraction)

    @property
    def survivors(self) -> np.ndarray:
        """Mean differences over the pairs of runs that both survived (at most K,)."""
        sign = self.question.task.sign
        return survivor_differences(sign * self.candidate.test, sign * self.baseline.test)

    @cached_property
    def collapsed(self) -> tuple[np.ndarray, np.ndarray]:
        """Which runs of the candidate and of the baseline collapsed, (K, r) each."""
        return collapsed(self.ours, self.question.task.margin), collapsed(self.theirs, self.question.task.margin)

    @property
    def whole(self) -> np.ndarray:
        """Mean differences over the pairs of runs of which neither collapsed (at most K,)."""
        ours, theirs = self.collapsed
        return survivor_differences(np.where(ours, np.nan, self.ours), np.where(theirs, np.nan, self.theirs))

    @cached_property
    def hall(self) -> tuple[float, float]:
        """The interval that allows for skewed differences."""
        return hall_interval(self.differences, self.question.alpha_beside(len(self.differences)))

    @property
    def shape(self) -> Shape:
        """What the second edition looks at besides: runs that collapsed without diverging, and skewed differences."""
        gone = (~np.isfinite(c.test) for c in (self.candidate, self.baseline))
        ours, theirs = (
            int((own & ~diverged).any(axis=1).sum()) for own, diverged in zip(self.collapsed, gone, strict=True)
        )
        (low, high), by_t = self.hall, self.interval
        leans = (by_t.low > 0 or by_t.high < 0) and low <= 0 <= high
        whole = ~(self.collapsed[0] | self.collapsed[1])
        same = bool(self.twins[whole].all())
        without = self.question.among(self.whole, len(self.differences), same) if ours or theirs else None
        return Shape((ours, theirs), without, (low, high) if leans else None)

    @property
    def among_survivors(self) -> tuple[Interval, Outcome]:
        """What the pairs of runs that both survived say by themselves."""
        alive = np.isfinite(self.candidate.test) & np.isfinite(self.baseline.test)
        return self.question.among(self.survivors, len(self.differences), bool(self.twins[alive].all()))

    @property
    def gradient_ratio(self) -> float | None:
        """Gradient evaluations for each step, candidate/baseline."""
        ours, theirs = self.candidate.gradients_per_step, self.baseline.gradients_per_step
        return ours / theirs if ours is not None and theirs else None

    def settling_replicates(self, decided: Outcome) -> int | None:
        """How many replicates would settle what is inconclusive."""
        q = self.question
        if decided != "inconclusive":
            return None
        if q.asked:
            return q.wanted
        alpha, fraction = q.protocol.alpha, q.overlap
        return settling_replicates(
            self.interval.sd, q.protocol.replicates, q.task.margin, alpha, q.candidates, test_fraction=fraction
        )


class Opinions(TypedDict, total=False):
    """Ends of intervals, by their names in `Details`."""

    bca_low: float | None
    bca_high: float | None
    hall_low: float | None
    hall_high: float | None
    overlapping_low: float | None
    overlapping_high: float | None


def second_opinions(pair: Pair, slot: int) -> Opinions:
    """The intervals beside the one that decides, as the plan's edition has them."""
    question, differences = pair.question, pair.differences
    alpha, candidates, fraction = question.protocol.alpha, question.candidates, question.test_fraction
    if not question.protocol.second:
        low, high = bca_interval(differences, alpha, seeds.hashed("resampling", question.seed, slot=slot), candidates)
        return {"bca_low": finite(low), "bca_high": finite(high)}
    found = Opinions(hall_low=finite(pair.hall[0]), hall_high=finite(pair.hall[1]))
    if fraction is not None:
        step = question.rounded_to(differences, pair.same)
        beyond = paired_interval(differences, question.alpha_beside(len(differences)), 1, fraction, step)
        found |= {"overlapping_low": finite(beyond.low), "overlapping_high": finite(beyond.high)}
    return found
