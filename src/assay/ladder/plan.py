"""Which rungs a question's ladder can have, as data: their lengths, and the plans of their records. No torch here."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from assay.core import Science
from assay.errors import UsageError
from assay.judge.speedup import FIRST, FURTHEST, factor_of
from assay.record.layout import LADDER

FOLDER = LADDER
MANY = 4  # candidates; of so many one always lies far away, and the ladder would cost as much as most of them together
FINALS = 4  # final runs of a rung's replicate: its own noise adds little to what tuning leaves


def furthest(science: Science) -> int:
    """How many rungs to each side, at most: up to four times and a quarter; of many candidates, twice and half."""
    return FURTHEST if len(science.contenders) - 1 < MANY else FURTHEST // 2


def lengths(science: Science) -> list[int]:
    """The lengths in epochs that a ladder can come to, growing, the planned one in the middle; those that round alike are one.

    Raises:
        UsageError: trainings are so short that those next to the planned length round to it.
    """
    planned, far = science.task.epochs, furthest(science)
    found = {rung: max(1, round(planned * factor_of(rung))) for rung in range(-far, far + 1)}
    if len({found[rung] for rung in FIRST}) < len(FIRST):
        raise UsageError(
            f"--speedup: task {science.task.name} trains for {planned} epoch{'s' * (planned > 1)}, and no other whole number of "
            f"epochs is √2 as long or as short; take --epochs {max(2, planned + 1)}, or more"
        )
    return sorted(set(found.values()))


def first(science: Science) -> list[int]:
    """The lengths that a ladder begins with: next to the planned one, and that. UsageError as in `lengths`."""
    known = lengths(science)
    place = known.index(science.task.epochs)
    return known[place - 1 : place + 2]


def science_of(question: Science, epochs: int) -> Science:
    """The science of a rung of a question, whose stages, looks and pilots are over: K and ranges are what they came to."""
    baseline = replace(question.contenders[0], pilot=UNSET)
    finals = min(FINALS, question.protocol.final_seeds)
    protocol = replace(question.protocol, stages=UNSET, looks=UNSET, pilot=UNSET, final_seeds=finals)
    return replace(question, task=replace(question.task, epochs=epochs), contenders=(baseline,), protocol=protocol)
