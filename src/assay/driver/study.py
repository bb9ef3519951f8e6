"""Tuning: one Optuna study for each contender and replicate, by ask and tell, in memory, replayed from the record.

A fresh sampler, seeded by (replicate, trial, slot), makes each ask a function of the trials told before it: a study
that is run again over a record asks for the very same trials and finds them there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from assay import events, seeds
from assay.core import Contender, Hyperparameters, Member, Numerics, Phase, Science
from assay.driver.scheduler import Lane, chunked
from assay.space import Choice, Dimension, Float, Int

if TYPE_CHECKING:
    import optuna

SAMPLER_OPTIONS: dict[str, int | bool] = {
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": True,
    "constant_liar": False,
}


def study(
    science: Science,
    slot: int,
    contender: Contender,
    replicates: Sequence[int],
    width: int,
    on_event: events.OnEvent,
    *,
    more: int = 0,
    given: Mapping[int, Hyperparameters] | None = None,
) -> Lane[None]:
    """The studies of one contender over some replicates, in lockstep: trial t of them all is one population.

    The sampler's random start-up trials don't depend on each other, so they are asked for at once. `more`: trials beyond
    those of the plan, after them. `given`: by replicate, hyperparameters that its trials have beside those asked for.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    studies = {k: optuna.create_study(direction="maximize") for k in replicates}
    distributions = {name: distribution(dimension) for name, dimension in contender.space.items()}
    trials, startup = science.protocol.trials, int(science.protocol.sampler_options["n_startup_trials"])
    best = dict.fromkeys(replicates, -math.inf)
    for together in _together(trials, more, startup):
        asked: list[tuple[optuna.Trial, Member]] = []
        for t in together:
            for k in replicates:
                studies[k].sampler = _sampler(science, k, t, slot)
                trial = studies[k].ask(distributions)
                asked.append((trial, member(science, slot, "tune", k, t, {**(given or {}).get(k, {}), **trial.params})))
        curves = yield chunked([m for _, m in asked], width)
        for i, (trial, m) in enumerate(asked):
            score = float(curves.validation[i, -1])
            turned = science.task.sign * score
            best[m.replicate] = max(best[m.replicate], turned if math.isfinite(turned) else -math.inf)
            # Optuna refuses NaN; a diverged trial is told as the worst there is
            studies[m.replicate].tell(trial, turned if math.isfinite(turned) else _WORST)
            on_event(
                events.TrialDone(contender.name, m.replicate, m.index, score, science.task.sign * best[m.replicate])
            )


def _together(trials: int, more: int, startup: int) -> list[range]:
    """The trials that are asked for at once: the start-up's, then one by one; first the plan's, then those beyond."""
    asked: list[range] = []
    for start, stop in ((0, trials), (trials, trials + more)):
        at_once = min(max(start, startup), stop)
        asked += [range(start, at_once)] if start < at_once else []
        asked += [range(t, t + 1) for t in range(at_once, stop)]
    return asked


_WORST = -1e30


def lanes(numerics: Mapping[int, Numerics], replicates: range) -> list[tuple[int, int, range]]:
    """(slot, width, replicates) of every lane of studies; the contenders by turns, so that none is left to the end."""
    found = [
        (slot, n.width, replicates[first : first + n.width])
        for slot, n in numerics.items()
        for first in range(0, len(replicates), n.width)
    ]
    return sorted(found, key=lambda lane: (lane[2].start, lane[0]))


def finals(science: Science, slot: int, chosen: Mapping[int, Hyperparameters], first: int = 0) -> list[Member]:
    """The final runs of one contender: r seeds, from `first`, in each replicate, at the hyperparameters chosen there."""
    seeds_ = range(first, first + science.protocol.final_seeds)
    return [member(science, slot, "final", k, i, dict(values)) for k, values in chosen.items() for i in seeds_]


def final(chunk: list[Member]) -> Lane[None]:
    """A lane of one chunk: final runs don't depend on each other."""
    yield [chunk]


def member(
    science: Science, slot: int, phase: Phase, replicate: int, index: int, hyperparameters: dict[str, Any]
) -> Member:
    """A training of the plan, with its seeds."""
    own_seeds = seeds.of_member(science.seed, science.protocol.name, replicate, phase, index)
    return Member(slot, phase, replicate, index, hyperparameters, **own_seeds)


def _sampler(science: Science, replicate: int, trial: int, slot: int) -> optuna.samplers.BaseSampler:
    import optuna

    seed = seeds.sampler(science.seed, replicate, trial, slot) % 2**32
    return optuna.samplers.TPESampler(seed=seed, **science.protocol.sampler_options)  # type: ignore[arg-type]


def distribution(dimension: Dimension) -> Any:
    """The dimension as Optuna knows it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case Float(low, high, log):
            return FloatDistribution(low, high, log=log)
        case Int(low, high, log):
            return IntDistribution(low, high, log=log)
        case Choice(options):
            return CategoricalDistribution(options)
