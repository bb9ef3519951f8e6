"""Stein's two stages: the number of replicates by hand, the interval against scipy, the level by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from assay.judge.two_stage import asked, reached, two_stage_interval, wanted

FIRST, MOST, ALPHA = 12, 48, 0.05


def test_the_number_is_steins_with_a_whole_interval_of_one_margin():
    # t at 97.5 % with 11 degrees of freedom is 2.20099: (2 · 2.20099 · 1)² = 19.38, (2 · 2.20099 · 1.5)² = 43.6
    assert wanted(1.0, FIRST, 1.0, ALPHA) == 20
    assert wanted(1.5, FIRST, 1.0, ALPHA) == 44
    assert wanted(0.3, FIRST, 1.0, ALPHA) == FIRST
    assert wanted(0.0, FIRST, 1.0, ALPHA) == FIRST
    # two candidates share the level: t at 98.75 % is 2.5931, so (2 · 2.5931)² = 26.9
    assert wanted(1.0, FIRST, 1.0, ALPHA, candidates=2) == 27


@pytest.mark.parametrize("sd", [0.05, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("fraction", [None, 0.001])
def test_the_number_is_the_smallest_that_is_narrow_enough(sd, fraction):
    t = stats.t.ppf(1 - ALPHA / 2, FIRST - 1)

    def width(k):
        return 2 * t * sd * math.sqrt(1 / k + (fraction or 0))

    k = wanted(sd, FIRST, 1.0, ALPHA, test_fraction=fraction)
    assert k is not None
    assert width(k) <= 1 + 1e-12
    assert k == FIRST or width(k - 1) > 1


def test_no_number_will_do_where_the_overlap_alone_is_too_wide():
    assert wanted(1.0, FIRST, 1.0, ALPHA, test_fraction=0.25) is None


def test_the_largest_demand_counts_and_the_maximum_bounds_it():
    assert reached([13, 20], FIRST, MOST) == 20
    assert reached([13, 200], FIRST, MOST) == MOST
    assert reached([FIRST, None], FIRST, MOST) == MOST
    differences = [np.tile([-0.5, 0.5], 6), np.tile([-1.0, 1.0], 6)]  # sd 0.522 and 1.044
    t = stats.t.ppf(1 - ALPHA / 4, 11)
    expected = [max(12, math.ceil((2 * t * d.std(ddof=1)) ** 2)) for d in differences]
    assert asked(differences, FIRST, 1.0, ALPHA) == expected


def test_the_interval_keeps_the_first_spread_and_its_degrees_of_freedom():
    values = np.random.default_rng(3).normal(0.4, 1, 31)
    found = two_stage_interval(values, FIRST, ALPHA)
    s1 = values[:FIRST].std(ddof=1)
    low, high = stats.t.interval(1 - ALPHA, FIRST - 1, loc=values.mean(), scale=s1 / math.sqrt(31))
    assert found.low == pytest.approx(low, rel=1e-12)
    assert found.high == pytest.approx(high, rel=1e-12)
    assert found.p_value == pytest.approx(
        2 * stats.t.sf(abs(values.mean()) / (s1 / math.sqrt(31)), FIRST - 1), rel=1e-10
    )
    alone = two_stage_interval(values[:FIRST], FIRST, ALPHA)
    assert (alone.low, alone.high) == pytest.approx(
        stats.t.interval(1 - ALPHA, 11, values[:12].mean(), s1 / math.sqrt(12))
    )


def test_the_later_differences_can_never_make_it_narrower():
    values = np.random.default_rng(4).normal(0, 1, 40)
    wild = np.concatenate([values[:FIRST], 100 * values[FIRST:]])
    a, b = (two_stage_interval(v, FIRST, ALPHA) for v in (values, wild))
    assert a.high - a.low == pytest.approx(b.high - b.low)


def test_equal_first_differences_are_no_certainty():
    """By hand: what rounding to steps of 0.005 takes away has the spread 0.005/√12, and 24 differences share it."""
    values = np.array([0.005] * 12 + [-0.3] * 12)
    found = two_stage_interval(values, FIRST, ALPHA, resolution=0.005)
    se = 0.005 / math.sqrt(12) / math.sqrt(24)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(1 - ALPHA, 11, values.mean(), se))
    assert found.p_value > 0
    first_at_zero = np.array(
        [0.0] * 12 + [0.3] * 12
    )  # no certainty either, though a first stage alone would be a point
    assert two_stage_interval(first_at_zero, FIRST, ALPHA, resolution=0.005).se == pytest.approx(se)
    unknown = two_stage_interval(values, FIRST, ALPHA)
    assert not unknown.exists
    assert math.isnan(unknown.p_value)
    zeros = two_stage_interval(np.zeros(24), FIRST, ALPHA, resolution=0.005)
    assert (zeros.low, zeros.high) == pytest.approx(stats.t.interval(1 - ALPHA, 11, 0, se))
    same = two_stage_interval(np.zeros(24), FIRST, ALPHA)
    assert (same.low, same.high, same.p_value) == (0, 0, 1)


def test_equal_first_differences_ask_for_what_rounding_leaves():
    """By hand: a spread of 0.1/√12 asks, at t = 2.201, for (2 · 2.201 · 0.1/√12 / 0.02)² = 40.4 replicates."""
    assert asked([np.zeros(FIRST)], FIRST, 0.02, ALPHA, least=[0.1 / math.sqrt(12)]) == [41]
    assert asked([np.zeros(FIRST)] * 2, FIRST, 0.02, ALPHA, least=[math.inf, 0.0]) == [None, FIRST]


@pytest.mark.parametrize("step", [0.0, 0.005])
def test_a_resolution_below_the_first_spread_changes_nothing(step):
    values = np.random.default_rng(3).normal(0.4, 1, 31)
    assert two_stage_interval(values, FIRST, ALPHA, resolution=step) == two_stage_interval(values, FIRST, ALPHA)


@pytest.mark.parametrize(
    "arguments", [(1.0, FIRST, 0.0, ALPHA), (math.nan, FIRST, 1.0, ALPHA), (1.0, 1, 1.0, ALPHA), (1.0, FIRST, 1.0, 2.0)]
)
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match=r"margin|first stage|alpha"):
        wanted(*arguments)


def simulated(draw, sd: float, experiments: int) -> tuple[float, float, float]:
    """Coverage, and the shares of intervals wholly above and wholly below the truth."""
    rng = np.random.default_rng(int(1000 * sd))
    ends = []
    for differences in sd * draw(rng, (experiments, MOST)):
        k = reached(asked([differences], FIRST, 1.0, ALPHA), FIRST, MOST)
        found = two_stage_interval(differences[:k], FIRST, ALPHA)
        ends.append((found.low, found.high))
    low, high = np.array(ends).T
    return float(np.mean((low <= 0) & (high >= 0))), float(np.mean(low > 0)), float(np.mean(high < 0))


@pytest.mark.parametrize("sd", [0.5, 1.0, 2.0])  # hardly ever a second stage; nearly always; always to the maximum
def test_the_level_is_exact_for_normal_differences(sd):
    experiments = 4_000
    coverage, above, below = simulated(lambda rng, shape: rng.normal(0, 1, shape), sd, experiments)
    for share, exact in ((1 - coverage, 0.05), (above, 0.025), (below, 0.025)):
        low, high = stats.binom.interval(0.999, experiments, exact)
        assert low <= share * experiments <= high


def test_skew_costs_it_no_more_than_it_costs_one_stage():
    """Contenders skewed alike have a symmetric difference, and the level holds; a skew of one side alone costs some."""
    alike, _, _ = simulated(
        lambda rng, shape: (rng.exponential(1, shape) - rng.exponential(1, shape)) / math.sqrt(2), 1.0, 4_000
    )
    assert alike > 0.94
    one_sided, _, _ = simulated(lambda rng, shape: rng.exponential(1, shape) - 1, 1.0, 4_000)
    assert 0.88 < one_sided < 0.95
