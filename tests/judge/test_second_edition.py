"""What the second edition judges otherwise: shares with an interval of their own, skewness, collapses, one data set."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from assay.core import Protocol, Stages
from assay.errors import UsageError
from assay.judge import judge
from assay.judge.decide import paired_interval, wilson_superior
from assay.judge.looks import nominal
from assay.judge.second_opinion import hall_interval

from .. import asked, tiny
from .test_verdict import FLOOR, TASK, evidence

PROTOCOL = Protocol("honest", 12, 20, 8, edition=2)


def judged(candidate, baseline, task=TASK, protocol=PROTOCOL, **more):
    return judge([baseline, candidate], task, protocol, FLOOR, FLOOR, **more)[0]


ADAM, NEW = evidence("adam", 0.70, seed=1), evidence("new", 0.69, seed=2)


def test_a_share_of_pairs_has_wilsons_interval_with_a_design_effect():
    rng = np.random.default_rng(5)
    ours, theirs = rng.normal(0.3, 1, (12, 1)) + rng.normal(0, 1, (12, 8)), rng.normal(0, 1, (12, 8))
    shares = (ours > theirs).mean(axis=1)
    share, found = shares.mean(), wilson_superior(ours, theirs, 0.05)
    f = scipy.stats.f_oneway(*(ours - theirs)).statistic
    by_scores = 1 + 7 * (f - 1) / (f - 1 + 8) / 2  # of the intraclass correlation, by analysis of variance
    effect = max(shares.var(ddof=1) * 8 / (share * (1 - share)), by_scores)
    assert effect > 1
    level = 2 * scipy.stats.norm.sf(scipy.stats.t.ppf(0.975, 11))  # where the normal quantile is that of t
    wanted = proportion_confint(share * 96 / effect, 96 / effect, level, "wilson")
    assert (found.low, found.high) == pytest.approx(wanted, rel=1e-9)
    assert found.mean == pytest.approx(share)


def test_pairs_that_are_all_won_leave_a_width():
    found = wilson_superior(np.ones((12, 8)), np.zeros((12, 8)), 0.05)
    t = scipy.stats.t.ppf(0.975, 11)
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(96 / (96 + t**2))  # Wilson's lower end at p = 1
    lost = wilson_superior(np.zeros((12, 8)), np.ones((12, 8)), 0.05)
    assert (lost.low, lost.high) == pytest.approx((0, 1 - found.low))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97, 0.99])
def test_that_interval_covers(share):
    rng = np.random.default_rng(6)
    wins = (rng.random((2000, 12, 8)) < share).astype(float)
    held = [(i := wilson_superior(w, np.full((12, 8), 0.5), 0.05)).low <= share <= i.high for w in wins]
    assert np.mean(held) >= 0.935


@pytest.mark.parametrize(("share", "rho"), [(0.9, 0.3), (0.9, 0.6), (0.97, 0.6)])
def test_that_interval_covers_where_replicates_differ(share, rho):
    rng = np.random.default_rng(6)
    alike, own = rng.normal(size=(2000, 14, 1)), rng.normal(size=(2000, 14, 12))
    scores = scipy.stats.norm.ppf(share) + math.sqrt(rho) * alike + math.sqrt(1 - rho) * own
    held = [(i := wilson_superior(s, np.zeros((14, 12)), 0.05)).low <= share <= i.high for s in scores]
    assert np.mean(held) >= 0.95  # by the shares alone 94.2, 91.6 and 88.5 %


def test_beside_an_interval_at_a_look_the_others_spend_what_it_does():
    looks = Protocol("honest", 12, 10, 8, looks=(12, 24), edition=2)
    draw = np.random.default_rng(4)
    low = draw.normal(0.70, 0.002, (12, 8))
    low[3, 1] = 0.1  # collapsed
    found = judged(
        evidence("new", 0.72, seed=1),
        replace(evidence("adam", 0.7, seed=2), test=low),
        protocol=looks,
    )
    spent = nominal((12, 24), 0, 0.05)
    assert spent < 0.01
    pair = evidence("new", 0.72, seed=1).test - low
    assert (found.details.hall_low, found.details.hall_high) == pytest.approx(hall_interval(pair.mean(axis=1), spent))
    whole = np.where(low < 0.5, np.nan, pair)
    wanted = paired_interval(np.nanmean(whole, axis=1), spent)
    without = found.details.without_collapses
    assert (without.ci_low, without.ci_high) == pytest.approx((wanted.low, wanted.high))


def test_halls_interval_is_that_of_t_where_nothing_is_skewed_and_leans_where_something_is():
    even = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert hall_interval(even, 0.05) == pytest.approx(paired_interval(even, 0.05)[1:3])
    tailed = np.random.default_rng(1).exponential(size=12)
    low, high = hall_interval(tailed, 0.05)
    assert low + high > sum(paired_interval(tailed, 0.05)[1:3])  # further out on the side of the tail
    assert hall_interval(-tailed, 0.05) == pytest.approx((-high, -low))
    assert hall_interval(np.full(4, 0.1), 0.05) == (0.1, 0.1)
    assert np.isnan(hall_interval(np.array([1.0]), 0.05)).all()
    wide = hall_interval(tailed, 0.05, candidates=4)
    assert wide[0] < low
    assert wide[1] > high


@pytest.mark.parametrize(("draw", "by_t", "by_hall"), [("exponential", 0.908, 0.941), ("lognormal", 0.845, 0.907)])
def test_halls_interval_covers_skewed_differences_better_than_t(draw, by_t, by_hall):
    rng = np.random.default_rng(7)
    samples = getattr(rng, draw)(size=(8000, 12))
    truth = 1.0 if draw == "exponential" else math.exp(0.5)
    found = {
        name: np.mean([low <= truth <= high for low, high in map(interval, samples)])
        for name, interval in (
            ("t", lambda s: paired_interval(s, 0.05)[1:3]),
            ("hall", lambda s: hall_interval(s, 0.05)),
        )
    }
    assert found == pytest.approx({"t": by_t, "hall": by_hall}, abs=0.012)


def test_a_difference_that_rests_on_skewness_is_said_to():
    gaps = np.array([0.005, 0.006, 0.006, 0.007, 0.005, 0.006, 0.004, 0.007, 0.006, 0.005, 0.006, -0.014])
    base = np.random.default_rng(3).normal(0.7, 0.004, (12, 8))
    one = replace(ADAM, test=base, validation_final=base)
    found = judged(replace(NEW, test=base - gaps[:, None]), one)
    assert found.ci_high is not None
    assert found.ci_high < 0 <= found.details.hall_high
    assert "It rests on skewed differences: an interval that allows for their skewness holds 0 (" in found.sentence
    even = judged(replace(NEW, test=base - 0.006 - gaps[::-1].mean() + gaps[:, None] / 9), one)
    assert "skewed" not in even.sentence
    first = judge([one, replace(NEW, test=base - gaps[:, None])], TASK, Protocol("honest", 12, 20, 8), FLOOR, FLOOR)[0]
    assert "skewed" not in first.sentence
    assert first.details.bca_high is not msgspec.UNSET
    assert found.details.bca_high is msgspec.UNSET


def test_collapses_are_counted_with_an_exact_interval_and_the_rest_is_judged_by_itself():
    fallen = ADAM.test.copy()
    fallen[[0, 0, 5], [1, 2, 0]] -= 0.25
    found = judged(NEW, replace(ADAM, test=fallen))
    seen = found.details.baseline.collapsed
    assert (seen.replicates, seen.of) == (2, 12)
    assert (seen.low, seen.high) == pytest.approx(proportion_confint(2, 12, 0.05, "beta"))
    assert found.details.candidate.collapsed.replicates == 0
    pairs = np.where(fallen == ADAM.test, NEW.test - ADAM.test, np.nan)
    wanted = DescrStatsW(np.nanmean(pairs, axis=1))
    left = found.details.without_collapses
    assert (left.difference, left.ci_low, left.ci_high) == pytest.approx((wanted.mean, *wanted.tconfint_mean(0.05)))
    assert (
        "Of 12 replicates each, none of new and 2 of adam have a final run that collapsed (more than 10 margins "
        in (found.sentence)
    )
    assert "without those, new scores" in found.sentence
    assert judged(NEW, ADAM).details.without_collapses is msgspec.UNSET
    assert "collapsed" not in judged(NEW, ADAM).sentence


def test_without_collapses_equal_scores_are_told_of_and_no_interval_without_a_width():
    lost = ADAM.test.copy()
    lost[:2, 0] -= 0.9
    found = judged(replace(ADAM, name="new"), replace(ADAM, test=lost))
    assert "without those, each scores what its twin does." in found.sentence
    assert "0.000 to 0.000" not in found.sentence


COARSE = np.array([[5 / 12], [7 / 12]])  # of 12 test samples, one run in each of two replicates


def few(name, seed, test=COARSE):
    loss = np.random.default_rng(seed).uniform(0.5, 0.6, test.shape)
    made = evidence(name, 0.5, seed, replicates=len(test))
    return replace(made, test=test, validation_final=test, train_loss=loss)


def test_two_runs_that_happen_to_score_the_same_are_not_equivalent():
    protocol = Protocol("honest", 2, 20, 1, edition=2)
    found = judged(few("new", 1), few("adam", 2), protocol=protocol)
    half = (
        scipy.stats.t.ppf(0.975, 1) * (2 / 12 / math.sqrt(12)) / math.sqrt(2)
    )  # what is seen is a step of two samples
    assert (found.difference, found.ci_low, found.ci_high) == pytest.approx((0, -half, half))
    assert found.outcome == "inconclusive"
    equal = np.full((2, 1), 5 / 12)  # no step is seen: that of one sample is known
    found = judged(few("new", 1, equal), few("adam", 2, equal), protocol=protocol, step=1 / 12)
    assert (found.ci_low, found.ci_high, found.outcome) == pytest.approx((-half / 2, half / 2, "inconclusive"))
    unknown = judged(few("new", 1, equal), few("adam", 2, equal), protocol=protocol, step=math.inf)
    assert (unknown.difference, unknown.ci_low, unknown.outcome) == (0, None, "inconclusive")
    assert "no finite interval" in unknown.sentence
    first = judged(few("new", 1), few("adam", 2), protocol=Protocol("honest", 2, 20, 1))
    assert (first.ci_low, first.ci_high, first.outcome) == (0, 0, "equivalent")  # as ever


def test_a_third_contender_far_away_makes_no_coarser_step():
    high, low = np.full((12, 2), 0.9), np.full((12, 2), 0.1)
    protocol = Protocol("honest", 12, 20, 2, edition=2)
    three = [few("adam", 1, high), few("new", 2, high), few("lost", 3, low)]
    found = judge(three, TASK, protocol, FLOOR, FLOOR, step=1 / 1000)[0]
    half = scipy.stats.t.ppf(1 - 0.025 / 2, 11) * (1 / 1000 / 2 / math.sqrt(12)) / math.sqrt(12)
    assert (found.ci_low, found.ci_high, found.outcome) == pytest.approx((-half, half, "equivalent"))


def test_what_was_asked_for_is_what_the_first_stage_asked_for():
    """Scores on a grid of 1/10 in the first stage, and one of 901/1000 later, by which rounding would be finer."""
    test = np.full((7, 1), 0.5)
    test[0] = 0.6
    later = test.copy()
    later[5] = 0.601
    protocol = Protocol("honest", 7, 20, 1, edition=2, stages=Stages(3, 7))
    first = judge([few("adam", 1, test), few("new", 2, test)], TASK, protocol, FLOOR, FLOOR, step=math.inf)[0]
    found = judge([few("adam", 1, test), few("new", 2, later)], TASK, protocol, FLOOR, FLOOR, step=math.inf)[0]
    assert found.details.replicates_asked == first.details.replicates_asked
    assert found.details.replicates_asked > 7


@pytest.mark.parametrize("more", [{}, {"looks": (2, 4)}, {"stages": Stages(2, 9)}], ids=str)
def test_runs_that_are_the_same_to_the_last_bit_are_equivalent(more):
    protocol = Protocol("honest", 2, 20, 1, edition=2, **more)
    found = judged(few("new", 1), few("adam", 1), protocol=protocol)
    assert (found.ci_low, found.ci_high, found.outcome, found.p_value) == (0, 0, "equivalent", 1)
    assert "Each of its final runs is its twin, to the last bit of score and loss" in found.sentence
    one = Protocol("honest", 1, 20, 1, edition=2)
    alone = judged(few("new", 1, COARSE[:1]), few("adam", 1, COARSE[:1]), protocol=one)
    assert "to the last bit" not in alone.sentence  # there is no interval
    other = few("adam", 1)
    other.train_loss[1, 0] += 1e-16 + np.spacing(other.train_loss[1, 0])
    assert "twin, to the last bit" not in (almost := judged(few("new", 1), other, protocol=protocol)).sentence
    assert almost.outcome == "inconclusive"


def test_runs_that_diverged_are_told_of_once():
    lost = ADAM.test.copy()
    lost[0, 0] = np.nan
    found = judged(NEW, replace(ADAM, test=lost))
    assert found.details.baseline.collapsed.replicates == 0
    assert "diverged" in found.sentence
    assert "collapsed" not in found.sentence


def test_on_one_data_set_partitions_are_independent_and_what_lies_beyond_it_is_a_second_opinion():
    fixed = msgspec.structs.replace(TASK, generated=False)
    differences = (NEW.test - ADAM.test).mean(axis=1)
    found = judged(NEW, ADAM, fixed, test_fraction=0.5)
    assert (found.ci_low, found.ci_high) == pytest.approx(DescrStatsW(differences).tconfint_mean(0.05))
    assert "on this data set" in found.sentence
    se = differences.std(ddof=1) * math.sqrt(1 / 12 + 0.5)  # Nadeau and Bengio's
    beyond = scipy.stats.t.interval(0.95, 11, loc=differences.mean(), scale=se)
    assert (found.details.overlapping_low, found.details.overlapping_high) == pytest.approx(beyond)
    first = judge([ADAM, NEW], fixed, Protocol("honest", 12, 20, 8), FLOOR, FLOOR, test_fraction=0.5)[0]
    assert (first.ci_low, first.ci_high) == pytest.approx(beyond)
    assert judged(NEW, ADAM).details.overlapping_low is msgspec.UNSET


def test_its_sentences_promise_no_more_than_they_can():
    assert "(any difference is smaller than the margin of 2 points, at 95 % confidence)" in (
        judged(ADAM, replace(ADAM, name="b"), msgspec.structs.replace(TASK, margin=0.02)).sentence
    )
    assert "(real, but smaller than the margin of 5 points, at 95 % confidence)" in (
        judged(replace(NEW, test=ADAM.test - 0.01), ADAM, msgspec.structs.replace(TASK, margin=0.05)).sentence
    )
    assert "beats its adam twin in none of 96 pairs." in judged(replace(NEW, test=ADAM.test - 0.01), ADAM).sentence
    assert "beats its adam twin in all of 96 pairs." in judged(replace(NEW, test=ADAM.test + 0.01), ADAM).sentence
    undecided = judged(replace(NEW, test=ADAM.test[::-1]), ADAM, msgspec.structs.replace(TASK, margin=1e-4))
    assert undecided.outcome == "inconclusive"
    assert " in a new run (another --seed)." in undecided.sentence


def test_an_accuracy_that_no_margin_settles():
    two = msgspec.structs.replace(PROTOCOL, replicates=2, final_seeds=2)
    scores = np.array([[0.9, 0.9], [0.1, 0.1]])
    base = evidence("adam", 0.5, seed=1, replicates=2, test=scores, validation_final=scores)
    new = replace(base, name="new", test=base.test[::-1])
    assert "No margin would have settled it; at 1 point, " in judged(new, base, protocol=two).sentence
    first = judge([base, new], TASK, Protocol("honest", 2, 20, 2), FLOOR, FLOOR)[0]
    assert "Any margin above " in first.sentence  # as records of the first edition have it


def test_looks_begin_at_six_and_may_be_had_on_one_data_set(tmp_path):
    few = {"task": tiny.task(generated=False), "protocol": "honest", "trials": 3, "final_seeds": 1, "out": tmp_path}
    with pytest.raises(UsageError, match="the first needs 6 replicates"):
        asked.plan("adam", "sgd", looks="2,8", **few)
    assert asked.job("adam", "sgd", looks="6,8", **few).science.protocol.looks == (6, 8)
    with pytest.raises(UsageError, match="has fixed data"):
        asked.plan("adam", "sgd", looks="6,8", **{**few, "protocol": "honest-1"})


def test_two_stages_on_one_data_set_ask_for_what_its_own_error_needs():
    fixed, gaps = msgspec.structs.replace(TASK, generated=False), np.linspace(-0.012, 0.012, 12)
    stages = msgspec.structs.replace(PROTOCOL, stages=Stages(12, 48))
    base = replace(ADAM, test=np.full((12, 8), 0.7))
    new = replace(NEW, test=base.test + gaps[:, None])
    found = judged(new, base, fixed, stages, test_fraction=0.5)
    alone = judged(new, base, TASK, stages)
    assert found.details.replicates_asked == alone.details.replicates_asked is not None
