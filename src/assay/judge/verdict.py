"""From arrays to verdicts: everything the judge says, in one pure function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from assay import seeds
from assay.core import Outcome, Protocol, Stages, TaskInfo, Verdict
from assay.errors import NoVerdict
from assay.judge import stability, two_stage
from assay.judge.decide import Interval, by_the_margin, outcome, paired_interval, resolution
from assay.judge.divergence import floored, loser, rate, survivor_differences
from assay.judge.edges import edges, wider_spaces
from assay.judge.looks import look_interval
from assay.judge.power import settling_margin, settling_replicates
from assay.judge.second_opinion import bca_interval, holm, sign_flip_p
from assay.judge.sentence import DEFAULT_SEED, VerdictFacts, sentence
from assay.judge.superiority import p_superior
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


def judge(
    evidence: Sequence[ContenderScores],
    task: TaskInfo,
    protocol: Protocol,
    test_floor: float | np.ndarray,
    validation_floor: float | np.ndarray,
    seed: int = DEFAULT_SEED,
    test_fraction: float | None = None,
) -> list[Verdict]:
    """The honest verdict for every candidate; the first contender is the baseline.

    The floors are the constant predictor's scores, file units, one number or one for each replicate (K,).
    `test_fraction`, n_test/n_train, is needed for a task of fixed data and unused for a generated one. `seed` is the
    plan's; resampling has seeds of its own, hashed from it.

    A verdict's `details` are plain JSON, None for what can't be given: `candidate` and `baseline` (facts of each: mean
    score, divergence rates, winner's curse, edges), `differences` (K,), `sd`, `se`, `level`; the second opinions
    `sign_flip_p`, `bca_low`, `bca_high`, `holm_p`; `p_superior_low` and `_high`; `settling_margin` and
    `settling_replicates`; with two stages `replicates_asked`, what the first of them asked for; `survivors`, `stability`,
    `gradient_ratio`, `all_diverged`; `wider`, the ranges by contender.

    ValueError on shapes that do not fit, a missing `test_fraction`, or a margin of 0 or below. NoVerdict if the budgets
    differ or every final run of a candidate and of the baseline diverged.
    """
    _check(evidence, task, protocol, test_fraction)
    baseline, rest = evidence[0], evidence[1:]
    scores = [task.sign * floored(c.test, test_floor) for c in evidence]
    fraction = None if task.generated else test_fraction
    setting = _Setting(task, protocol, len(rest), fraction, seed, resolution(scores))
    pairs = [scored - scores[0] for scored in scores[1:]]  # (K, r) each
    if isinstance(protocol.stages, Stages):
        asked = two_stage.asked(
            [pair.mean(axis=1) for pair in pairs], protocol.stages.first, task.margin, protocol.alpha, fraction
        )
        setting = replace(setting, asked=tuple(asked))
    intervals = [setting.interval(pair.mean(axis=1)) for pair in pairs]
    adjusted = holm(np.array([interval.p_value for interval in intervals]))
    facts = [_facts(c, task, test_floor, validation_floor) for c in evidence]
    wider = wider_spaces({c.name: (c.chosen_positions, c.space) for c in evidence})

    verdicts = []
    for i, candidate in enumerate(rest):
        findings = _findings(setting, candidate, baseline, scores[i + 1], scores[0], intervals[i])
        details = {
            "candidate": facts[i + 1],
            "baseline": facts[0],
            "differences": pairs[i].mean(axis=1),
            **_second_opinion(setting, pairs[i].mean(axis=1), slot=i + 1, holm_p=adjusted[i]),
            **_details(setting, findings, candidate, baseline, scores[i + 1], scores[0]),
            "wider": {name: {hp: str(dimension) for hp, dimension in space.items()} for name, space in wider.items()},
        }
        verdicts.append(_verdict(findings, details))
    return verdicts


@dataclass(frozen=True)
class _Setting:
    task: TaskInfo
    protocol: Protocol
    candidates: int
    test_fraction: float | None
    seed: int
    resolution: float
    asked: tuple[int | None, ...] = ()  # replicates that each candidate's first of two stages asked for

    def interval(self, differences: np.ndarray) -> Interval:
        """The interval that decides."""
        stages, looks = self.protocol.stages, self.protocol.looks
        if isinstance(looks, tuple):
            return look_interval(differences, looks, self.protocol.alpha, self.candidates, self.resolution)
        if isinstance(stages, Stages):
            return two_stage.two_stage_interval(
                differences, stages.first, self.protocol.alpha, self.candidates, self.test_fraction, self.resolution
            )
        return self.plain_interval(differences)

    @property
    def wanted(self) -> int | None:
        """The largest number of replicates that a candidate asked for; None where no number would do."""
        return None if None in self.asked else max((n for n in self.asked if n is not None), default=None)

    def plain_interval(self, differences: np.ndarray) -> Interval:
        return paired_interval(differences, self.protocol.alpha, self.candidates, self.test_fraction, self.resolution)

    def superiority(self, ours: np.ndarray, theirs: np.ndarray) -> Interval:
        return p_superior(ours, theirs, self.protocol.alpha, self.candidates, self.test_fraction)


def _findings(
    setting: _Setting,
    candidate: ContenderScores,
    baseline: ContenderScores,
    ours: np.ndarray,
    theirs: np.ndarray,
    interval: Interval,
) -> VerdictFacts:
    """What is to be said of one candidate; turned, floored scores (K, r)."""
    task, protocol = setting.task, setting.protocol
    loses = loser(candidate.test, baseline.test, candidate.name, baseline.name)
    by_interval = outcome(interval.low, interval.high, task.margin)
    decided: Outcome = by_interval if loses is None else "worse" if loses == "candidate" else "better"
    diverged = [int(np.sum(~np.isfinite(c.test))) for c in (candidate, baseline)]
    survivors = None
    if any(diverged) and loses is None:
        remaining = setting.plain_interval(survivor_differences(task.sign * candidate.test, task.sign * baseline.test))
        survivors = remaining, outcome(remaining.low, remaining.high, task.margin)
    replicates_needed = None
    if decided == "inconclusive" and setting.asked:
        replicates_needed = setting.wanted
    elif decided == "inconclusive":
        replicates_needed = settling_replicates(
            interval.sd,
            protocol.replicates,
            task.margin,
            protocol.alpha,
            setting.candidates,
            test_fraction=setting.test_fraction,
        )
    return VerdictFacts(
        task=task,
        protocol=protocol,
        candidate=candidate.name,
        baseline=baseline.name,
        outcome=decided,
        interval=interval,
        p_superior=setting.superiority(ours, theirs).mean,
        candidates=setting.candidates,
        seed=setting.seed,
        gradient_ratio=_gradient_ratio(candidate, baseline),
        tuned=(len(candidate.space), len(baseline.space)),
        diverged=(diverged[0], diverged[1]),
        loser=loses,
        survivors=survivors,
        edges=tuple(
            (c.name, edge, c.space[edge.hyperparameter])
            for c in (candidate, baseline)
            for edge in edges(c.chosen_positions, c.space)
        ),
        settling_margin=settling_margin(interval.low, interval.high) if interval.exists else None,
        settling_replicates=replicates_needed,
        asked=setting.wanted,
    )


def _second_opinion(setting: _Setting, differences: np.ndarray, slot: int, holm_p: float) -> dict[str, Any]:
    resampling = seeds.hashed("resampling", setting.seed, slot=slot)
    low, high = bca_interval(differences, setting.protocol.alpha, resampling, setting.candidates)
    return {"sign_flip_p": sign_flip_p(differences, resampling), "bca_low": low, "bca_high": high, "holm_p": holm_p}


def _details(
    setting: _Setting,
    f: VerdictFacts,
    candidate: ContenderScores,
    baseline: ContenderScores,
    ours: np.ndarray,
    theirs: np.ndarray,
) -> dict[str, Any]:
    task = setting.task
    superiority = setting.superiority(ours, theirs)
    spread = stability.compare(ours, theirs, setting.protocol.alpha, setting.candidates, setting.test_fraction)
    survivors = None
    if f.survivors is not None:
        interval, decided = f.survivors
        survivors = {
            "difference": interval.mean,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "outcome": decided,
            "replicates": len(survivor_differences(candidate.test, baseline.test)),
        }
    return {
        "level": f.interval.level,
        "candidates": setting.candidates,
        "by_the_margin": f.outcome in ("better", "worse")
        and f.loser is None
        and by_the_margin(f.interval.low, f.interval.high, task.margin),
        "sd": f.interval.sd,
        "se": f.interval.se,
        "test_fraction": setting.test_fraction,
        "p_superior_low": superiority.low,
        "p_superior_high": superiority.high,
        "settling_margin": f.settling_margin,
        "settling_replicates": f.settling_replicates,
        **({"replicates_asked": f.asked} if setting.asked else {}),
        "all_diverged": f.loser,
        "survivors": survivors,
        "gradient_ratio": f.gradient_ratio,
        "stability": spread._asdict(),
    }


def _facts(
    c: ContenderScores, task: TaskInfo, test_floor: float | np.ndarray, validation_floor: float | np.ndarray
) -> dict:
    """What is said of one contender by itself; scores in file units, not turned; the winner's curse turned."""
    test, validation = floored(c.test, test_floor), floored(c.validation_final, validation_floor)
    tuning = floored(c.chosen_validation, validation_floor)
    by_replicate = test.mean(axis=1)
    return {
        "name": c.name,
        "score_mean": by_replicate.mean(),
        "score_sd": by_replicate.std(ddof=1) if len(by_replicate) > 1 else None,
        "diverged_final": rate(c.test),
        "diverged_tune": c.diverged_tune,
        "winners_curse_validation": task.sign * (tuning - validation.mean(axis=1)).mean(),
        "winners_curse_test": task.sign * (tuning - by_replicate).mean(),
        "gradients_per_step": c.gradient_evaluations / c.steps if c.steps else None,
        "tuned": len(c.space),
        "edges": [edge._asdict() for edge in edges(c.chosen_positions, c.space)],
    }


def _gradient_ratio(candidate: ContenderScores, baseline: ContenderScores) -> float | None:
    if not (candidate.steps and baseline.steps and baseline.gradient_evaluations):
        return None
    ours, theirs = (c.gradient_evaluations / c.steps for c in (candidate, baseline))
    return ours / theirs


def _verdict(f: VerdictFacts, details: dict[str, Any]) -> Verdict:
    return Verdict(
        task=f.task.name,
        candidate=f.candidate,
        baseline=f.baseline,
        outcome=f.outcome,
        sentence=sentence(f),
        difference=plain(f.interval.mean),
        ci_low=plain(f.interval.low),
        ci_high=plain(f.interval.high),
        p_value=plain(f.interval.p_value),
        p_superior=plain(f.p_superior),
        margin=f.task.margin,
        replicates=f.protocol.replicates,
        unit=f.task.unit,
        details=plain(details),
    )


def plain(value: Any) -> Any:
    """The value as JSON knows it: arrays become lists, NumPy numbers Python's, numbers that are not finite None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check(
    evidence: Sequence[ContenderScores], task: TaskInfo, protocol: Protocol, test_fraction: float | None
) -> None:
    if len(evidence) < 2:
        raise ValueError("a verdict needs a baseline and at least one candidate")
    if not task.generated and test_fraction is None:
        raise ValueError(f"{task.name} has fixed data, so test_fraction (n_test/n_train) is needed for its interval")
    replicates, final_seeds = protocol.replicates, protocol.final_seeds
    for c in evidence:
        for field, shape in (
            ("test", (replicates, final_seeds)),
            ("validation_final", (replicates, final_seeds)),
            ("chosen_validation", (replicates,)),
            ("chosen_positions", (replicates, len(c.space))),
        ):
            if np.shape(getattr(c, field)) != shape:
                raise ValueError(f"{field} of {c.name} has the shape {np.shape(getattr(c, field))}, expected {shape}")
    baseline = evidence[0]
    for c in evidence[1:]:
        for what, ours, theirs in (
            ("trials", c.trials, baseline.trials),
            ("allotted steps", c.allotted_steps, baseline.allotted_steps),
        ):
            if ours != theirs:
                raise NoVerdict(
                    f"{c.name} had {ours} {what}, {baseline.name} {theirs}: with unequal budgets there is no verdict; "
                    "run both with the same --trials and --epochs"
                )
