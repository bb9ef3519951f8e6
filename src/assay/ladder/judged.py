"""What the rungs say: each candidate's worth in steps of the baseline, from the records of the question and of the rungs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.core import plain
from assay.core.result import LadderResult, Rung
from assay.core.verdict import Edge, SpeedUp
from assay.errors import BrokenRecord
from assay.judge.decide import Interval, critical
from assay.judge.sentence import counted
from assay.judge.speedup import Ladder, Longer, Worth, in_seconds, wanted, worth
from assay.judge.speedup_sentence import sentence
from assay.ladder import plan
from assay.record import RunFolder

TENTHS = {"high": "top", "low": "bottom"}
FIELDS = ("speedup", "speedup_low", "speedup_high")  # of a verdict
NORMAL = 1.4826  # the standard deviation of a normal spread, in median distances
MEDIAN = 1.2533  # √(π/2): a median's standard error, in those of a mean


@dataclass(frozen=True)
class Climbed:
    """A question's arrays, with those of the rungs that were trained, by epochs."""

    question: RecordArrays
    trained: Mapping[int, RecordArrays]

    @classmethod
    def of(cls, folder: RunFolder) -> Climbed:
        """The ladder of a record, as far as it is there and asked for. BrokenRecord where what it begins with is missing."""
        frame = folder.frame()
        question = RecordArrays(reached(folder.plan, frame), frame)
        there = {r.plan.science.task.epochs: RecordArrays(r.plan, r.frame()) for r in folder.rungs()}
        there.pop(question.task.epochs, None)  # which is the question's own
        asked = [epochs for epochs in plan.first(question.plan.science) if epochs in there]
        if not asked:
            raise BrokenRecord(f"{folder.path / plan.FOLDER} has none of the rungs that a ladder begins with")
        while True:  # as it grew: what else is there, say of an earlier board, counts for nothing
            found = cls(question, {epochs: there[epochs] for epochs in sorted(asked)})
            more = [epochs for epochs in further(found) if epochs in there]
            if not more:
                return found
            asked += more

    @cached_property
    def scores(self) -> dict[int, np.ndarray]:
        """The baseline's mean scores (K,), turned, by length in epochs: of the rungs, and as planned."""
        planned = self.question.task.epochs
        found = {epochs: arrays.scores(0).mean(axis=1) for epochs, arrays in self.trained.items()}
        found[planned] = self.question.scores(0).mean(axis=1)
        return dict(sorted(found.items()))

    @cached_property
    def ladder(self) -> Ladder:
        """What the judge looks at."""
        factors = np.array([epochs / self.question.task.epochs for epochs in self.scores])
        return Ladder(factors, np.stack(list(self.scores.values()), axis=1))

    def interval(self, differences: np.ndarray) -> Interval:
        """The interval that decides; none of differences that are not finite."""
        return self.question.deciding.interval(differences)

    @cached_property
    def worths(self) -> list[Worth | None]:
        """Each candidate's worth."""
        candidates = len(self.question.plan.science.contenders) - 1
        return [self.worth(slot, candidates) for slot in range(1, candidates + 1)]

    def worth(self, slot: int, candidates: int) -> Worth | None:
        """That of one, where the level allows for so many candidates."""
        deciding = replace(self.question.deciding, candidates=candidates)
        return worth(self.question.differences(slot), self.ladder, deciding.interval)

    @cached_property
    def longer(self) -> Longer | None:
        """What the first longer training is to the baseline: one question, however many candidates there are."""
        return self.ladder.longer(replace(self.question.deciding, candidates=1).interval)

    @cached_property
    def edges(self) -> dict[int, list[Edge]]:
        """Ends of the baseline's ranges that too many replicates chose, by the length of the rung."""
        return {epochs: arrays.contender(0).edges(arrays.protocol) for epochs, arrays in self.trained.items()}

    @cached_property
    def helps(self) -> bool:
        """Whether it gains by that at the level of the intervals: else a mean, or a slope, would wait for what none can tell."""
        return self.ladder.longer(self.interval) == "helps"


def with_speedups(folder: RunFolder, content: dict[str, Any]) -> dict[str, Any]:
    """The content of `result.json` with what the ladder says: fields and a sentence of each verdict, and the rungs.

    Raises:
        BrokenRecord: members are missing.
    """
    climbed = Climbed.of(folder)
    verdicts = [
        {**verdict, **_fields(climbed, found, verdict)}
        for verdict, found in zip(content["verdicts"], climbed.worths, strict=True)
    ]
    rungs = [
        Rung(
            epochs=epochs,
            factor=epochs / climbed.question.task.epochs,
            trained=epochs in climbed.trained,
            scores=(climbed.question.task.sign * scores).tolist(),
            edges=climbed.edges.get(epochs, []),
        )
        for epochs, scores in climbed.scores.items()
    ]
    trainings = sum(len(arrays.frame) for arrays in climbed.trained.values())
    ladder = LadderResult(rungs, trainings, climbed.ladder.curvatures.tolist())
    return {**content, "verdicts": verdicts, "ladder": plain(ladder)}


def fields(found: Worth | None) -> dict[str, float | None]:
    """What a verdict, or a suite's cell, has of a speed-up."""
    return dict(zip(FIELDS, (None,) * 3 if found is None else (found.factor, found.low, found.high), strict=True))


def _fields(climbed: Climbed, found: Worth | None, verdict: dict[str, Any]) -> dict[str, Any]:
    if found is None:
        return fields(found)
    level = float(verdict["details"]["level"])
    said = sentence(found, verdict["candidate"], verdict["baseline"], level, climbed.longer)
    said = reserved(verdict, said) + _at_edges(climbed, verdict["baseline"])
    details = SpeedUp(
        pieces=found.pieces,
        shortest=found.tried[0],
        longest=found.tried[1],
        ahead=found.ahead,
        longer_helps=None if climbed.longer is None else climbed.longer == "helps",
    )
    return {
        "sentence": f"{verdict['sentence']} {said}",
        **fields(found),
        "details": {**verdict["details"], "speedup": plain(msgspec.to_builtins(details))},
    }


def reserved(verdict: Mapping[str, Any], said: str) -> str:
    """What follows from an interval whose verdict is held back, for a range may explain it."""
    return f"By that interval alone, with the same reserve: {said}" if "held_back" in verdict["details"] else said


def _at_edges(climbed: Climbed, baseline: str) -> str:
    """A sentence for each length at which the baseline may be tuned too narrowly."""
    return "".join(
        f" At {counted(epochs, 'epoch')} {baseline}'s {edge.hyperparameter} lies in the {TENTHS[edge.end]} tenth of its range in "
        f"{edge.hits} of {edge.replicates} replicates: a wider one (--space) may change what is said of steps."
        for epochs, found in climbed.edges.items()
        for edge in found
    )


def further(climbed: Climbed) -> list[int]:
    """The lengths that a ladder still lacks: those within it, then one beyond each end that a candidate's set touches, if any."""
    here = list(climbed.scores)
    known = sorted({*plan.lengths(climbed.question.plan.science), *here})
    if holes := [epochs for epochs in known if here[0] < epochs < here[-1] and epochs not in here]:
        return holes
    places = {"shorter": known.index(here[0]) - 1, "longer": known.index(here[-1]) + 1}
    return [
        known[places[end]]
        for end in sorted(wanted(climbed.worths, climbed.ladder, climbed.interval))
        if 0 <= places[end] < len(known)
    ]


def has_speedup(verdict: Mapping[str, Any]) -> bool:
    """Whether there is one, or an end of it at least."""
    return any(verdict.get(name) is not None for name in FIELDS)


def in_timings(verdict: Mapping[str, Any], ratios: np.ndarray) -> dict[str, float | None]:
    """What `timings.json` has of a verdict with a speed-up: the ratio of a step's times, and the speed-up in seconds.

    `ratios` (rounds,): measured, candidate to baseline; the median of their logarithms is what counts.
    """
    logs = np.log(ratios)
    middle = float(np.median(logs))
    sd = NORMAL * float(np.median(np.abs(logs - middle)))
    # a round that something else disturbed hardly counts
    ratio, log_se = float(np.exp(middle)), MEDIAN * sd / len(logs) ** 0.5
    return timed(verdict, quantile_of(verdict), ratio, log_se)


def quantile_of(verdict: Mapping[str, Any]) -> float:
    """How many standard errors the interval of a task's verdict goes to each side: of two stages, or looks, others than of K."""
    se = verdict["details"]["se"]
    if se:
        return (verdict["ci_high"] - verdict["difference"]) / se
    return float(critical(verdict["replicates"], 1 - verdict["details"]["level"]))


def timed(verdict: Mapping[str, Any], quantile: float, ratio: float, log_se: float) -> dict[str, float | None]:
    """A step's times, candidate to baseline, and by them the speed-up in seconds with its interval, from that in steps."""
    factor, low, high = (verdict[name] for name in FIELDS)
    seconds = in_seconds((factor, low, high), ratio, log_se, quantile)
    return {"step_ratio": ratio, "step_ratio_log_se": log_se, **dict(zip(FIELDS, seconds, strict=True))}
