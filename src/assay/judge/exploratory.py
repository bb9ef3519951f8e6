"""Replicates that were added after an answer had been seen: whoever adds until it suits has no error rate left."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from assay.core.verdict import Earlier, TaskVerdict


def exploratory(verdict: TaskVerdict, earlier: Sequence[TaskVerdict]) -> TaskVerdict:
    """The verdict, marked as exploratory in sentence and details, for these on the same candidate were seen before it.

    Args:
        earlier: of each earlier plan, the first planned one first.
    """
    first, said = earlier[0], verdict.sentence
    sentence = (
        f"Exploratory, for {first.replicates} replicates were planned and their verdict, {first.outcome}, was seen before "
        f"more were added: {said[:1].lower()}{said[1:]}"
    )
    seen = [Earlier(v.replicates, v.outcome, v.difference, v.ci_low, v.ci_high) for v in earlier]
    return replace(verdict, sentence=sentence, details=replace(verdict.details, exploratory=True, earlier=seen))
