"""Data drawn quickly is the package's data, to the bit."""

import random

import numpy as np
import pytest
from mnist1d.data import get_dataset_args, make_dataset

from assay.tasks.mnist1d import generate, signals


def made_by_the_package(samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    arguments = get_dataset_args()
    vars(arguments).update(num_samples=samples, seed=seed)
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        made = make_dataset(arguments)
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
    return np.concatenate([made["x"], made["x_test"]]), np.concatenate([made["y"], made["y_test"]])


@pytest.mark.parametrize(("samples", "seed"), [(1200, 42), (200, 0), (200, 2**32 - 1)])
def test_equal_to_the_package_s_own_samples(samples, seed):
    x, y = signals(samples, seed)
    expected_x, expected_y = made_by_the_package(samples, seed)
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)


def test_the_splits_share_out_the_samples_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    made = generate(5, 160, 40, 40)
    assert made.validation is not None
    expected_x, expected_y = made_by_the_package(240, 5)
    parts = (made.train, made.validation, made.test)
    assert [len(part.inputs) for part in parts] == [160, 40, 40]
    np.testing.assert_array_equal(np.concatenate([p.inputs for p in parts]), expected_x.astype(np.float32))
    np.testing.assert_array_equal(np.concatenate([p.targets for p in parts]), expected_y)


def test_the_global_generator_is_left_alone():
    np.random.seed(3)
    signals(200, 1)
    assert np.random.random() == np.random.RandomState(3).random()


def test_no_row_is_shared_between_seeds():
    rows = [set(map(bytes, signals(200, seed)[0].round(6))) for seed in (1, 2)]
    assert not rows[0] & rows[1]
