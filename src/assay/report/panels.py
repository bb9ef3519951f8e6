"""Which hyperparameters the score figures show, and the trials in each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from assay.report.figures.scores import MOST_PANELS, Panel, Trials
from assay.report.reading import Arm, Reading
from assay.space import Choice, Dimension, Float


def panels(reading: Reading) -> list[Panel]:
    """A panel a hyperparameter: those that most contenders tune first, four at most."""
    names = list(dict.fromkeys(name for arm in reading.arms for name in arm.info.space))
    # else by name, as the plan has them
    names.sort(key=lambda name: -sum(name in arm.info.space for arm in reading.arms))
    found = []
    for name in names[:MOST_PANELS]:
        tuning = [arm for arm in reading.arms if name in arm.info.space]
        trials = [_trials(arm, name, reading.units.scale) for arm in tuning]
        found.append(Panel(name, union([arm.info.space[name] for arm in tuning]), trials))
    return found


def union(dimensions: Sequence[Dimension]) -> Dimension:
    """The range that holds all of these; logarithmic if one of them is and all are above 0."""
    if any(isinstance(d, Choice) for d in dimensions):
        options = [o for d in dimensions for o in (d.options if isinstance(d, Choice) else ())]
        return Choice(tuple(dict.fromkeys(options)))
    ranges = [d for d in dimensions if not isinstance(d, Choice)]
    low, high = min(d.low for d in ranges), max(d.high for d in ranges)
    return Float(low, high, log=low > 0 and any(d.log for d in ranges))


def _trials(arm: Arm, name: str, scale: float) -> Trials:
    values = [trial.get(name, math.nan) for trial in arm.trials]
    return Trials(arm.slot, arm.name, arm.look, values, scale * arm.trial_scores, arm.chosen, arm.good_range(name))
