"""The lengths of a schedule replay, by hand and against scipy's geometric mean."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from assay.controls.lengths import lengths


def everyone(norms: np.ndarray) -> np.ndarray:
    return np.ones(norms.shape[:2], dtype=bool)


def test_they_are_the_geometric_mean_of_the_other_replicates():
    norms = np.exp(np.random.default_rng(0).normal(size=(4, 3, 5))).astype(np.float32)
    found = lengths(norms, everyone(norms), "mine")
    assert isinstance(found, np.ndarray)
    for k in range(4):
        others = np.delete(norms, k, axis=0).reshape(9, 5).astype(float)
        np.testing.assert_allclose(found[k], stats.gmean(others, axis=0), rtol=1e-12)
    changed = norms.copy()
    changed[2] *= 7  # a replicate's own luck never reaches its own replay
    again = lengths(changed, everyone(norms), "mine")
    assert isinstance(again, np.ndarray)
    np.testing.assert_array_equal(again[2], found[2])
    assert (again[0] > found[0]).all()


def test_runs_that_diverged_do_not_count():
    norms = np.full((3, 2, 2), 2.0)
    norms[0, 0] = np.nan
    norms[1, 1] = 8.0
    alive = everyone(norms)
    alive[0, 0] = False
    found = lengths(norms, alive, "mine")
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found[0], 2 * np.sqrt(2))  # of 2, 8, 2, 2
    np.testing.assert_allclose(found[2], 2 * 2 ** (2 / 3))  # of 2, 2, 8


def test_a_step_on_which_nobody_moves_has_length_zero():
    norms = np.ones((2, 2, 3))
    norms[:, :, 0] = 0
    np.testing.assert_array_equal(lengths(norms, everyone(norms), "mine"), [[0, 1, 1]] * 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda norms, alive: norms.fill(0), "all zero"),
        (lambda norms, alive: norms.__setitem__((1, 0, 2), 0), "at step 3 some runs of mine stand still"),
        (lambda norms, alive: alive.fill(False), "6 of 6 final runs of mine diverged"),
        (lambda norms, alive: alive.__setitem__(slice(1, None), False), "4 of 6 final runs of mine diverged"),
        (lambda norms, alive: norms.__setitem__((0, 0, 0), np.inf), "no finite length"),
        (lambda norms, alive: norms.__setitem__((0, 0, 0), -1), "no finite length"),  # in a forged record
    ],
)
def test_what_gives_no_lengths_says_why(change, words):
    norms, alive = np.ones((3, 2, 4)), np.ones((3, 2), dtype=bool)
    change(norms, alive)
    assert words in lengths(norms, alive, "mine")
