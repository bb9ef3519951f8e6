"""An edge of a range that could explain better or worse leaves it inconclusive, and the sentence says how to go on."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from msgspec import UNSET
from msgspec.structs import replace as changed

from assay.core.verdict import TaskVerdict
from assay.judge import ContenderScores, judge
from assay.judge.across_sentence import AcrossFacts, TaskOutcome
from assay.judge.across_sentence import sentence as across_sentence
from assay.judge.decide import Interval
from assay.judge.edges import Edge, held_back
from assay.space import Float

from .test_verdict import ADAM, FLOOR, PROTOCOL, TASK, evidence

HOLDING = changed(PROTOCOL, edges="hold back")
judged = partial(judge, task=TASK, test_floor=FLOOR, validation_floor=FLOOR)


def at(position: float, made: ContenderScores, hits: int = 4) -> ContenderScores:
    """The same, with a third of its replicates' rates chosen at this position."""
    positions = np.full((12, 1), 0.5)
    positions[:hits] = position
    return replace(made, chosen_positions=positions)


def one(candidate: ContenderScores, baseline: ContenderScores = ADAM, protocol=HOLDING) -> TaskVerdict:
    return judged([baseline, candidate], protocol=protocol)[0]


WORSE, BETTER = evidence("new", 0.60, seed=2), evidence("new", 0.80, seed=2)


@pytest.mark.parametrize("end", [0.02, 0.98])
def test_worse_at_an_edge_of_its_own_is_no_verdict(end):
    found = one(at(end, WORSE))
    assert found.outcome == "inconclusive"
    assert found.details.held_back == "worse"
    assert not found.details.by_the_margin
    assert found.details.settling_replicates is None
    assert "inconclusive, for the range that new was tuned over may be why it is worse." in found.sentence
    assert "would have settled" not in found.sentence
    wider = "1e-06..0.1:log" if end < 0.5 else "1e-05..1:log"
    go_on = "To go on, give all of them the same room and run it again: "
    assert go_on + f"--space adam.lr={wider} --space new.lr={wider}." in found.sentence


def test_better_over_a_baseline_at_its_edge_is_no_verdict():
    found = one(BETTER, at(0.98, ADAM))
    assert (found.outcome, found.details.held_back) == ("inconclusive", "better")
    assert "inconclusive, for the range that adam was tuned over may be why new is better." in found.sentence


@pytest.mark.parametrize(
    ("candidate", "baseline", "outcome"),
    [
        (at(0.98, BETTER), ADAM, "better"),  # with a wider range it would be better still
        (WORSE, at(0.98, ADAM), "worse"),
        (at(0.98, WORSE, hits=3), ADAM, "worse"),  # a quarter of the replicates
        (replace(at(0.02, WORSE), space={"momentum": Float(0.0, 0.9)}), ADAM, "worse"),  # a bound by nature
    ],
)
def test_an_edge_that_explains_nothing_holds_nothing_back(candidate, baseline, outcome):
    found = one(candidate, baseline)
    assert (found.outcome, found.details.held_back) == (outcome, UNSET)


def test_a_plan_of_before_is_judged_by_its_own_rule():
    found = one(at(0.98, WORSE), protocol=PROTOCOL)
    assert (found.outcome, found.details.held_back) == ("worse", UNSET)
    assert "To go on" not in found.sentence


def test_divergence_at_an_edge_is_held_back_too():
    dead = replace(WORSE, test=np.full((12, 8), math.nan), validation_final=np.full((12, 8), math.nan))
    found = one(at(0.02, dead))
    assert (found.outcome, found.details.held_back) == ("inconclusive", "worse")
    assert "the range that new was tuned over may be why it is worse" in found.sentence
    assert one(at(0.5, dead)).outcome == "worse"


def test_only_better_and_worse_are_held_back():
    space = {"lr": Float(1e-5, 1e-1, log=True)}
    edge = [Edge("lr", "high", 5, 12)]
    for outcome in ("equivalent", "negligible", "inconclusive"):
        assert held_back(outcome, (edge, space), (edge, space)) is None


def test_across_tasks_the_ranges_are_named():
    facts = AcrossFacts(
        candidate="new",
        baseline="adam",
        outcome="inconclusive",
        interval=Interval(-2.0, -3.0, -1.0, 0.001, 1.0, 0.3, 0.95),
        sources=3,
        tasks=[TaskOutcome("a", "inconclusive"), TaskOutcome("b", "worse"), TaskOutcome("c", "worse")],
        task_level=0.98,
        tuned="tuned with 10 trials",
        held_back="worse",
        held_back_by=["a"],
    )
    said = across_sentence(facts)
    assert "inconclusive, for the range of new on a may be why it is worse." in said
    assert "Each of those tasks' own sentence names the wider range to go on with (--space)." in said
