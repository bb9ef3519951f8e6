"""Replicates that were added after an answer had been seen: whoever adds until it suits has no error rate left."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from assay.core import Verdict


def exploratory(verdicts: Sequence[Verdict], earlier: Sequence[Sequence[Verdict]]) -> list[Verdict]:
    """The verdicts, marked as exploratory in sentence and details where earlier ones were seen; else as they are.

    Args:
        earlier: the verdicts of each earlier plan, the first planned one first; candidates in the same order.
    """
    return [_marked(v, [before[i] for before in earlier]) if earlier else v for i, v in enumerate(verdicts)]


def _marked(verdict: Verdict, before: Sequence[Verdict]) -> Verdict:
    first = before[0]
    sentence = (
        f"Exploratory, for {first.replicates} replicates were planned and their verdict, {first.outcome}, was seen before "
        f"more were added: {verdict.sentence[:1].lower()}{verdict.sentence[1:]}"
    )
    seen = [
        {name: getattr(v, name) for name in ("replicates", "outcome", "difference", "ci_low", "ci_high")}
        for v in before
    ]
    details = {**verdict.details, "exploratory": True, "earlier": seen}
    return msgspec.structs.replace(verdict, sentence=sentence, details=details)
