"""Tuning: one Optuna study for each contender and replicate, by ask and tell, in memory, replayed from the record.

Each ask is a function of the trials told before it: a study that is run again over a record asks for the very same trials
and finds them there. In the second edition of the honest protocol what is asked is `answer.trials`'s to say; else a fresh
sampler's, seeded by (replicate, trial, slot).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from assay import events, seeds
from assay.answer.arrays import Study
from assay.answer.trials import asked, piloted, rounds
from assay.core import PILOT, Contender, Curves, Hyperparameters, Member, Numerics, Phase, Science
from assay.driver.scheduler import Chunk, ChunkStream, chunked
from assay.errors import UsageError
from assay.export.optuna import distribution
from assay.judge.process import Process
from assay.space import Space

if TYPE_CHECKING:
    import optuna

SAMPLER = "assay spread and refined"
WORST = -1e30  # what Optuna is told of a diverged trial; it refuses NaN


Asked = list[tuple["optuna.Trial", Member]]


@dataclass
class Told:
    """What came of a study's trials so far."""

    space: Space
    sign: int
    hyperparameters: list[Hyperparameters] = field(default_factory=list[Hyperparameters])
    scores: list[float] = field(default_factory=list[float])
    floor: float = math.nan

    def add(self, hyperparameters: Hyperparameters, score: float, floor: float) -> None:
        """One more trial's raw validation score, and what a constant prediction scores there."""
        self.hyperparameters.append(hyperparameters)
        self.scores.append(score)
        self.floor = floor

    @property
    def best(self) -> float:
        """The best score, turned."""
        return max((self.sign * s for s in self.scores if math.isfinite(s)), default=-math.inf)

    def process(self, trials: int) -> Process:
        """What the first of the trials say, as `answer` reads them."""
        scores = np.array(self.scores)
        study = Study(
            self.space, self.hyperparameters, scores, np.full(len(scores), np.nan), self.floor, self.sign, True
        )
        return study.process_of(trials)


class Lockstep(NamedTuple):
    """Studies of one contender that go trial by trial together, one a replicate; their trials train in chunks."""

    slot: int
    replicates: range
    chunk_size: int


def in_lockstep(science: Science, numerics: Mapping[int, Numerics], replicates: range) -> list[Lockstep]:
    """All studies of these contenders, by slot; the contenders by turns, so that none is left to the end.

    In the second edition rounds are wide, and all replicates of a contender go together.
    """
    found: list[Lockstep] = []
    for slot, n in numerics.items():
        together = len(replicates) if science.protocol.second else n.chunk_size
        for first in range(0, len(replicates), together):
            found.append(Lockstep(slot, replicates[first : first + together], n.chunk_size))
    return sorted(found, key=lambda together: (together.replicates.start, together.slot))


def ranged(contenders: Sequence[Contender], science: Science) -> tuple[Contender, ...]:
    """The question's contenders with the ranges that this science has for them, which pilots may have found."""
    return tuple(replace(c, space=info.space) for c, info in zip(contenders, science.contenders, strict=True))


def study_stream(
    science: Science,
    contender: Contender,
    together: Lockstep,
    on_event: events.OnEvent,
    *,
    more: int = 0,
    given: Mapping[int, Hyperparameters] | None = None,
) -> ChunkStream:
    """Studies in lockstep: yields the trials that are asked for at once, of them all, is sent the curves, and asks again.

    Args:
        more: trials beyond those of the plan, after them.
        given: by replicate, hyperparameters that its trials have beside those asked for.
    """
    studies = _Studies(science, contender, together, given or {}, on_event)
    by = studies.by_rounds if science.protocol.second else studies.by_sampler
    for at_once in by(more):
        studies.tell((yield chunked([m for _, m in at_once], together.chunk_size)))


class _Studies:
    """Optuna's studies of one contender, a replicate each."""

    def __init__(
        self,
        science: Science,
        contender: Contender,
        together: Lockstep,
        given: Mapping[int, Hyperparameters],
        on_event: events.OnEvent,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.science, self.contender, self.slot, self.given = science, contender, together.slot, given
        self.on_event, self.sign = on_event, science.task.sign
        self.optuna = {k: optuna.create_study(direction="maximize") for k in together.replicates}
        self.distributions = {name: distribution(dimension) for name, dimension in contender.space.items()}
        space = _as_on_record(science, together.slot, contender)
        self.told = {k: Told(space, science.task.sign) for k in together.replicates}
        self.asked: Asked = []

    def by_sampler(self, more: int) -> Iterator[Asked]:
        """Trials as TPE asks for them: its random start-up trials at once, for they don't depend on each other."""
        import optuna

        options = self.science.protocol.sampler_options
        for at_once in _asked_at_once(self.science.protocol.trials, more, int(options["n_startup_trials"])):
            self.asked = []
            for t in at_once:
                for k, study in self.optuna.items():
                    seed = seeds.sampler(self.science.seed, k, t, self.slot) % 2**32
                    study.sampler = optuna.samplers.TPESampler(seed=seed, **options)  # type: ignore[arg-type]
                    self._ask(k, t)
            yield self.asked

    def by_rounds(self, more: int) -> Iterator[Asked]:
        """Trials as the second edition asks for them."""
        for round_ in rounds(self.science.protocol.trials, more):
            self.asked = []
            wanted = {
                k: asked(self.science, self.slot, k, round_, partial(self.told[k].process, round_.trials.start))
                for k in self.optuna
            }
            for place, t in enumerate(round_.trials):
                for k, study in self.optuna.items():
                    study.enqueue_trial(wanted[k][place])
                    self._ask(k, t)
            yield self.asked

    def _ask(self, replicate: int, trial: int) -> None:
        asked = self.optuna[replicate].ask(self.distributions)
        hyperparameters = {**self.given.get(replicate, {}), **asked.params}
        self.asked.append((asked, member(self.science, self.slot, "tune", replicate, trial, hyperparameters)))

    def tell(self, curves: Curves) -> None:
        """What came of the trials that were asked for last."""
        for place, (trial, m) in enumerate(self.asked):
            told, score = self.told[m.replicate], float(curves.validation[place, -1])
            told.add(m.hyperparameters, score, curves.data[place].validation_floor)
            turned = self.sign * score if math.isfinite(score) else WORST
            self.optuna[m.replicate].tell(trial, turned)
            self.on_event(events.TrialDone(self.contender.name, m.replicate, m.index, score, self.sign * told.best))


def pilot_stream(
    science: Science, slot: int, contender: Contender, chunk_size: int, on_event: events.OnEvent
) -> ChunkStream:
    """A contender's pilot: trials on a data set of its own, from whose scores its range follows (`answer.reached`).

    Raises:
        UsageError: none of its trials came to an end.
    """
    told = Told(_as_on_record(science, slot, contender), science.task.sign)
    for trials, wanted in piloted(science, slot, told.process):
        places = zip(trials, wanted, strict=True)
        members = [member(science, slot, "pilot", PILOT, t, values) for t, values in places]
        curves = yield chunked(members, chunk_size)
        for place, m in enumerate(members):
            score = float(curves.validation[place, -1])
            told.add(m.hyperparameters, score, curves.data[place].validation_floor)
            on_event(events.TrialDone(contender.name, PILOT, m.index, score, told.sign * told.best))
    if not any(map(math.isfinite, told.scores)):
        tried = contender.space["lr"]
        raise UsageError(
            f"{contender.name} diverged in every trial of its pilot, lr in {tried}: give a range that it can be trained in, as "
            f"in --space {contender.name}.lr=1e-9..1e-6:log"
        )


def _as_on_record(science: Science, slot: int, contender: Contender) -> Space:
    """The contender's space in the order of the plan, in which places are counted there and whenever they are computed again."""
    return {name: contender.space[name] for name in science.contenders[slot].space}


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
    """A training of the plan, with its seeds; those of a pilot are of no replicate."""
    own_seeds = seeds.of_member(science.seed, science.protocol.name, replicate, phase, index)
    return Member(slot, phase, replicate, index, hyperparameters, **own_seeds)
