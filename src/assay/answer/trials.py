"""Which trials the second edition of the honest protocol asks for: a function of the plan, its seeds and earlier rounds.

So `verify` can tell them again, and a run that is begun anew asks for the very same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from assay import seeds
from assay.core import PILOT, ContenderInfo, Hyperparameters, Science, digest
from assay.judge import design, pilot
from assay.judge.process import Process
from assay.space import Choice, at


class Round(NamedTuple):
    """Trials that are asked for at once. `part` counts rounds; `cells` parts of the range were tried before, 0 in a first."""

    part: int
    trials: range
    cells: int


def rounds(trials: int, more: int = 0) -> list[Round]:
    """The rounds of a study of n trials, and of `more` after them: each a spread one and a refined one."""
    found: list[Round] = []
    for part, (start, count) in enumerate(((0, trials), (trials, more))):
        first = design.first_round(count)
        found.append(Round(2 * part, range(start, start + first), 0))
        found.append(Round(2 * part + 1, range(start + first, start + count), first))
    return [found_ for found_ in found if found_.trials]


def asked(
    science: Science, slot: int, replicate: int, round_: Round, process: Callable[[], Process]
) -> list[Hyperparameters]:
    """The hyperparameters of a round of one contender's study; `process` tells what the trials before it came to."""
    info, carried = science.contenders[slot], science.protocol.carried
    if carried:
        return [dict(carried.chosen[slot][replicate])]
    seed, count = _seed(science, slot, replicate, round_.part), len(round_.trials)
    spread = partial(design.spread, count, _options(info), seed)
    places = design.refined(process(), count, round_.cells, seed) if round_.cells else spread()
    return [at(info.space, place) for place in places]


def piloted(
    science: Science, slot: int, process: Callable[[int], Process]
) -> Iterator[tuple[range, list[Hyperparameters]]]:
    """The rounds of a contender's pilot, one after the other; `process(n)` tells what its first n trials came to."""
    info, count = science.contenders[slot], int(science.protocol.pilot or 0)
    column = list(info.space).index("lr")
    for round_ in rounds(count):
        yield round_.trials, asked(science, slot, PILOT, round_, partial(process, round_.trials.start))
    each = science.protocol.pilot_goes_on
    tried = range(count, science.protocol.pilot_most + 1, each)
    bests = (pilot.best_of(process(n), column) for n in tried)
    for part, (low, high) in enumerate(pilot.further(bests)):
        seed = _seed(science, slot, PILOT, len(rounds(count)) + part)
        places = design.spread(each, _options(info), seed)
        places[:, column] = low + (high - low) * places[:, column]
        start = count + part * each
        yield range(start, start + each), [at(info.space, place) for place in places]


def _options(info: ContenderInfo) -> list[int]:
    return [len(d.options) if isinstance(d, Choice) else 0 for d in info.space.values()]


def _seed(science: Science, slot: int, replicate: int, part: int) -> int:
    info = science.contenders[slot]
    return seeds.design(science.seed, replicate, part, slot, digest((info.name, info.reference, info.space)))
