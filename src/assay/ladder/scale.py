"""A suite over one task's sizes: does a candidate's advantage last as they grow?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from assay.answer.cells import Arms, Judged
from assay.core import finite, plain
from assay.core.verdict import Scale
from assay.judge import scale
from assay.judge.digits import minus
from assay.judge.speedup import log_factors
from assay.judge.speedup_sentence import factor
from assay.ladder.judged import Climbed, reserved
from assay.record.suite import Suite

WORDS = {"speedup": "ln(speed-up)", "difference": "the difference in margins"}  # what a slope is of


def sizes_of(suite: Suite) -> tuple[str, list[float]] | None:
    """The axis of a suite that is one task at several sizes, three at least, and the sizes; else None."""
    if len(suite.varied) != 1 or len({entry.task for entry in suite.entries}) != 1:
        return None
    (axis,) = suite.varied
    sizes = [float(v) for v in suite.axes[axis] if isinstance(v, int | float) and v > 0]
    return (axis, sizes) if len(suite.axes[axis]) == len(sizes) >= scale.FEWEST else None


def with_slopes(
    suite: Suite, runs: Sequence[Judged], ladders: Sequence[Climbed] | None, content: dict[str, Any]
) -> dict[str, Any]:
    """The content of a suite's `result.json` with the slope of each candidate's advantage, of its speed-up with ladders."""
    sized = sizes_of(suite)
    if sized is None or len(runs) != len(sized[1]) or any(run.content is None or not run.second for run in runs):
        return content  # the first edition knows no slopes
    axis, sizes = sized
    verdicts = [{**v, **_fields(suite, axis, sizes, runs, ladders, v)} for v in content["verdicts"]]
    return {**content, "verdicts": verdicts}


def _fields(
    suite: Suite,
    axis: str,
    sizes: list[float],
    runs: Sequence[Judged],
    ladders: Sequence[Climbed] | None,
    verdict: dict[str, Any],
) -> dict[str, Any]:
    name = verdict["candidate"]
    if any(run.verdict(name) is None for run in runs):
        return {}
    found = (None if ladders is None else _in_steps(name, runs, ladders)) or _in_margins(name, runs)
    own = [values[: run.first] for run, values in zip(runs, found.by_replicate, strict=True)]
    slope = scale.slope(sizes, own, suite.alpha, len(suite.candidates))
    order = np.argsort(sizes)
    ends = [(sizes[i], found.shown(found.values[i])) for i in (order[0], order[-1])]
    known = Scale(
        axis=axis,
        sizes=sizes,
        of=found.of,
        values=found.values,
        lows=found.lows,
        highs=found.highs,
        slope=slope.mean,
        low=finite(slope.low),
        high=finite(slope.high),
    )
    told = scale.sentence(axis.replace("_", " "), ends, slope, WORDS[found.of])
    if ladders is not None and found.of == "difference":
        told += f" What it is worth in steps isn't settled at every {axis.replace('_', ' ')}, so the slope is of the difference."
    return {"scale": plain(known), "sentence": f"{verdict['sentence']} {reserved(verdict, told)}"}


class _Advantages(NamedTuple):
    """A candidate's at each size: of each replicate (K,), over all with its ends, and how one is written."""

    of: Literal["speedup", "difference"]
    by_replicate: list[np.ndarray]
    values: list[float]
    lows: list[float | None]
    highs: list[float | None]
    shown: Callable[[float], str]


def _in_steps(name: str, runs: Sequence[Judged], ladders: Sequence[Climbed]) -> _Advantages | None:
    """Speed-ups; None where there isn't a settled one at every size."""
    slots = [run.slot(name) for run in runs]
    worths = [climbed.worths[slot - 1] for climbed, slot in zip(ladders, slots, strict=True)]
    if any(w is None or not w.settled for w in worths) or not all(climbed.helps for climbed in ladders):
        return None
    known = [w for w in worths if w is not None]
    logs = [
        log_factors(c.question.differences(slot), c.ladder, w) for c, slot, w in zip(ladders, slots, known, strict=True)
    ]
    values = [w.factor or math.nan for w in known]
    return _Advantages("speedup", logs, values, [w.low for w in known], [w.high for w in known], factor)


def _in_margins(name: str, runs: Sequence[Judged]) -> _Advantages:
    """Differences in margins."""
    arms = [Arms(run, name) for run in runs]
    found = [arm.interval(1 - arm.run.level) for arm in arms]
    return _Advantages(
        "difference",
        [arm.differences for arm in arms],
        [float(arm.differences.mean()) for arm in arms],
        [finite(i.low) for i in found],
        [finite(i.high) for i in found],
        lambda value: minus(f"{value:+.2f} margins"),
    )
