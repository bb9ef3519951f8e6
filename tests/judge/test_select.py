"""Selection: laws that hold for any trials, and regret on simulated curves."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from assay.judge.select import incumbents, raw, select, smoothed

TRIALS = (
    st.integers(1, 25)
    .flatmap(
        lambda n: st.tuples(
            st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=n, max_size=n),
            st.lists(st.integers(0, 1000).map(lambda x: x / 1000), min_size=n, max_size=n),
        )
    )
    .map(lambda pair: (np.array(pair[0]), np.array(pair[1])))
)


def clear_winner(bounds: np.ndarray) -> bool:
    ordered = np.sort(bounds)[::-1]
    return len(ordered) == 1 or ordered[0] - ordered[1] > 1e-9


@given(TRIALS, st.integers(-50, 50), st.sampled_from([0.01, 1.0, 100.0]))
def test_a_constant_or_a_unit_changes_nothing(trials, shift, unit):
    positions, scores = trials
    moved = scores * unit + shift
    assert smoothed(positions, moved) == pytest.approx(smoothed(positions, scores) * unit + shift, abs=1e-9)
    assume(clear_winner(smoothed(positions, scores)))
    assert select(positions, moved) == select(positions, scores)


@given(TRIALS, st.randoms(use_true_random=False))
def test_the_order_of_trials_does_not_matter_but_for_ties(trials, random):
    positions, scores = trials
    order = list(range(len(scores)))
    random.shuffle(order)
    bounds = smoothed(positions, scores)
    assert smoothed(positions[order], scores[order]) == pytest.approx(bounds[order], abs=1e-12)
    assume(clear_winner(bounds))
    assert order[select(positions[order], scores[order])] == select(positions, scores)


@given(TRIALS)
def test_the_earliest_of_equal_trials_is_chosen(trials):
    positions, scores = trials
    twice = np.concatenate([positions, positions]), np.concatenate([scores, scores])
    assert select(*twice) < len(scores)


@given(TRIALS)
def test_incumbents_are_choices_from_prefixes(trials):
    positions, scores = trials
    found = incumbents(positions, scores)
    assert found[-1] == select(positions, scores)
    assert all(0 <= index <= t for t, index in enumerate(found))
    assert found[0] == 0


@given(TRIALS)
def test_trials_far_apart_are_chosen_by_raw_score(trials):
    _, scores = trials
    apart = 100 * np.arange(len(scores), dtype=float)[:, None]
    assert select(apart, scores) == raw(scores)
    assert smoothed(apart, scores) == pytest.approx(scores, abs=1e-12)


def test_bounds_by_hand():
    # two trials one bandwidth apart: w = e^(−½); the only pair's gap is 0.1; a third, far and poor, is not good
    positions, scores = np.array([[0.50], [0.53], [0.0]]), np.array([0.7, 0.6, 0.1])
    w = math.exp(-0.5)
    noise = 0.1 / (math.sqrt(2) * 0.6744897501960817)
    first = (0.7 + w * 0.6) / (1 + w) - noise / math.sqrt(1 + w)
    assert smoothed(positions, scores)[0] == pytest.approx(first, abs=1e-9)
    assert select(positions, scores) == 0


def test_one_trial_is_chosen_and_its_bound_is_its_score():
    assert smoothed(np.array([[0.5]]), np.array([0.3])).tolist() == [0.3]
    assert select(np.zeros((1, 0)), np.array([0.3])) == 0


def test_options_are_equal_or_far_apart():
    positions, scores = np.array([[0.5, 0.0], [0.5, 1.0], [0.5, 0.0]]), np.array([0.5, 0.9, 0.6])
    choice = np.array([False, True])
    bounds = smoothed(positions, scores, choice)
    assert bounds[1] == 0.9  # alone, and the only good one: no noise is seen
    relabelled = positions * [1, 1000]
    assert smoothed(relabelled, scores, choice) == pytest.approx(bounds, abs=1e-12)
    assert smoothed(positions[[0, 2]], scores[[0, 2]], choice)[0] == pytest.approx(
        smoothed(positions[[0, 2], :1], scores[[0, 2]])[0], abs=1e-12
    )


def test_a_plateau_beats_a_lucky_survivor_among_the_diverged():
    plateau, cliff = [0.50, 0.51, 0.52, 0.53, 0.54], [0.88, 0.9, 0.92]
    positions = np.array([*plateau, *cliff])[:, None]
    scores = np.array([0.700, 0.712, 0.690, 0.705, 0.697, 0.1, 0.76, 0.1])
    assert raw(scores) == 6
    assert positions[select(positions, scores), 0] in plateau


@pytest.mark.parametrize("floors", [5, 15])
def test_floored_trials_do_not_hide_the_noise(floors):
    rng = np.random.default_rng(4)
    good = np.linspace(0.5, 0.53, 6)[:, None]
    scores = 0.7 + rng.normal(0, 0.01, 6)
    alone = scores - smoothed(good, scores)
    dead = np.linspace(0.9, 1.0, floors)[:, None]
    with_floors = smoothed(np.concatenate([good, dead]), np.concatenate([scores, np.full(floors, 0.1)]))
    assert (scores - with_floors[:6]) == pytest.approx(alone, abs=0.015)
    assert with_floors[:6].max() < scores.max()  # some noise was seen


@pytest.mark.parametrize(
    ("positions", "scores", "match"),
    [
        (np.zeros((2, 1)), np.zeros(3), "trials"),
        (np.zeros(2), np.zeros(2), "trials"),
        (np.zeros((0, 1)), np.zeros(0), "trials"),
        (np.zeros((1, 1)), np.array([math.nan]), "floor"),
        (np.array([[math.inf]]), np.zeros(1), "finite"),
    ],
)
def test_bad_trials_are_refused(positions, scores, match):
    with pytest.raises(ValueError, match=match):
        smoothed(positions, scores)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="choice"):
        smoothed(np.zeros((1, 1)), np.zeros(1), choice=np.array([True, False]))
    with pytest.raises(ValueError, match="floor"):
        raw(np.array([math.nan]))


def tuned(rng, curve, sd, survives, trials=20):
    """Ten uniform trials, then ten near the best so far: roughly how a sampler behaves."""
    positions, scores = [], []
    for t in range(trials):
        best = positions[int(np.argmax(scores))] if scores else 0.5
        x = rng.uniform() if t < trials // 2 else float(np.clip(best + rng.normal(0, 0.07), 0, 1))
        positions.append(x)
        scores.append(curve(x) + sd * rng.normal() if rng.uniform() < survives(x) else 0.1)
    return np.array(positions)[:, None], np.array(scores)


@pytest.mark.parametrize(
    ("curve", "sd", "survives"),
    [
        # rises slowly, falls off a cliff of random divergence: the lucky survivor at the cliff scores highest
        (lambda x: 0.45 + 0.3 * x, 0.012, lambda x: 1 - max(0.0, min(1.0, 6 * (x - 0.75)))),
        # a smooth optimum
        (lambda x: 0.1 + 0.6 * math.exp(-0.5 * ((x - 0.7) / 0.25) ** 2), 0.02, lambda x: 1.0),
    ],
    ids=["cliff", "smooth"],
)
def test_regret_is_lower_than_that_of_the_raw_best(curve, sd, survives):
    rng = np.random.default_rng(11)
    expected = lambda x: survives(x) * curve(x) + (1 - survives(x)) * 0.1  # noqa: E731
    top = max(expected(x) for x in np.linspace(0, 1, 2001))
    regrets = []
    for _ in range(300):
        positions, scores = tuned(rng, curve, sd, survives)
        chosen = select(positions, scores), raw(scores)
        regrets.append([top - expected(float(positions[i, 0])) for i in chosen])
    mean, spread = np.mean(regrets, axis=0), np.std(regrets, axis=0)
    print(f"regret, smoothed and raw: mean {mean}, sd {spread}")
    assert mean[0] < mean[1]
    assert spread[0] < spread[1]
