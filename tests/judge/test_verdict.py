"""The whole judgement, from arrays to verdicts."""

import json
import math
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from assay.core import Protocol, Stages, TaskInfo
from assay.core.verdict import Edge, TaskVerdict
from assay.errors import NoVerdict
from assay.judge import ContenderScores, judge
from assay.space import Float

LR = {"lr": Float(1e-5, 1e-1, log=True)}
TASK = TaskInfo(
    name="mnist1d-mlp", reference="mnist1d-mlp", source="", options={}, metric="accuracy", direction="max", unit="points",
    scale=100.0, epochs=15, batch_size=128, margin=0.01, margin_reason="", generated=True,
)  # fmt: skip
PROTOCOL = Protocol("honest", 12, 20, 8)
FLOOR = 0.1


def evidence(name: str, mean: float, seed: int, replicates: int = 12, **changes) -> ContenderScores:
    """Made-up scores with a spread between seeds of 1.1 points and between replicates of 0.4."""
    rng = np.random.default_rng(seed)
    test = mean + rng.normal(0, 0.004, (replicates, 1)) + rng.normal(0, 0.011, (replicates, 8))
    made = ContenderScores(
        name=name, space=LR, test=test, validation_final=test + 0.002, chosen_validation=test.mean(axis=1) + 0.015,
        chosen_positions=np.full((replicates, 1), 0.7), trials=20, allotted_steps=945, gradient_evaluations=945,
        steps=945,
    )  # fmt: skip
    return replace(made, **changes)


judged = partial(judge, task=TASK, protocol=PROTOCOL, test_floor=FLOOR, validation_floor=FLOOR)
ADAM = evidence("adam", 0.70, seed=1)


def one(candidate: ContenderScores, baseline: ContenderScores = ADAM, **changes) -> TaskVerdict:
    return judged([baseline, candidate], **changes)[0]


def diverging(made: ContenderScores, count: int) -> ContenderScores:
    test = made.test.copy()
    test.flat[:count] = math.nan
    return replace(made, test=test, validation_final=np.where(np.isnan(test), math.nan, made.validation_final))


def test_the_deciding_interval_is_the_paired_t_interval_of_replicate_means():
    new = evidence("new", 0.69, seed=2)
    found = one(new)
    differences = (new.test - ADAM.test).mean(axis=1)
    low, high = DescrStatsW(differences).tconfint_mean(0.05)
    assert [found.difference, found.ci_low, found.ci_high] == pytest.approx([differences.mean(), low, high], abs=1e-12)
    assert found.p_value == pytest.approx(scipy.stats.ttest_rel(new.test.mean(1), ADAM.test.mean(1))[1], rel=1e-9)
    assert found.p_superior == pytest.approx(np.mean(new.test > ADAM.test), abs=1e-12)
    assert found.outcome == "worse"
    assert found.details.differences == pytest.approx(differences, abs=1e-15)
    assert found.details.level == 0.95
    assert (found.margin, found.replicates, found.unit) == (0.01, 12, "points")


def test_two_replicates_that_differ_by_the_same_few_samples_decide_nothing():
    counts = np.array([[63, 64], [60, 61]])
    base = evidence("adam", 0.7, seed=1, replicates=2, test=counts / 100, validation_final=counts / 100)
    new = replace(base, name="new", test=(counts + np.array([[1, 1], [2, 0]])) / 100)
    two = msgspec.structs.replace(PROTOCOL, replicates=2, final_seeds=2)
    found = judge([base, new], TASK, two, FLOOR, FLOOR)[0]
    assert found.difference == pytest.approx(0.01)
    assert found.outcome == "inconclusive"
    clear = judge([base, replace(new, test=(counts + 8) / 100)], TASK, two, FLOOR, FLOOR)[0]
    assert clear.outcome == "better"


def test_smaller_is_better_where_the_task_says_so():
    new = evidence("new", 0.69, seed=2)

    def flipped(c: ContenderScores) -> ContenderScores:
        return replace(
            c, test=-c.test, validation_final=-c.validation_final, chosen_validation=-c.chosen_validation
        )  # fmt: skip

    loss = msgspec.structs.replace(TASK, direction="min")
    turned = judge([flipped(ADAM), flipped(new)], loss, PROTOCOL, -FLOOR, -FLOOR)[0]
    plain = one(new)
    assert (turned.outcome, turned.difference, turned.ci_low) == (plain.outcome, plain.difference, plain.ci_low)
    assert turned.details.candidate.winners_curse_test == pytest.approx(
        plain.details.candidate.winners_curse_test, abs=1e-12
    )


def test_the_winners_curse_is_what_tuning_promised_too_much():
    facts = one(evidence("new", 0.69, seed=2)).details.candidate
    assert facts.winners_curse_test == pytest.approx(0.015, abs=1e-12)
    assert facts.winners_curse_validation == pytest.approx(0.013, abs=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_lucky_tuning_scores_do_not_reach_the_verdict(seed):
    rng = np.random.default_rng(seed)
    honest, new = one(evidence("new", 0.7, seed=3)), evidence("new", 0.7, seed=3)
    lucky = one(replace(new, chosen_validation=rng.uniform(size=12), validation_final=rng.uniform(size=(12, 8))))
    assert msgspec.structs.replace(lucky, details=None) == msgspec.structs.replace(honest, details=None)


def test_details_are_plain_json_and_the_same_each_time():
    candidates = [evidence("a", 0.70, seed=2), diverging(evidence("b", 0.7, seed=3), 5), evidence("c", 0.75, seed=4)]
    before = repr(np.random.get_state())
    first, again = (judged([ADAM, *candidates], seed=7) for _ in range(2))
    assert repr(np.random.get_state()) == before
    texts = [json.dumps([msgspec.to_builtins(v) for v in found], allow_nan=False) for found in (first, again)]
    assert texts[0] == texts[1]
    assert first[0].details.bca_low != judged([ADAM, *candidates], seed=8)[0].details.bca_low
    assert set(msgspec.to_builtins(first[0].details)) == set(msgspec.to_builtins(first[1].details))


def test_several_candidates_share_the_error():
    candidates = [evidence("a", 0.69, seed=2), evidence("b", 0.7, seed=3), evidence("c", 0.705, seed=4)]
    found = judged([ADAM, *candidates])
    for verdict, candidate in zip(found, candidates, strict=True):
        differences = (candidate.test - ADAM.test).mean(axis=1)
        ends = DescrStatsW(differences).tconfint_mean(0.05 / 3)
        assert (verdict.ci_low, verdict.ci_high) == pytest.approx(ends, abs=1e-12)
        assert "98.33 % interval" in verdict.sentence
        assert "allows for 3 candidates" in verdict.sentence
    p_values = [v.p_value for v in found]
    holm = multipletests(p_values, method="holm")[1]
    assert [v.details.holm_p for v in found] == pytest.approx(holm, abs=1e-12)


def test_one_replicate_is_inconclusive():
    single = msgspec.structs.replace(PROTOCOL, replicates=1)
    found = one(evidence("new", 0.9, 2, replicates=1), evidence("adam", 0.7, 1, replicates=1), protocol=single)
    assert found.outcome == "inconclusive"
    assert (found.ci_low, found.ci_high, found.p_value, found.details.sd) == (None, None, None, None)
    assert found.difference is not None
    assert "1 replicate, which gives no interval" in found.sentence


def test_two_replicates_have_an_interval():
    double = msgspec.structs.replace(PROTOCOL, replicates=2)
    found = one(evidence("new", 0.9, 2, replicates=2), evidence("adam", 0.7, 1, replicates=2), protocol=double)
    assert found.ci_low is not None


def test_a_contender_and_itself_are_equivalent():
    found = one(replace(ADAM, name="twin"))
    assert (found.outcome, found.difference, found.p_value, found.p_superior) == ("equivalent", 0.0, 1.0, 0.5)
    assert found.details.sign_flip_p == 1.0
    assert (found.details.bca_low, found.details.bca_high) == (0.0, 0.0)


def test_fixed_data_widens_the_interval_and_says_so():
    digits = msgspec.structs.replace(TASK, generated=False)
    new = evidence("new", 0.69, seed=2)
    narrow, wide = one(new), one(new, task=digits, test_fraction=0.25)
    widening = math.sqrt((1 / 12 + 0.25) * 12)
    assert wide.details.se == pytest.approx(widening * narrow.details.se, rel=1e-12)
    assert "on this data set" in wide.sentence
    assert one(new, test_fraction=0.25).details.se == narrow.details.se  # not for generated data
    with pytest.raises(ValueError, match="test_fraction"):
        one(new, task=digits)


def test_diverged_runs_score_the_floor_and_are_counted():
    new = diverging(evidence("new", 0.72, seed=2), 20)
    found = one(new)
    differences = (np.where(np.isnan(new.test), FLOOR, new.test) - ADAM.test).mean(axis=1)
    assert found.difference == pytest.approx(differences.mean(), abs=1e-12)
    assert "Of 96 final runs each, 20 of new and none of adam diverged" in found.sentence
    assert found.details.candidate.diverged_final == pytest.approx(20 / 96)
    assert found.details.survivors.outcome == "better"
    assert found.details.survivors.replicates == 10  # two lost all eight
    assert "among the pairs that survived, new scores" in found.sentence
    per_replicate = one(new, test_floor=np.linspace(0.1, 0.2, 12))
    assert per_replicate.difference is not None
    assert per_replicate.difference > differences.mean()


def test_survivors_are_not_mentioned_where_they_agree():
    found = one(diverging(evidence("new", 0.5, seed=2), 3))
    assert found.details.survivors.outcome == found.outcome == "worse"
    assert "survived" not in found.sentence


def test_losses_that_count_smaller_are_floored_too():
    loss = msgspec.structs.replace(TASK, direction="min", unit="nats", scale=1.0)
    new = diverging(evidence("new", 0.70, seed=2), 96)
    found = judge([ADAM, new], loss, PROTOCOL, 2.3, 2.3)[0]
    assert found.outcome == "worse"
    assert found.difference == pytest.approx(ADAM.test.mean() - 2.3, abs=1e-12)


def test_an_arm_that_diverged_altogether_loses_whatever_its_floor():
    dead = diverging(evidence("new", 0.7, seed=2), 96)
    assert one(dead).outcome == "worse"
    assert one(dead, test_floor=0.9).outcome == "worse"
    assert one(evidence("new", 0.2, seed=2), diverging(ADAM, 96)).outcome == "better"
    assert "because every final run of new diverged" in one(dead).sentence
    assert one(dead).details.all_diverged == "candidate"
    with pytest.raises(NoVerdict, match="every final run"):
        one(dead, diverging(ADAM, 96))


def test_metrics_that_are_not_numbers_count_as_diverged():
    new = evidence("new", 0.7, seed=2)
    infinite = replace(new, test=np.where(np.arange(8) == 0, math.inf, new.test))
    assert one(infinite).difference == one(diverging_first_column(new)).difference
    assert one(replace(new, chosen_validation=np.full(12, math.nan))).details.candidate.winners_curse_test < 0


def diverging_first_column(made: ContenderScores) -> ContenderScores:
    return replace(made, test=np.where(np.arange(8) == 0, math.nan, made.test))


def test_the_edge_of_the_range_is_said_and_widened_for_all():
    positions = np.full((12, 1), 0.5)
    positions[:4] = 0.95
    found = one(evidence("new", 0.72, seed=2, chosen_positions=positions))
    assert (
        "The lr chosen for new lies in the top tenth of its range (1e-05..0.1) in 4 of 12 replicates" in found.sentence
    )
    assert found.details.wider == {"adam": {"lr": "1e-05..1:log"}, "new": {"lr": "1e-05..1:log"}}
    expected = [Edge(hyperparameter="lr", end="high", hits=4, replicates=12)]
    assert found.details.candidate.edges == expected
    assert found.details.baseline.edges == []


def test_unequal_gradients_and_hyperparameters_are_said():
    two = {"lr": LR["lr"], "rho": Float(0.01, 0.5)}
    sam = evidence("sam", 0.72, 2, gradient_evaluations=1890, space=two, chosen_positions=np.full((12, 2), 0.5))
    found = one(sam)
    assert "tuned with 20 trials at 2.0× the gradients scores" in found.sentence
    assert "sam tunes 2 hyperparameters, adam 1." in found.sentence
    assert found.details.gradient_ratio == 2.0
    assert one(replace(sam, steps=0)).details.gradient_ratio is None


def test_unequal_budgets_have_no_verdict():
    for changes in ({"trials": 30}, {"allotted_steps": 1000}):
        with pytest.raises(NoVerdict, match="unequal budgets"):
            one(replace(evidence("new", 0.7, seed=2), **changes))


def test_an_inconclusive_verdict_says_what_would_have_settled_it():
    noisy = evidence("new", 0.703, seed=5)
    noisy = replace(noisy, test=noisy.test + np.random.default_rng(9).normal(0, 0.03, (12, 1)))
    found = one(noisy)
    assert found.outcome == "inconclusive"
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert found.details.settling_margin == max(-found.ci_low, found.ci_high)
    assert found.details.settling_replicates > 12
    assert f"{found.details.settling_replicates} replicates at most would settle it" in found.sentence


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"test": np.zeros((12, 7))}, "test of new"),
        ({"validation_final": np.zeros((11, 8))}, "validation_final of new"),
        ({"chosen_validation": np.zeros(3)}, "chosen_validation of new"),
        ({"chosen_positions": np.zeros((12, 2))}, "chosen_positions of new"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        one(evidence("new", 0.7, 2, **changes))


def test_bad_questions_are_refused():
    with pytest.raises(ValueError, match="margin"):
        one(evidence("new", 0.7, seed=2), task=msgspec.structs.replace(TASK, margin=0.0))
    with pytest.raises(ValueError, match="baseline"):
        judged([ADAM])


def test_a_first_stage_of_equal_differences_is_no_certainty():
    """By hand: runs are rounded to 0.005, means of 8 to an eighth of it; the first 12 differ by just one step."""
    stages = msgspec.structs.replace(PROTOCOL, replicates=24, stages=Stages(first=12, most=24))
    base = np.tile([0.70, 0.705], (24, 4))
    differences = np.array([0.005] * 12 + [-0.3] * 12)
    arms = [evidence(n, 0.7, 1, 24, test=base + d) for n, d in (("adam", 0.0), ("new", differences[:, None]))]
    found = judged(arms, protocol=stages)[0]
    se = 0.005 / 8 / math.sqrt(12) / math.sqrt(24)
    low, high = scipy.stats.t.interval(0.95, 11, differences.mean(), se)
    assert [found.ci_low, found.ci_high] == pytest.approx([low, high])
    assert found.p_value is not None
    assert found.p_value > 0
