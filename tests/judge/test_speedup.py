"""The speed-up: its set holds 1 just where the verdict's interval holds 0, and the true speed-up as often as it says."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.judge.decide import Interval, paired_interval
from assay.judge.speedup import Ladder, factor_of, in_seconds, log_factors, wanted, worth
from assay.judge.speedup_sentence import seconds_sentence, sentence

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "speedup_simulation.py"
RUNGS = np.array([factor_of(rung) for rung in (-2, -1, 0, 1, 2)])


def deciding(differences: np.ndarray) -> Interval:
    return paired_interval(differences, 0.05)


def power(b: np.ndarray | float) -> np.ndarray | float:
    return 10 - 6 * np.asarray(b) ** -0.7


def ladder_of(replicates: int = 10, noise: float = 0.0, seed: int = 0, curve=power) -> Ladder:
    rng = np.random.default_rng(seed)
    return Ladder(RUNGS, curve(RUNGS) + noise * rng.standard_normal((replicates, len(RUNGS))))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 30), st.floats(-3, 3), st.floats(0.01, 3))
def test_one_is_in_it_just_where_nought_is_in_the_verdicts_interval(
    seed: int, replicates: int, mean: float, noise: float
) -> None:
    rng = np.random.default_rng(seed)
    differences = mean + noise * rng.standard_normal(replicates)
    verdict = deciding(differences)
    found = worth(differences, ladder_of(replicates, noise, seed), deciding)
    assert found is not None
    assert any(low <= 1 <= high for low, high in found.pieces) == (verdict.low <= 0 <= verdict.high)


@pytest.mark.parametrize("true", [0.6, 0.8, 1.0, 1.2, 1.6])
def test_a_power_law_is_inverted_where_nothing_is_noise(true: float) -> None:
    differences = np.full(10, power(true) - power(1.0)) + np.linspace(-1e-3, 1e-3, 10)
    found = worth(differences, ladder_of(), deciding)
    assert found is not None
    assert found.factor == pytest.approx(true, rel=2e-3)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.factor <= found.high


def test_between_rungs_the_curve_is_the_power_law_that_goes_through_three() -> None:
    three = Ladder(RUNGS[1:4], np.tile(power(RUNGS[1:4]), (4, 1)))
    for b in (0.75, 0.9, 1.1, 1.3):
        assert three.at(math.log(b)) == pytest.approx(np.full(4, power(b)), abs=1e-9)
    line = Ladder(RUNGS[1:3], np.array([[0.0, 1.0], [2.0, 5.0]]))  # two rungs have no curvature
    assert line.at(0.5 * math.log(RUNGS[1])) == pytest.approx([0.5, 3.5])


def test_the_ends_are_where_the_paired_test_turns_by_scipy() -> None:
    rng = np.random.default_rng(1)
    ladder = ladder_of(12, 0.3, 2)
    differences = 0.8 + 0.4 * rng.standard_normal(12)
    found = worth(differences, ladder, deciding)
    assert found is not None
    for end in (found.low, found.high):
        assert end is not None
        there = differences + ladder.scores[:, 2] - ladder.at(math.log(end))
        assert scipy.stats.ttest_1samp(there, 0).pvalue == pytest.approx(0.05, abs=1e-6)


def test_open_ends_and_empty_sets_ask_for_more_rungs_and_are_said() -> None:
    ahead = worth(np.full(10, 5.0) + np.linspace(-0.1, 0.1, 10), ladder_of(), deciding)
    behind = worth(np.full(10, -9.0) + np.linspace(-0.1, 0.1, 10), ladder_of(), deciding)
    wide = worth(np.linspace(-14, 14, 10), ladder_of(), deciding)
    assert ahead is not None
    assert behind is not None
    assert wide is not None
    ladder, flat = ladder_of(noise=0.1), ladder_of(noise=0.1, curve=lambda b: np.minimum(power(b), power(1.2)))
    assert (ahead.empty, ahead.ahead, wanted([ahead], ladder, deciding)) == (True, True, {"longer"})
    assert (behind.empty, behind.ahead, wanted([behind], ladder, deciding)) == (True, False, {"shorter"})
    assert wanted([wide, None], ladder, deciding) == {"longer", "shorter"}
    assert wanted([ahead, wide], flat, deciding) == {"shorter"}  # which longer training doesn't help any more
    assert wide.factor is None  # a root says nothing where both ends are open
    said = [sentence(one, "mine", "adam", 0.95, "helps") for one in (ahead, behind)]
    for side, own in zip(("better", "worse"), said, strict=True):
        tried = "any number of steps that was tried, 0.50× to 2.00× its own."
        assert own == f"mine is {side} than adam trained for {tried}"
    assert "can't be told" in sentence(wide, "mine", "adam", 0.95, None)
    assert sentence(wide, "mine", "adam", 0.95, "untold").endswith(
        "Longer training isn't seen to help adam here, so that steps say little."
    )


def test_a_baseline_that_overfits_leaves_two_stretches() -> None:
    def hump(b: np.ndarray | float) -> np.ndarray | float:
        return -8 * np.log(np.asarray(b) / 1.1) ** 2

    ladder = ladder_of(curve=hump)
    level = float(hump(0.7)) - float(hump(1.0))  # the baseline is as good at 0.7 and at 1.73
    found = worth(np.full(10, level) + np.linspace(-0.05, 0.05, 10), ladder, deciding)
    assert found is not None
    assert len(found.pieces) == 2
    assert found.factor == pytest.approx(0.7, abs=0.02)  # the fewest steps that do
    assert "anywhere in " in sentence(found, "mine", "adam", 0.95, "helps")
    assert ladder.longer(deciding) == "hurts"


def test_a_baseline_that_longer_training_makes_worse_is_asked_at_shorter_lengths() -> None:
    ladder = ladder_of(noise=0.05, curve=lambda b: -2 * np.log(b))
    ahead = worth(np.full(10, 4.0) + np.linspace(-0.1, 0.1, 10), ladder, deciding)
    assert ahead is not None
    assert ahead.empty
    assert wanted([ahead], ladder, deciding) == {"shorter"}
    longer = ladder.longer(deciding)
    assert longer == "hurts"
    said = sentence(ahead, "mine", "adam", 0.95, longer)
    assert said.endswith("Longer training makes adam worse here, so that steps say little: ask with fewer --epochs.")


def test_seconds_add_variances_of_logarithms() -> None:
    same = in_seconds((1.2, 1.1, 1.3), 1.0, 0.0, 2.0)
    assert same == pytest.approx((1.2, 1.1, 1.3))
    factor, low, high = in_seconds((1.2, 1.1, None), 2.0, 0.1, 2.0)
    assert factor == pytest.approx(0.6)
    assert low == pytest.approx(0.6 * math.exp(-math.hypot(math.log(1.2 / 1.1), 0.2)))
    assert high is None
    assert in_seconds((None, None, None), 1.0, 0.1, 2.0) == (None, None, None)
    assert in_seconds((None, 1.5, None), 2.0, 0.1, 2.0) == (None, pytest.approx(0.75 * math.exp(-0.2)), None)
    verdict = {"candidate": "mine", "baseline": "adam"}
    timed = {"step_ratio": 1.15, "speedup": 1.02, "speedup_low": 0.94, "speedup_high": 1.11}
    assert seconds_sentence(verdict, timed) == (
        "mine is worth 1.02× adam's seconds (0.94 to 1.11), for a step of mine takes 1.15 times as long as one of adam here."
    )
    open_ended = {"step_ratio": 1.15, "speedup": None, "speedup_low": 2.5, "speedup_high": None}
    assert seconds_sentence(verdict, open_ended).startswith("mine is worth 2.50× adam's seconds at least, for a step")
    nothing = dict.fromkeys(("speedup", "speedup_low", "speedup_high"))
    assert seconds_sentence(verdict, {"step_ratio": 1.15, **nothing}).startswith(
        "A step of mine takes 1.15 times as long"
    )


def test_no_interval_no_speed_up() -> None:
    assert worth(np.array([1.0, np.nan]), ladder_of(2), deciding) is None
    for factors, scores in (([1.0], [[1.0]]), ([0.5, 2.0], [[1.0, 2.0]]), ([1.0, 2.0], [[1.0, 2.0, 3.0]])):
        with pytest.raises(ValueError, match="must be"):
            Ladder(np.array(factors), np.array(scores))


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("speedup_simulation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("curve", ["constant", "cosine", "overfitting"])
def test_it_covers_the_true_speed_up_as_often_as_it_says_and_is_hardly_biased(
    simulation: ModuleType, curve: str
) -> None:
    """Over all true speed-ups and numbers of replicates: coverage of 88 % would fail in 97 of 100 such tests."""
    n = 60
    cells = [simulation.cell(curve, true, k, n) for k in simulation.KS for true in simulation.TRUE]
    covered, every = round(sum(cell.coverage for cell in cells) * n), n * len(cells)
    assert scipy.stats.binom.cdf(covered, every, 0.92) > 0.005
    own = np.array(
        [cell.width / 3.92 * 1.2533 / math.sqrt(n) for cell in cells]
    )  # what a median of so many leaves open
    assert abs(np.mean([cell.bias for cell in cells])) < 0.015 + 3 * math.sqrt((own**2).sum()) / len(cells)
    assert all(abs(cell.bias) < 0.015 + 4 * se for cell, se in zip(cells, own, strict=True))


@pytest.mark.parametrize("replicates", [8, 14])
def test_a_slope_of_speed_ups_covers_the_true_one_as_often_as_it_says(simulation: ModuleType, replicates: int) -> None:
    """Coverage of 88 % would fail in 9 of 10 such tests."""
    n = 70
    cells = [simulation.slopes("constant", true, replicates, n) for true in simulation.SLOPES]
    assert all(cell.known > 0.9 for cell in cells)
    every = round(sum(cell.known for cell in cells) * n)
    covered = round(sum(cell.coverage * cell.known for cell in cells) * n)
    assert scipy.stats.binom.cdf(covered, every, 0.93) > 0.005
    assert all(abs(cell.bias) < 0.02 for cell in cells)


FALLING = np.array([2.0, 1.5, 1.0, 0.5, 0.1])


@pytest.mark.parametrize(("by", "side"), [(-1.1, "behind"), (1.1, "ahead of")])
def test_no_bound_is_given_on_the_side_where_the_candidate_is_not(by: float, side: str) -> None:
    """A baseline that longer training makes worse: what comes near the candidate's score is no number of steps worth having."""
    noise = 0.5 * np.random.default_rng(5).standard_normal((10, 5))
    noise -= noise.mean(axis=0)
    found = worth(np.full(10, by) + 0.3 * np.linspace(-1, 1, 10), Ladder(RUNGS, FALLING + noise), deciding)
    assert found is not None
    assert (found.factor, found.low, found.high) == (None, None, None)
    said = sentence(found, "mine", "adam", 0.95, "hurts")
    if found.pieces:
        assert said.startswith(
            f"In the mean mine is {side} adam at every length that was tried, 0.50× to 2.00×; they can't"
        )
    assert "at least" not in said
    assert "at most" not in said


def test_holes_are_said_where_both_ends_are_open_and_a_point_is_no_stretch() -> None:
    hump = Ladder(RUNGS, np.tile([-2.0, -0.5, 0.0, -0.5, -2.0], (10, 1)) + np.linspace(-0.2, 0.2, 10)[:, None])
    found = worth(np.full(10, -2.0) + np.tile([-0.2, 0.2], 5), hump, deciding)
    assert found is not None
    assert len(found.pieces) == 2
    said = sentence(found, "mine", "adam", 0.95, "untold")
    assert f"anything up to {found.pieces[0][1]:.2f} or from {found.pieces[1][0]:.2f} on is possible" in said
    alike = worth(np.full(10, 0.03), ladder_of(), deciding)  # no spread: the set is the point where the mean is 0
    assert alike is not None
    ((low, high),) = alike.pieces
    assert low == pytest.approx(high, rel=1e-6)
    assert low > 1
    with pytest.raises(ValueError, match="must be finite"):
        Ladder(RUNGS, np.full((3, 5), np.nan))


def test_the_delta_method_has_the_width_that_the_set_has_where_noise_is_small() -> None:
    rng = np.random.default_rng(3)
    ladder = ladder_of(20, 0.05, 4)
    differences = 0.5 + 0.05 * rng.standard_normal(20)
    found = worth(differences, ladder, deciding)
    assert found is not None
    assert found.factor is not None
    assert found.low is not None
    assert found.high is not None
    logs = log_factors(differences, ladder, found)
    assert logs.mean() == pytest.approx(math.log(found.factor), abs=1e-6)
    linear = deciding(logs)
    assert math.exp(linear.low) == pytest.approx(found.low, rel=0.01)
    assert math.exp(linear.high) == pytest.approx(found.high, rel=0.01)
