"""Is the ladder what the question's record makes it? For `verify`, which looks at each rung by itself; no torch here."""

from __future__ import annotations

from collections.abc import Iterator

from assay.answer.arrays import RecordArrays
from assay.ladder import plan
from assay.ladder.judged import Climbed, further
from assay.record import RunFolder


def faults(folder: RunFolder, arrays: RecordArrays) -> Iterator[str]:
    """What is wrong with the rungs of a question, a line each.

    Raises:
        BrokenRecord: members are missing.
    """
    climbed, science = Climbed.of(folder), arrays.plan.science
    digests = dict(arrays.frame.select("replicate", "digest").iter_rows())
    for rung in folder.rungs():
        epochs, where = rung.plan.science.task.epochs, f"{plan.FOLDER}/{rung.path.name}"
        if rung.plan.science != plan.science_of(science, epochs) or rung.path.name != str(epochs):
            yield f"{where}/plan.json is not what the plan of the question makes it"
        elif rung.plan.numerics != folder.plan.numerics[:1]:
            yield f"{where}/plan.json: its numerics are not those of the question's baseline"
        for replicate, digest in rung.frame().select("replicate", "digest").unique().iter_rows():
            if digest != digests.get(replicate):
                yield f"{where}: replicate {replicate} did not see the data that it has in the question"
    known, here = plan.lengths(science), list(climbed.scores)
    if (
        not set(plan.first(science)) <= set(here) <= set(known)
        or here != known[known.index(here[0]) : known.index(here[-1]) + 1]
    ):
        yield f"{plan.FOLDER}/: the rungs are not those that a ladder begins with, and comes to"
    elif further(climbed):
        yield f"{plan.FOLDER}/: the ladder ends before the rungs that its own scores ask for"
