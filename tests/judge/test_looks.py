"""Planned looks: boundaries against published tables and scipy's multivariate normal, and the error in a simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from assay.judge import looks
from assay.judge.decide import paired_interval


@pytest.mark.parametrize(
    ("shares", "published"),
    [
        # DeMets & Lan 1994, "Interim analysis: the alpha spending function approach", two-sided 0.05, five equal steps;
        # four digits as Reboussin, DeMets, Kim & Lan 2000 print them, whose integration is good to one in the last
        ([0.2, 0.4, 0.6, 0.8, 1.0], [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
        ([0.25, 0.5, 0.75, 1.0], [4.3326, 2.9631, 2.3590, 2.0141]),
        ([1 / 3, 2 / 3, 1.0], [3.7103, 2.5114, 1.9930]),
        ([0.5, 1.0], [2.9626, 1.9686]),
        ([1.0], [1.9600]),
    ],
)
def test_boundaries_are_the_published_ones(shares, published):
    np.testing.assert_allclose(looks.boundaries(shares, 0.05), published, atol=1.5e-4)


@pytest.mark.parametrize("shares", [[0.5, 1.0], [0.3, 0.45, 1.0]])
def test_the_error_that_is_spent_is_the_error_by_the_multivariate_normal(shares):
    bounds = looks.boundaries(shares, 0.1)
    tau = np.array(shares)
    correlation = np.sqrt(np.minimum.outer(tau, tau) / np.maximum.outer(tau, tau))
    for j in range(1, len(shares) + 1):
        within = scipy.stats.multivariate_normal.cdf(
            bounds[:j], mean=np.zeros(j), cov=correlation[:j, :j], lower_limit=-np.array(bounds[:j]), rng=0
        )
        assert 1 - within == pytest.approx(looks.spent(shares[j - 1], 0.1), abs=2e-5)
    assert looks.spent(1.0, 0.1) == pytest.approx(0.1)


def test_the_overall_error_with_t_statistics_is_close_to_what_is_planned():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40_000, 24))
    ever = np.zeros(len(values), dtype=bool)
    for j, k in enumerate((12, 24)):
        some = values[:, :k]
        t = some.mean(axis=1) / (some.std(axis=1, ddof=1) / np.sqrt(k))
        ever |= np.abs(t) > scipy.stats.t.isf(looks.nominal((12, 24), j, 0.05) / 2, k - 1)
    assert ever.mean() == pytest.approx(0.05, abs=0.004)  # three standard errors, and the approximation


def test_the_interval_is_the_t_interval_at_the_looks_level_and_p_agrees_with_it():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.4, 0.9):
        values = rng.normal(shift, 1, 12)
        found = looks.look_interval(values, (12, 24), 0.05, 2)
        level = 1 - looks.nominal((12, 24), 0, 0.05, 2)
        low, high = scipy.stats.t.interval(level, 11, values.mean(), scipy.stats.sem(values))
        assert (found.low, found.high) == pytest.approx((low, high))
        assert found.level == 0.975
        assert (found.p_value < 0.025) == (found.low > 0 or found.high < 0)
        assert found.high - found.low > paired_interval(values, 0.05, 2).high - paired_interval(values, 0.05, 2).low


def test_looks_that_are_none_are_refused():
    for wrong in ([], [0.5, 0.5], [0.5, 0.4], [0.0, 1.0], [0.5, 1.5]):
        with pytest.raises(ValueError):
            looks.boundaries(wrong, 0.05)


def test_equal_differences_are_no_certainty():
    """Scores of 200 samples, two runs a replicate: rounding alone has a spread."""
    step = 1 / 400
    found = looks.look_interval(np.array([0.01, 0.01]), [2, 4], 0.05, resolution=step)
    assert found.low < 0.01 < found.high
    assert found.p_value > 0
    wide = looks.look_interval(np.array([0.01, 0.03]), [2, 4], 0.05, resolution=step)
    assert wide == looks.look_interval(np.array([0.01, 0.03]), [2, 4], 0.05)
