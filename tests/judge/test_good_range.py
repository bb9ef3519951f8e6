from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.judge.select import good_range


def test_a_plateau_with_noise_is_found_to_the_kernels_width():
    x = np.linspace(0, 1, 2001)
    scores = np.where((x > 0.4) & (x < 0.7), 0.7, 0.3)
    low, high = good_range(x, scores, margin=0.01)
    assert low == pytest.approx(0.4, abs=0.08)
    assert high == pytest.approx(0.7, abs=0.08)
    assert 0.4 <= low < high <= 0.7  # inside: at the edges the kernel mean already falls


def test_a_flat_curve_is_good_wherever_it_was_seen():
    assert good_range(np.linspace(0, 1, 50), np.full(50, 0.5), 0.01) == (0.0, 1.0)
    low, high = good_range(np.array([0.5]), np.array([0.5]), 0.01)
    assert (low, high) == (pytest.approx(0.41), pytest.approx(0.59))  # three bandwidths either side of the one trial


@given(shift=st.floats(-5, 5), seed=st.integers(0, 1000))
def test_a_constant_added_changes_nothing_and_a_wider_margin_never_narrows(shift, seed):
    rng = np.random.default_rng(seed)
    x, s = rng.random(30), rng.random(30)
    low, high = good_range(x, s, 0.1)
    assert good_range(x, s + shift, 0.1) == (low, high)
    wider = good_range(x, s, 0.2)
    assert wider[0] <= low <= high <= wider[1]


def test_no_trial_has_no_range():
    with pytest.raises(ValueError, match="alike"):
        good_range(np.array([]), np.array([]), 0.1)
