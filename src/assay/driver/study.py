"""Tuning: one Optuna study for each contender and replicate, by ask and tell, in memory, replayed from the record.

A fresh sampler, seeded by (replicate, trial, slot), makes each ask a function of the trials told before it: a study
that is run again over a record asks for the very same trials and finds them there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from assay import events, seeds
from assay.core import Contender, Hyperparameters, Member, Numerics, Phase, Science
from assay.driver.scheduler import Chunk, ChunkStream, chunked
from assay.export.optuna import distribution

SAMPLER_OPTIONS: dict[str, int | bool] = {
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": True,
    "constant_liar": False,
}
WORST = -1e30  # what Optuna is told of a diverged trial; it refuses NaN


class Lockstep(NamedTuple):
    """Studies of one contender that go trial by trial together, one a replicate; their trials train in chunks."""

    slot: int
    replicates: range
    chunk_size: int


def in_lockstep(numerics: Mapping[int, Numerics], replicates: range) -> list[Lockstep]:
    """All studies of these contenders, by slot; the contenders by turns, so that none is left to the end."""
    found = [
        Lockstep(slot, replicates[first : first + n.chunk_size], n.chunk_size)
        for slot, n in numerics.items()
        for first in range(0, len(replicates), n.chunk_size)
    ]
    return sorted(found, key=lambda together: (together.replicates.start, together.slot))


def study_stream(
    science: Science,
    contender: Contender,
    together: Lockstep,
    on_event: events.OnEvent,
    *,
    more: int = 0,
    given: Mapping[int, Hyperparameters] | None = None,
) -> ChunkStream:
    """Studies in lockstep: yields trial t of them all, is sent the curves, and asks for trial t + 1.

    The sampler's random start-up trials don't depend on each other, so they are asked for at once. `more`: trials beyond
    those of the plan, after them. `given`: by replicate, hyperparameters that its trials have beside those asked for.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    studies = {k: optuna.create_study(direction="maximize") for k in together.replicates}
    distributions = {name: distribution(dimension) for name, dimension in contender.space.items()}
    trials, options, sign = science.protocol.trials, science.protocol.sampler_options, science.task.sign
    best = dict.fromkeys(together.replicates, -math.inf)
    for at_once in _asked_at_once(trials, more, int(options["n_startup_trials"])):
        asked: list[tuple[optuna.Trial, Member]] = []
        for t in at_once:
            for k, study in studies.items():
                seed = seeds.sampler(science.seed, k, t, together.slot) % 2**32
                study.sampler = optuna.samplers.TPESampler(seed=seed, **options)  # type: ignore[arg-type]
                trial = study.ask(distributions)
                hyperparameters = {**(given or {}).get(k, {}), **trial.params}
                asked.append((trial, member(science, together.slot, "tune", k, t, hyperparameters)))
        curves = yield chunked([m for _, m in asked], together.chunk_size)
        for (trial, m), score in zip(asked, curves.validation[:, -1].tolist(), strict=True):
            turned = sign * score if math.isfinite(score) else -math.inf
            best[m.replicate] = max(best[m.replicate], turned)
            studies[m.replicate].tell(trial, turned if math.isfinite(turned) else WORST)
            on_event(events.TrialDone(contender.name, m.replicate, m.index, score, sign * best[m.replicate]))


def _asked_at_once(trials: int, more: int, startup: int) -> list[range]:
    """The trials that are asked for at once: the start-up's, then one by one; first the plan's, then those beyond."""
    asked: list[range] = []
    for start, stop in ((0, trials), (trials, trials + more)):
        at_once = min(max(start, startup), stop)
        asked += [range(start, at_once)] if start < at_once else []
        asked += [range(t, t + 1) for t in range(at_once, stop)]
    return asked


def final_streams(
    science: Science, slot: int, chosen: Mapping[int, Hyperparameters], chunk_size: int, first: int = 0
) -> list[ChunkStream]:
    """The final runs of one contender: r seeds, from `first`, in each replicate, at the hyperparameters chosen there.

    They don't depend on each other, so each chunk is a stream by itself.
    """
    seeds_ = range(first, first + science.protocol.final_seeds)
    members = [member(science, slot, "final", k, i, dict(values)) for k, values in chosen.items() for i in seeds_]
    return [one_chunk(chunk) for chunk in chunked(members, chunk_size)]


def one_chunk(chunk: Chunk) -> ChunkStream:
    """A stream that asks once."""
    yield [chunk]


def member(
    science: Science, slot: int, phase: Phase, replicate: int, index: int, hyperparameters: dict[str, Any]
) -> Member:
    """A training of the plan, with its seeds."""
    own_seeds = seeds.of_member(science.seed, science.protocol.name, replicate, phase, index)
    return Member(slot, phase, replicate, index, hyperparameters, **own_seeds)
