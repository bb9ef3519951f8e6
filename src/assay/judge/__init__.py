"""The judge: pure functions on arrays that turn what trainings left into verdicts. Torch is never imported.

Axes: K replicates, r final seeds, n trials, d hyperparameters, E epochs. Scores are turned (larger is better) unless
a docstring says file units. One file a question: decide, select, divergence, collapse, edges,
second_opinion, power, two_stage, speed, stability; digits and sentence put it into words; pair and verdict put it together.
"""

from __future__ import annotations

from assay.judge.decide import Interval, outcome, paired_interval
from assay.judge.pair import ContenderScores
from assay.judge.verdict import judge

__all__ = ["ContenderScores", "Interval", "judge", "outcome", "paired_interval"]
