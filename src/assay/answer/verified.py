"""Are the trials on record those that the plan's seeds, and the trials before them, ask for? (Second edition only.)"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

from msgspec import UNSET

from assay.answer.arrays import RecordArrays
from assay.answer.trials import asked, piloted, rounds
from assay.core import Hyperparameters, Plan

CLOSE = 1e-9  # relative: another machine's mathematics library may round its last digit differently


def faults(plan: Plan, arrays: RecordArrays) -> Iterator[str]:
    """A line for each pilot and study with other trials. `arrays`: under the plan that `plan` has come to by now."""
    if arrays.protocol.edition is UNSET:
        return
    begun = RecordArrays(plan, arrays.frame)  # with the ranges that pilots begin with
    for slot, contender in enumerate(plan.science.contenders):
        pilot = begun.pilot(slot)
        if pilot is not None:
            wanted = [values for _, round_ in piloted(plan.science, slot, pilot.process_of) for values in round_]
            if not _all_alike(wanted, pilot.hyperparameters):
                yield f"{contender.name}: the trials of its pilot are not those that the plan asks for"
        for k in range(arrays.protocol.replicates):
            study, science = arrays.study(slot, k), arrays.plan.science
            for round_ in rounds(arrays.protocol.trials):
                wanted = asked(science, slot, k, round_, partial(study.process_of, round_.trials.start))
                if not _all_alike(wanted, [study.hyperparameters[t] for t in round_.trials]):
                    yield f"{contender.name}, replicate {k}: its trials are not those that the plan asks for"
                    break


def alike(values: Hyperparameters, others: Hyperparameters) -> bool:
    """Whether hyperparameters are the same, numbers to rounding."""
    return values.keys() == others.keys() and all(_equal(values[name], others[name]) for name in values)


def _all_alike(wanted: Sequence[Hyperparameters], there: Sequence[Hyperparameters]) -> bool:
    return len(wanted) == len(there) and all(alike(w, t) for w, t in zip(wanted, there, strict=True))


def _equal(a: float | int | str | bool, b: float | int | str | bool) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=CLOSE)
    return type(a) is type(b) and a == b
