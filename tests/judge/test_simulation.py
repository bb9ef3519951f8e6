"""Does the deciding interval do what it says? Numbers only: many made-up experiments, judged by the real rule."""

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from assay.judge.decide import paired_interval
from assay.judge.power import detectable_difference

EXPERIMENTS = 6_000
DRAWS = {
    "normal": lambda rng, shape: rng.normal(0, 1, shape),
    "skewed": lambda rng, shape: rng.exponential(1, shape) - 1,  # skewness 2; a paired difference is less skewed
}


def ends(samples: np.ndarray) -> np.ndarray:
    """Interval ends (experiments, 2) of samples (experiments, K)."""
    return np.array([paired_interval(sample, 0.05)[1:3] for sample in samples])


def within_binomial_error(share: float | np.floating, expected: float) -> bool:
    return abs(float(share) - expected) <= 4 * math.sqrt(expected * (1 - expected) / EXPERIMENTS)


@pytest.mark.parametrize("replicates", [4, 12, 30])
def test_coverage_error_rate_and_power_match_theory(replicates):
    rng = np.random.default_rng(20 + replicates)
    found = ends(rng.normal(0, 1, (EXPERIMENTS, replicates)))
    coverage = np.mean((found[:, 0] <= 0) & (found[:, 1] >= 0))
    false_better, false_worse = np.mean(found[:, 0] > 0), np.mean(found[:, 1] < 0)
    assert within_binomial_error(coverage, 0.95)
    assert within_binomial_error(false_better, 0.025)
    assert within_binomial_error(false_worse, 0.025)
    for difference in (detectable_difference(1.0, replicates, 0.05), 0.5):
        shifted = ends(difference + rng.normal(0, 1, (EXPERIMENTS, replicates)))
        excludes = np.mean((shifted[:, 0] > 0) | (shifted[:, 1] < 0))
        assert within_binomial_error(excludes, TTestPower().power(difference, replicates, 0.05))


@pytest.mark.parametrize("replicates", [4, 12, 30])
def test_what_skew_costs(replicates):
    rng = np.random.default_rng(40 + replicates)
    cover, powers = {}, {}
    difference = detectable_difference(1.0, replicates, 0.05)
    for name, draw in DRAWS.items():
        found = ends(draw(rng, (EXPERIMENTS, replicates)))
        cover[name] = np.mean((found[:, 0] <= 0) & (found[:, 1] >= 0))
        powers[name] = [
            np.mean((moved[:, 0] > 0) | (moved[:, 1] < 0)) for moved in (found - difference, found + difference)
        ]
    print(
        f"K = {replicates}: coverage {100 * cover['normal']:.1f} % normal, {100 * cover['skewed']:.1f} % skewed; power "
        f"{100 * min(powers['normal']):.1f} % normal, {100 * min(powers['skewed']):.1f} % skewed against its long tail, "
        f"{100 * max(powers['skewed']):.1f} % along it"
    )
    assert cover["skewed"] < cover["normal"]
    assert cover["skewed"] > 0.85  # far from exact at K = 4, and never worse than this
    # The difference of two contenders that are skewed alike is symmetric: pairing takes the skew away.
    paired = ends(DRAWS["skewed"](rng, (EXPERIMENTS, replicates)) - DRAWS["skewed"](rng, (EXPERIMENTS, replicates)))
    covers = np.mean((paired[:, 0] <= 0) & (paired[:, 1] >= 0))
    assert covers > 0.945


def test_overlapping_replicates_need_the_wider_standard_error():
    """Repartitions of one data set share an error that replicates do not average out (Nadeau & Bengio 2003)."""
    rng = np.random.default_rng(60)
    replicates, fraction = 10, 0.25
    shared = math.sqrt(fraction / (1 + fraction))  # correlation ρ = n_test/(n_test + n_train)
    samples = shared * rng.normal(size=(2_000, 1)) + math.sqrt(1 - shared**2) * rng.normal(size=(2_000, replicates))
    naive = [paired_interval(sample, 0.05) for sample in samples]
    wider = [paired_interval(sample, 0.05, test_fraction=fraction) for sample in samples]
    assert np.mean([i.low <= 0 <= i.high for i in naive]) < 0.8
    assert np.mean([i.low <= 0 <= i.high for i in wider]) == pytest.approx(0.95, abs=0.02)
