"""What submissions claim, question by question: beside each claim the other runs of its question, and whether they bear it out.

Two runs are of one question where task and options, budget of training, baseline and candidate with their sources and schedules
are the same. With another root seed they share neither data sets nor trials nor weights (of a fixed data set, the partitions),
so what one says of the other is independent of how it was picked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from assay.core import ContenderInfo, Science
from assay.judge.contradiction import exceeds
from assay.openboard.received import Received
from assay.record.documents import read_data
from assay.record.suite import runs

NAMED = 4  # tasks, of which a claim is called by their names
ALPHA = 0.05  # one-sided: so often a claim that is true and wasn't picked is marked by another run


class Other(NamedTuple):
    """Another run of the question: `p` is small where the claim is more than it bears out."""

    claim: Claim
    p: float

    @property
    def contradicts(self) -> bool:
        """By chance alone it says so of one claim in twenty."""
        return self.p < ALPHA


@dataclass(frozen=True)
class Claim:
    """One candidate's verdict in one submission; `differences` (K,) are in margins, means over tasks where there are several."""

    one: Received
    verdict: dict[str, Any]
    where: str
    options: dict[str, str]
    question: tuple[Any, ...]
    seed: int
    differences: np.ndarray
    others: tuple[Other, ...] = ()

    @property
    def skeptical(self) -> list[Other]:
        """The runs that it is more than they bear out."""
        return [other for other in self.others if other.contradicts]

    @property
    def mean(self) -> float:
        """In margins."""
        return float(self.differences.mean())

    @property
    def ends(self) -> tuple[float, float] | None:
        """Of the verdict's interval, in margins."""
        low, high, margin = self.verdict["ci_low"], self.verdict["ci_high"], self.verdict.get("margin", 1.0)
        return None if low is None or high is None else (low / margin, high / margin)


def claims(received: Iterable[Received]) -> list[Claim]:
    """All of them, each with the other runs of its question, those on one task together, the largest difference first."""
    alone = [claim for one in received for claim in _claims_of(one)]
    by_question: dict[tuple[Any, ...], list[Claim]] = defaultdict(list)
    for claim in alone:
        by_question[claim.question].append(claim)
    found = [_beside(claim, by_question[claim.question]) for claim in alone]
    return sorted(found, key=lambda c: (c.where, sorted(c.options.items()), -c.mean))


def _beside(claim: Claim, same: Sequence[Claim]) -> Claim:
    others = [Other(other, exceeds(claim.differences, other.differences)) for other in same if other.seed != claim.seed]
    return replace(claim, others=tuple(others))


def _claims_of(one: Received) -> list[Claim]:
    by_task = [
        (science, {v["candidate"]: v for v in read_data(folder / "result.json")["verdicts"]})
        for science, folder in zip(one.sciences, runs(one.record).values(), strict=True)
    ]
    found: list[Claim] = []
    for verdict in one.content["verdicts"]:
        name = verdict["candidate"]
        each = [_in_margins(verdicts[name]) for _, verdicts in by_task if name in verdicts]
        if verdict.get("difference") is None or any(values is None for values in each) or not each:
            continue  # nothing is claimed
        known = [values for values in each if values is not None]
        common = min(map(len, known))
        differences = np.mean([values[:common] for values in known], axis=0)
        first = one.sciences[0]
        tasks = list(dict.fromkeys(science.task.name for science, verdicts in by_task if name in verdicts))
        where = ", ".join(tasks) if len(tasks) <= NAMED else f"{len(tasks)} tasks"
        options = {} if one.across else {option: str(value) for option, value in first.task.options.items()}
        question = tuple(_question(science, name) for science, verdicts in by_task if name in verdicts)
        found.append(Claim(one, verdict, where, options, question, first.seed, differences))
    return found


def _in_margins(verdict: dict[str, Any]) -> np.ndarray | None:
    differences = (verdict.get("details") or {}).get("differences")
    return None if not differences else np.array(differences, dtype=float) / verdict["margin"]


def _question(science: Science, candidate: str) -> tuple[Any, ...]:
    """What has to be the same: all but trials, replicates, seeds and ranges."""
    task = science.task
    asked = (task.reference, task.source, tuple(sorted(task.options.items())), task.epochs, science.protocol.name)
    return (*asked, *(_identity(c) for c in science.contenders if c is science.contenders[0] or c.name == candidate))


def _identity(info: ContenderInfo) -> tuple[Any, ...]:
    """Wherever its file lies: a reference's last part, and the source's digest."""
    return info.reference.rpartition(":")[2], info.source, str(info.schedule), tuple(sorted(info.fixed.items()))
