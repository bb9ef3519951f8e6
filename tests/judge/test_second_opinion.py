"""Sign flips, BCa and Holm against scipy and statsmodels."""

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests

from assay.judge.second_opinion import BOOTSTRAP_DRAWS, bca_interval, holm, sign_flip_p

DIFFERENCES = {
    "skewed": [0.1, -0.3, 0.25, 0.9, -0.05, 0.4, 3.7],
    "ties": [0.5, 0.5, 0.5, -0.25, -0.25, 0.0, 0.0],
    "thirds": [0.1, 0.2, -0.3, 0.1, 0.2],  # sums that only rounding keeps apart
    "two": [-0.013, -0.002],
    "sixteen": list(np.random.default_rng(2).exponential(size=16) - 0.6),
}


@pytest.mark.parametrize("values", DIFFERENCES.values(), ids=DIFFERENCES)
def test_exact_sign_flips_agree_with_scipy(values):
    reference = scipy.stats.permutation_test(
        (np.array(values),), lambda x, axis: np.mean(x, axis=axis), permutation_type="samples", n_resamples=2**16
    )
    assert sign_flip_p(np.array(values), seed=1) == pytest.approx(reference.pvalue, abs=1e-12)


def test_sign_flips_by_hand():
    assert sign_flip_p(np.array([1.0, 2.0, 3.0]), seed=1) == 2 / 8
    assert sign_flip_p(np.zeros(5), seed=1) == 1
    assert sign_flip_p(np.array([4.0]), seed=1) == 1
    assert math.isnan(sign_flip_p(np.array([1.0, math.nan]), seed=1))
    assert math.isnan(sign_flip_p(np.array([]), seed=1))


def test_drawn_sign_flips_approach_the_exact_ones_and_repeat():
    sixteen = np.array(DIFFERENCES["sixteen"])
    exact = sign_flip_p(sixteen, seed=1)
    drawn = sign_flip_p(np.append(sixteen, 0.0), seed=1)  # a 17th difference of 0 changes no sum
    assert drawn == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 99_999))
    assert drawn == sign_flip_p(np.append(sixteen, 0.0), seed=1)
    assert drawn != sign_flip_p(np.append(sixteen, 0.0), seed=2)


@pytest.mark.parametrize("values", DIFFERENCES.values(), ids=DIFFERENCES)
@pytest.mark.parametrize("candidates", [1, 4])
def test_bca_agrees_with_scipy(values, candidates):
    level = 1 - 0.05 / candidates
    reference = scipy.stats.bootstrap(
        (np.array(values),), np.mean, confidence_level=level, n_resamples=BOOTSTRAP_DRAWS, method="BCa",
        rng=np.random.default_rng(7),
    ).confidence_interval  # fmt: skip
    found = bca_interval(np.array(values), 0.05, seed=7, candidates=candidates)
    assert found == pytest.approx((reference.low, reference.high), abs=1e-9)


def test_bca_of_constant_or_missing_differences():
    assert bca_interval(np.full(5, 0.1), 0.05, seed=1) == (0.1, 0.1)
    assert np.isnan(bca_interval(np.array([0.1]), 0.05, seed=1)).all()
    assert np.isnan(bca_interval(np.array([0.1, math.nan]), 0.05, seed=1)).all()


@pytest.mark.parametrize("p_values", [[0.01], [0.04, 0.01, 0.03], [0.5, 0.9, 0.7], [0.02, 0.02, 0.02], [0.0, 1.0]])
def test_holm_agrees_with_statsmodels(p_values):
    assert holm(np.array(p_values)) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_holm_counts_a_candidate_without_p_value():
    assert holm(np.array([0.01, math.nan])) == pytest.approx([0.02, math.nan], nan_ok=True)
