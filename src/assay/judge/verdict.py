"""From arrays to verdicts: everything the judge says, in one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from msgspec import UNSET

from assay import seeds
from assay.core import Outcome, Protocol, Stages, TaskInfo, finite
from assay.core.verdict import ContenderFacts, Details, Survivors, TaskVerdict
from assay.errors import NoVerdict
from assay.judge import stability
from assay.judge.collapse import collapsed, counted
from assay.judge.decide import Interval, by_the_margin, outcome, resolution
from assay.judge.divergence import floored, loser
from assay.judge.edges import held_back, wider_spaces
from assay.judge.pair import ContenderScores, Pair, Question, second_opinions
from assay.judge.power import settling_margin
from assay.judge.second_opinion import holm, sign_flip_p
from assay.judge.sentence import DEFAULT_SEED, VerdictFacts, sentence


def judge(
    contenders: Sequence[ContenderScores],
    task: TaskInfo,
    protocol: Protocol,
    test_floor: float | np.ndarray,
    validation_floor: float | np.ndarray,
    seed: int = DEFAULT_SEED,
    test_fraction: float | None = None,
    step: float = 0.0,
) -> list[TaskVerdict]:
    """The honest verdict for every candidate; the first contender is the baseline.

    The floors are the constant predictor's scores, file units, one number or one for each replicate (K,).
    `test_fraction`, n_test/n_train, is needed for a task of fixed data and unused for a generated one. `seed` is the
    plan's; resampling has seeds of its own, hashed from it. `step`: of a score, as `resolution` takes it.

    ValueError on shapes that do not fit, a missing `test_fraction`, or a margin of 0 or below. NoVerdict if the budgets
    differ or every final run of a candidate and of the baseline diverged.
    """
    _check(contenders, task, protocol, test_fraction)
    baseline, *rest = contenders
    theirs, *turned = (task.sign * floored(c.test, test_floor) for c in contenders)
    fraction = None if task.generated else test_fraction
    question = Question(task, protocol, len(rest), fraction, seed, resolution([theirs, *turned], step))
    if isinstance(protocol.stages, Stages):
        first = slice(protocol.stages.first)
        then = replace(question, resolution=resolution([s[first] for s in (theirs, *turned)], step))
        differences = [(ours - theirs).mean(axis=1) for ours in turned]
        asked = then.asked_by(differences, [bool(c.twins(baseline)[first].all()) for c in rest])
        question = replace(question, asked=asked)
    pairs = [Pair(question, c, baseline, ours, theirs) for c, ours in zip(rest, turned, strict=True)]
    adjusted = holm(np.array([pair.interval.p_value for pair in pairs]))
    by_itself = [_by_itself(c, question, test_floor, validation_floor) for c in contenders]
    spaces = wider_spaces({c.name: (c.edges(protocol), c.space) for c in contenders})
    wider = {name: {hp: str(dimension) for hp, dimension in space.items()} for name, space in spaces.items()}
    return [
        _verdict(pair, slot, by_itself[slot], by_itself[0], float(adjusted[slot - 1]), wider)
        for slot, pair in enumerate(pairs, start=1)
    ]


def _facts(pair: Pair, wider: dict[str, dict[str, str]]) -> VerdictFacts:
    """What is to be said of one candidate; `wider`: ranges that should be, by contender and hyperparameter."""
    question, candidate, baseline, interval = pair.question, pair.candidate, pair.baseline, pair.interval
    task = question.task
    loses = loser(candidate.test, baseline.test, candidate.name, baseline.name)
    by_interval = outcome(interval.low, interval.high, task.margin)
    decided: Outcome = by_interval if loses is None else "worse" if loses == "candidate" else "better"
    held = held_back(decided, *((c.edges(question.protocol), c.space) for c in (candidate, baseline)))
    held = held if question.protocol.edges == "hold back" else None
    ours, theirs = (int(np.sum(~np.isfinite(c.test))) for c in (candidate, baseline))
    some = (ours or theirs) and loses is None
    survivors = pair.among_survivors if some else None
    return VerdictFacts(
        task=task,
        protocol=question.protocol,
        candidate=candidate.name,
        baseline=baseline.name,
        outcome="inconclusive" if held else decided,
        held_back=held,
        interval=interval,
        p_superior=pair.superiority.mean,
        candidates=question.candidates,
        seed=question.seed,
        gradient_ratio=pair.gradient_ratio,
        tuned=(len(candidate.space), len(baseline.space)),
        diverged=(ours, theirs),
        loser=loses,
        survivors=survivors,
        shape=pair.shape if question.protocol.second else None,
        edges=tuple(
            (c.name, edge, c.space[edge.hyperparameter])
            for c in (candidate, baseline)
            for edge in c.edges(question.protocol)
        ),
        wider=wider,
        settling_margin=settling_margin(interval.low, interval.high) if interval.exists else None,
        settling_replicates=pair.settling_replicates(decided),
        asked=question.wanted,
        same=pair.same and question.protocol.second and interval.exists,
    )


def _verdict(
    pair: Pair, slot: int, candidate: ContenderFacts, baseline: ContenderFacts, holm_p: float,
    wider: dict[str, dict[str, str]],
) -> TaskVerdict:  # fmt: skip
    facts, question, interval, differences = _facts(pair, wider), pair.question, pair.interval, pair.differences
    task, alpha = question.task, question.protocol.alpha
    certain = facts.outcome in ("better", "worse") and facts.loser is None
    details = Details(
        candidate=candidate,
        baseline=baseline,
        differences=differences.tolist(),
        level=interval.level,
        candidates=question.candidates,
        by_the_margin=certain and by_the_margin(interval.low, interval.high, task.margin),
        sd=finite(interval.sd),
        se=finite(interval.se),
        test_fraction=question.test_fraction,
        p_superior_low=finite(pair.superiority.low),
        p_superior_high=finite(pair.superiority.high),
        sign_flip_p=finite(sign_flip_p(differences, seeds.hashed("resampling", question.seed, slot=slot))),
        **second_opinions(pair, slot),
        holm_p=finite(holm_p),
        settling_margin=facts.settling_margin,
        settling_replicates=facts.settling_replicates,
        replicates_asked=facts.asked if question.asked else UNSET,
        all_diverged=facts.loser,
        survivors=_recorded(facts.survivors, len(pair.survivors)),
        without_collapses=_recorded(facts.shape and facts.shape.without, len(pair.whole)) or UNSET,
        gradient_ratio=facts.gradient_ratio,
        stability=stability.compare(pair.ours, pair.theirs, alpha, question.candidates, question.overlap),
        wider=wider,
        held_back=facts.held_back or UNSET,
    )
    return TaskVerdict(
        task=task.name,
        candidate=facts.candidate,
        baseline=facts.baseline,
        outcome=facts.outcome,
        sentence=sentence(facts),
        **interval.recorded(),
        p_superior=finite(facts.p_superior),
        margin=task.margin,
        replicates=question.protocol.replicates,
        unit=task.unit,
        details=details,
    )


def _recorded(some: tuple[Interval, Outcome] | None, replicates: int) -> Survivors | None:
    if some is None:
        return None
    found, decided = some
    return Survivors(finite(found.mean), finite(found.low), finite(found.high), decided, replicates)


def _by_itself(
    c: ContenderScores, question: Question, test_floor: float | np.ndarray, validation_floor: float | np.ndarray
) -> ContenderFacts:
    test, validation = floored(c.test, test_floor), floored(c.validation_final, validation_floor)
    tuning = floored(c.chosen_validation, validation_floor)
    task, protocol = question.task, question.protocol
    by_replicate = test.mean(axis=1)
    fell = collapsed(task.sign * test, task.margin) & np.isfinite(c.test)
    return ContenderFacts(
        name=c.name,
        score_mean=float(by_replicate.mean()),
        score_sd=float(by_replicate.std(ddof=1)) if len(by_replicate) > 1 else None,
        diverged_final=float(np.mean(~np.isfinite(c.test))),
        diverged_tune=c.diverged_tune,
        winners_curse_validation=float(task.sign * (tuning - validation.mean(axis=1)).mean()),
        winners_curse_test=float(task.sign * (tuning - by_replicate).mean()),
        gradients_per_step=c.gradients_per_step,
        tuned=len(c.space),
        edges=c.edges(protocol),
        collapsed=counted(fell, protocol.alpha) if protocol.second else UNSET,
    )


def _check(
    contenders: Sequence[ContenderScores], task: TaskInfo, protocol: Protocol, test_fraction: float | None
) -> None:
    if len(contenders) < 2:
        raise ValueError("a verdict needs a baseline and at least one candidate")
    if not task.generated and test_fraction is None:
        raise ValueError(f"{task.name} has fixed data, so test_fraction (n_test/n_train) is needed for its interval")
    replicates, final_seeds = protocol.replicates, protocol.final_seeds
    for c in contenders:
        for field, shape in (
            ("test", (replicates, final_seeds)),
            ("validation_final", (replicates, final_seeds)),
            ("chosen_validation", (replicates,)),
            ("chosen_positions", (replicates, len(c.space))),
        ):
            if np.shape(getattr(c, field)) != shape:
                raise ValueError(f"{field} of {c.name} has the shape {np.shape(getattr(c, field))}, expected {shape}")
    baseline = contenders[0]
    for c in contenders[1:]:
        for what, ours, theirs in (
            ("trials", c.trials, baseline.trials),
            ("allotted steps", c.allotted_steps, baseline.allotted_steps),
        ):
            if ours != theirs:
                raise NoVerdict(
                    f"{c.name} had {ours} {what}, {baseline.name} {theirs}: with unequal budgets there is no verdict; "
                    "run both with the same --trials and --epochs"
                )
