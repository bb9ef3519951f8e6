"""Power and widths against statsmodels, scipy and simulation."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.power import TTestPower

from assay.judge.decide import outcome
from assay.judge.power import (
    detectable_difference,
    expected_half_width,
    settling_margin,
    settling_replicates,
    spread_range,
)


@pytest.mark.parametrize(("replicates", "candidates"), [(2, 1), (4, 1), (12, 1), (12, 3), (30, 1), (200, 4)])
def test_the_detectable_difference_has_the_wanted_power(replicates, candidates):
    found = detectable_difference(1.3, replicates, 0.05, candidates)
    assert TTestPower().power(found / 1.3, replicates, 0.05 / candidates) == pytest.approx(0.8, abs=1e-6)
    noncentrality = found / 1.3 * math.sqrt(replicates)
    t = scipy.stats.t.ppf(1 - 0.05 / candidates / 2, replicates - 1)
    assert scipy.stats.nct.sf(t, replicates - 1, noncentrality) == pytest.approx(0.8, abs=1e-6)


def test_extremes():
    assert math.isnan(detectable_difference(1.0, 1, 0.05))
    assert math.isnan(expected_half_width(1.0, 1, 0.05))
    assert detectable_difference(0.0, 12, 0.05) == 0.0
    assert detectable_difference(1.0, 2, 1e-6) > 1e5


def test_expected_half_width_is_what_samples_have():
    rng = np.random.default_rng(8)
    for replicates in (2, 4, 12):
        sds = rng.normal(0, 1.5, (40_000, replicates)).std(axis=1, ddof=1)
        halves = scipy.stats.t.ppf(0.975, replicates - 1) * sds / math.sqrt(replicates)
        expected = expected_half_width(1.5, replicates, 0.05)
        assert halves.mean() == pytest.approx(expected, abs=4 * halves.std() / math.sqrt(len(halves)))


def test_settling_replicates_by_a_slow_search():
    sd, replicates, margin = 0.9, 12, 1.0
    upper = sd * math.sqrt(11 / scipy.stats.chi2.ppf(0.2, 11))
    slow = next(k for k in range(2, 999) if 2 * scipy.stats.t.ppf(0.975, k - 1) * upper / math.sqrt(k) <= margin)
    assert settling_replicates(sd, replicates, margin, 0.05) == slow
    assert (settling_replicates(sd, replicates, margin, 0.05, candidates=3) or 0) > slow


def test_the_upper_limit_of_the_spread_is_exceeded_by_one_in_five():
    sds = np.random.default_rng(6).normal(0, 1, (20_000, 7)).std(axis=1, ddof=1)
    upper = sds * math.sqrt(6 / scipy.stats.chi2.ppf(0.2, 6))
    assert np.mean(upper >= 1) == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / 20_000))


def test_what_can_never_be_settled():
    assert settling_replicates(1.0, 12, 1e-6, 0.05) is None
    assert settling_replicates(1.0, 12, 1.0, 0.05, test_fraction=0.25) is None  # the test set's share does not shrink
    assert settling_replicates(math.nan, 1, 1.0, 0.05) is None
    assert settling_replicates(0.0, 5, 1.0, 0.05) == 2


@given(st.floats(-10, 10), st.floats(0, 10))
def test_a_margin_above_the_settling_one_settles(low, width):
    margin = settling_margin(low, low + width)
    assert outcome(low, low + width, np.nextafter(margin, math.inf) + 1e-300) in ("equivalent", "negligible")


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: detectable_difference(-1.0, 5, 0.05), "spread"),
        (lambda: expected_half_width(math.nan, 5, 0.05), "spread"),
        (lambda: settling_replicates(1.0, 5, 0.0, 0.05), "margin"),
    ],
)
def test_bad_input_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_a_spread_lies_in_its_range_as_often_as_it_says():
    """Against samples: the true spread is 2."""
    drawn = np.random.default_rng(0).normal(0, 2, (20_000, 12)).std(axis=1, ddof=1)
    low, high = spread_range(1.0, 12)
    assert np.mean((low * drawn <= 2) & (high * drawn >= 2)) == pytest.approx(0.95, abs=0.005)
    with pytest.raises(ValueError, match="1 replicates"):
        spread_range(1.0, 1)
