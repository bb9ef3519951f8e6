"""The conclusion a one-seed study draws, and why it decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from assay.core import TaskInfo, finite
from assay.core.verdict import PublishedVerdict


def conclude(task: TaskInfo, baseline: str, scores: Mapping[str, float]) -> list[PublishedVerdict]:
    """The published protocol's conclusion for every candidate: whoever scored higher in one run each.

    `scores`: one final test score for each contender by name, file units, NaN where it diverged. The outcome is
    always inconclusive and there is no interval: one run each has none.
    """
    base = scores[baseline]
    verdicts: list[PublishedVerdict] = []
    for candidate in (name for name in scores if name != baseline):
        score = scores[candidate]
        difference = task.sign * (score - base)
        supported = bool(difference > 0 or (np.isfinite(score) and not np.isfinite(base)))
        conclusion: Literal["supported", "not supported"] = "supported" if supported else "not supported"
        sentence = (
            f"By the published protocol, {candidate} scores {_text(score, task)} and {baseline} {_text(base, task)} "
            f"on {task.name}: hypothesis {conclusion}. One seed each, tuned on the test set, decides nothing; "
            "--protocol honest gives a verdict."
        )
        verdicts.append(
            PublishedVerdict(
                task=task.name,
                candidate=candidate,
                baseline=baseline,
                outcome="inconclusive",
                sentence=sentence,
                difference=finite(difference),
                margin=task.margin,
                replicates=1,
                unit=task.unit,
                published_conclusion=conclusion,
            )
        )
    return verdicts


def _text(score: float, task: TaskInfo) -> str:
    if not np.isfinite(score):
        return "nothing (it diverged)"
    return f"{100 * score:.2f} %" if task.scale == 100 else f"{task.scale * score:.4g} {task.unit}"
