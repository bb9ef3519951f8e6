"""The deciding interval against statsmodels and scipy, and the decision against a reader of the picture."""

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, example, given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW

from assay.judge.decide import by_the_margin, outcome, paired_interval, resolution

ASYMMETRIC = {
    "skewed": [0.1, -0.3, 0.25, 0.9, -0.05, 0.4, 3.7],
    "ties": [0.5, 0.5, 0.5, -0.25, -0.25, 0.0, 0.0],
    "two": [-0.013, -0.002],
    "two far apart": [-1e6, 3.0],
    "tiny": [1e-9, 3e-9, -2e-9, 7e-9],
    "many": list(np.random.default_rng(5).exponential(size=200) - 0.7),
    "clear": [5.0, 5.1, 4.9, 5.05, 5.2],
}


@pytest.mark.parametrize("differences", ASYMMETRIC.values(), ids=ASYMMETRIC)
@pytest.mark.parametrize(("alpha", "candidates"), [(0.05, 1), (0.05, 3), (0.2, 1)])
def test_interval_agrees_with_statsmodels_and_scipy(differences, alpha, candidates):
    found = paired_interval(np.array(differences), alpha, candidates)
    low, high = DescrStatsW(differences).tconfint_mean(alpha / candidates)
    t, p, _ = DescrStatsW(differences).ttest_mean(0)
    assert [found.low, found.high] == pytest.approx([low, high], rel=1e-9)
    assert found.p_value == pytest.approx(p, rel=1e-9)
    assert found.mean / found.se == pytest.approx(t, rel=1e-9)
    reference = scipy.stats.ttest_rel(differences, np.zeros(len(differences)))
    ends = reference.confidence_interval(1 - alpha / candidates)
    assert [found.low, found.high] == pytest.approx([ends.low, ends.high], rel=1e-9)
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    assert found.sd == pytest.approx(scipy.stats.tstd(differences), rel=1e-12)
    assert found.level == pytest.approx(1 - alpha / candidates, rel=1e-15)


def test_fixed_data_uses_the_standard_error_of_nadeau_and_bengio():
    differences = np.array([0.1, -0.3, 0.25, 0.9])
    found = paired_interval(differences, 0.05, test_fraction=0.25)
    se = np.std(differences, ddof=1) * math.sqrt(1 / 4 + 0.25)
    low, high = scipy.stats.t.interval(0.95, 3, loc=differences.mean(), scale=se)
    assert [found.low, found.high] == pytest.approx([low, high], rel=1e-12)
    assert found.p_value == pytest.approx(2 * scipy.stats.t.sf(differences.mean() / se, 3), rel=1e-12)


@pytest.mark.parametrize(("value", "p_value"), [(0.1, 0.0), (-3.0, 0.0), (0.0, 1.0)])
def test_constant_differences_give_a_point(value, p_value):
    found = paired_interval(np.full(12, value), 0.05)
    assert (found.mean, found.low, found.high, found.p_value, found.sd) == (value, value, value, p_value, 0.0)


def test_the_spread_is_at_least_what_rounding_takes_away():
    found = paired_interval(np.array([0.01, 0.01]), 0.05, resolution=0.006)
    low, high = scipy.stats.t.interval(0.95, 1, loc=0.01, scale=0.006 / math.sqrt(12) / math.sqrt(2))
    assert [found.low, found.high] == pytest.approx([low, high], rel=1e-12)
    assert found.p_value == pytest.approx(2 * scipy.stats.t.sf(0.01 / found.se, 1), rel=1e-12)
    rounded = paired_interval(np.array([0.1 + 0.2 - 0.29, 0.01]), 0.05, resolution=0.006)  # equal but for the last bits
    assert [rounded.low, rounded.high] == pytest.approx([low, high], rel=1e-9)
    equal = paired_interval(np.zeros(2), 0.05, resolution=0.006)  # no more certain for being 0
    assert [equal.low, equal.high] == pytest.approx([low - 0.01, high - 0.01], rel=1e-12)
    assert equal.p_value == 1.0


@pytest.mark.parametrize("differences", ASYMMETRIC.values(), ids=ASYMMETRIC)
def test_a_spread_above_the_resolution_is_left_alone(differences):
    step = np.diff(np.unique(differences)).min()
    assert paired_interval(np.array(differences), 0.05, resolution=step) == paired_interval(np.array(differences), 0.05)


def test_two_equal_differences_don_t_pass_for_certainty():
    """Whole test samples, spread 1, K = 2: every pair of differences with its chance."""
    steps = np.arange(-7, 8)
    chance = np.diff(scipy.stats.norm.cdf(np.arange(-7.5, 8)))

    def error_rate(floor: float) -> float:
        pairs = [(a, b, chance[i] * chance[j]) for i, a in enumerate(steps) for j, b in enumerate(steps)]
        found = [(paired_interval(np.array([a, b], dtype=float), 0.05, resolution=floor), w) for a, b, w in pairs]
        return sum(w for interval, w in found if interval.low > 0 or interval.high < 0)

    assert error_rate(0.0) > 0.1
    assert error_rate(1.0) < 0.05


def test_two_differences_of_zero_don_t_pass_for_equivalence():
    """Whole test samples, spread 1/3 around 1, which is the margin: every pair with its chance, by hand P(0)² for no floor."""
    steps = np.arange(-7, 8)
    chance = np.diff(scipy.stats.norm.cdf(np.arange(-7.5, 8), loc=1, scale=1 / 3))

    def equivalent(floor: float) -> float:
        pairs = [(a, b, chance[i] * chance[j]) for i, a in enumerate(steps) for j, b in enumerate(steps)]
        found = [(paired_interval(np.array([a, b], dtype=float), 0.05, resolution=floor), w) for a, b, w in pairs]
        return sum(w for i, w in found if outcome(i.low, i.high, 1.0) in ("equivalent", "negligible"))

    assert equivalent(0.0) == pytest.approx(
        (scipy.stats.norm.cdf(-0.5, 0, 1 / 3) - scipy.stats.norm.cdf(-1.5, 0, 1 / 3)) ** 2
    )
    assert equivalent(1.0) == 0


def test_the_resolution_is_the_smallest_step_of_a_mean_of_runs():
    assert resolution([np.array([[0.25, 0.5], [0.75, 0.5]]), np.array([[1.0, 0.5], [0.25, 0.9]])]) == pytest.approx(
        0.05
    )
    assert resolution([np.full((3, 2), 0.4)] * 2) == 0.0
    assert resolution([np.full((3, 2), 0.4)] * 2, step=0.01) == pytest.approx(0.005)  # of an accuracy over 100 samples
    assert resolution([np.array([[0.25]]), np.array([[0.5]])], step=0.01) == pytest.approx(
        0.01
    )  # seen is a coarser one
    assert resolution([np.array([[0.25]]), np.array([[0.5]])], step=math.inf) == 0.25


@pytest.mark.parametrize("differences", [[], [0.3], [0.3, math.nan], [math.inf, 0.1, 0.2], [1e308, -1e308, 1e308]])
def test_too_few_or_not_finite_gives_no_interval(differences):
    found = paired_interval(np.array(differences), 0.05)
    assert not found.exists
    assert outcome(found.low, found.high, 0.01) == "inconclusive"
    if differences == [0.3]:
        assert found.mean == 0.3


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.0}, "alpha"),
        ({"alpha": 0.05, "candidates": 0}, "candidate"),
        ({"alpha": 0.05, "test_fraction": 0.0}, "test_fraction"),
        ({"alpha": 0.05, "test_fraction": math.inf}, "test_fraction"),
    ],
)
def test_bad_input_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        paired_interval(np.array([0.1, 0.2]), **arguments)


def test_two_axes_are_refused():
    with pytest.raises(ValueError, match="one axis"):
        paired_interval(np.zeros((3, 2)), 0.05)


@pytest.mark.parametrize("margin", [0.0, -0.01, math.nan, math.inf])
def test_a_margin_must_be_above_zero(margin):
    with pytest.raises(ValueError, match="margin"):
        outcome(-1.0, 1.0, margin)


def test_an_interval_has_its_ends_in_order():
    with pytest.raises(ValueError, match="above"):
        outcome(1.0, -1.0, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "expected", "by_margin"),
    [
        (-0.5, 0.5, "equivalent", False),
        (0.0, 0.0, "equivalent", False),
        (0.0, 0.5, "equivalent", False),
        (0.1, 0.5, "negligible", False),
        (-0.9, -0.1, "negligible", False),
        (0.1, 1.0, "better", False),  # its upper end touches the margin, so it may be as large
        (1.0, 1.5, "better", True),
        (0.999, 1.5, "better", False),
        (-1.0, -0.1, "worse", False),
        (-3.0, -1.0, "worse", True),
        (0.0, 1.0, "inconclusive", False),
        (-1.0, 0.0, "inconclusive", False),
        (-5.0, 5.0, "inconclusive", False),
        (-math.inf, 5.0, "inconclusive", False),
        (math.nan, math.nan, "inconclusive", False),
    ],
)
def test_decisions_worked_by_hand(low, high, expected, by_margin):
    assert outcome(low, high, 1.0) == expected
    assert by_the_margin(low, high, 1.0) == by_margin


def reader(low: float, high: float, margin: float) -> list[str]:
    """Everything that someone who looks at the interval, the zero line and the margin band would say of it."""
    in_band = abs(low) < margin and abs(high) < margin
    right, left = min(low, high) > 0, max(low, high) < 0
    sayings = {
        "equivalent": in_band and not (right or left),
        "negligible": in_band and (right or left),
        "better": right and not in_band,
        "worse": left and not in_band,
        "inconclusive": not in_band and not right and not left,
    }
    return [saying for saying, holds in sayings.items() if holds]


ENDS = st.floats(-10, 10) | st.sampled_from([0.0, -0.0, 1.0, -1.0])


@given(ENDS, ENDS, st.floats(1e-6, 10) | st.just(1.0))
@example(-1.0, 0.0, 1.0)
@example(0.0, 1.0, 1.0)
@example(-0.0, 0.0, 1e-6)
def test_every_picture_has_one_outcome_the_one_a_reader_would_draw(one, other, margin):
    low, high = min(one, other), max(one, other)
    assert reader(low, high, margin) == [outcome(low, high, margin)]
    mirrored = {"better": "worse", "worse": "better"}
    assert outcome(-high, -low, margin) == mirrored.get(outcome(low, high, margin), outcome(low, high, margin))


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=9), st.floats(0.001, 0.3))
def test_p_value_and_interval_agree(values, alpha):
    found = paired_interval(np.array(values), alpha)
    assume(abs(found.p_value - alpha) > 1e-9)
    assert (found.p_value < alpha) == (found.low > 0 or found.high < 0)


def test_importing_the_judge_costs_little():
    code = (
        "import sys, assay.judge; heavy = {'torch', 'scipy.stats', 'scipy.special', 'scipy.optimize', 'pandas'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
