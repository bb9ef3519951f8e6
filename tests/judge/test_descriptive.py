"""Superiority, speed and stability: worked by hand, and against scipy."""

import math
import re

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from assay.core import Protocol
from assay.judge import speed, stability
from assay.judge.decide import p_superior


def test_p_superior_by_hand():
    candidate = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0], [5.0, 0.0, 2.0, 2.0]])
    baseline = np.array([[0.0, 2.0, 4.0, 4.0], [2.0, 2.0, 2.0, 2.0], [1.0, 0.0, 1.0, 1.0]])
    rates = [0.5, 0.0, 0.875]  # win, tie, loss, tie · four losses · three wins and a tie
    found = p_superior(candidate, baseline, 0.05)
    assert found.mean == pytest.approx(np.mean(rates), rel=1e-12)
    low, high = scipy.stats.t.interval(0.95, 2, loc=np.mean(rates), scale=scipy.stats.sem(rates))
    assert low < 0
    assert high > 1
    assert (found.low, found.high) == (0.0, 1.0)
    assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(rates, 0.5)[1], rel=1e-9)


@given(hnp.arrays(float, (4, 3), elements=st.sampled_from([0.0, 1.0, 2.0, -math.inf])), st.data())
def test_superiority_is_fair(candidate, data):
    baseline = data.draw(hnp.arrays(float, (4, 3), elements=st.sampled_from([0.0, 1.0, 2.0, -math.inf])))
    one, other = p_superior(candidate, baseline, 0.05), p_superior(baseline, candidate, 0.05)
    assert one.mean == pytest.approx(1 - other.mean, abs=1e-12)
    assert [one.low, one.high] == pytest.approx([1 - other.high, 1 - other.low], abs=1e-12)
    assert 0 <= one.low <= one.mean <= one.high <= 1


def test_superiority_refuses_what_does_not_pair():
    with pytest.raises(ValueError, match="shape"):
        p_superior(np.zeros((2, 3)), np.zeros((2, 2)), 0.05)
    with pytest.raises(ValueError, match="floor"):
        p_superior(np.full((2, 2), math.nan), np.zeros((2, 2)), 0.05)


def test_one_replicate_has_a_share_and_no_interval():
    found = p_superior(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), 0.05)
    assert found.mean == 0.5
    assert not found.exists


CURVES = np.array([[[0.1, 0.5, 0.7], [0.7, 0.2, 0.1]], [[0.1, math.nan, math.nan], [0.1, 0.69, 0.8]]])


def test_epochs_to_a_target_by_hand():
    assert speed.epochs_to(CURVES, 0.7).tolist() == [[3, 1], [math.inf, 3]]
    assert np.isinf(speed.epochs_to(CURVES, 0.9)).all()


def test_speed_by_hand():
    slower = np.array([[[0.0, 0.0, 0.8], [0.0, 0.7, 0.1]], [[0.1, 0.1, 0.1], [0.1, 0.0, 0.0]]])
    found = speed.compare(CURVES, slower, 0.7, Protocol("honest", 2, 1, 2))
    assert (found.candidate_median, found.baseline_median) == (3.0, math.inf)
    assert (found.candidate_reached, found.baseline_reached) == (0.75, 0.5)
    assert found.faster.mean == pytest.approx(np.mean([(0.5 + 1) / 2, (0.5 + 1) / 2]))  # 3 to 3 and two misses tie


def test_target_is_the_median_less_a_margin():
    assert speed.target_of(np.array([[0.7, 0.6], [0.8, 0.9]]), 0.01) == pytest.approx(0.74)
    assert speed.target_of(np.array([[0.7, math.nan], [0.8, math.nan], [0.9, math.nan]]), 0.01) is None
    assert speed.target_of(np.array([[0.7, math.nan, 0.9]]), 0.01) == pytest.approx(0.69)


def test_speed_refuses_a_target_or_curves_that_are_none():
    with pytest.raises(ValueError, match="target"):
        speed.epochs_to(CURVES, math.nan)
    with pytest.raises(ValueError, match="curves"):
        speed.epochs_to(CURVES[0], 0.5)


def test_stability_is_a_paired_t_interval_of_log_ratios():
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(0, 2, (6, 5)), rng.normal(0, 1, (6, 5))
    found = stability.compare(ours, theirs, 0.05)
    logs = np.log(ours.std(axis=1, ddof=1) / theirs.std(axis=1, ddof=1))
    ends = scipy.stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    assert (found.ratio, found.low, found.high) == pytest.approx(
        (scipy.stats.gmean(np.exp(logs)), math.exp(ends.low), math.exp(ends.high)), rel=1e-9
    )
    assert found.candidate_pooled == pytest.approx(math.sqrt(np.mean(ours.var(axis=1, ddof=1))), rel=1e-12)
    assert found.reason is None


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        (np.full((3, 4), 0.1), np.arange(12.0).reshape(3, 4), "the candidate scored the same in 3 of 3"),
        (np.arange(12.0).reshape(3, 4), np.array([[0.1] * 4, [1, 2, 3, 4], [1, 2, 3, 5]]), "baseline .* 1 of 3"),
        (np.zeros((3, 1)), np.zeros((3, 1)), "one final seed"),
        (np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]), "one replicate"),
    ],
)
def test_stability_says_why_there_is_no_interval(ours, theirs, reason):
    found = stability.compare(ours, theirs, 0.05)
    assert (found.low, found.high) == (None, None)
    assert found.reason is not None
    assert re.search(reason, found.reason)
