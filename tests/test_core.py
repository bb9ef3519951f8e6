from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core import Protocol, canonical
from assay.driver.job import science_of
from assay.driver.study import SAMPLER_OPTIONS
from assay.errors import UsageError
from assay.space import Choice, Float, Int

from . import asked


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(1.0, 1.0), "below"),
        (lambda: Float(2.0, 1.0), "below"),
        (lambda: Float(0.0, 1.0, log=True), "above 0"),
        (lambda: Int(0, 4, log=True), "above 0"),
        (lambda: Float(0.0, math.inf), "finite"),
        (lambda: Float(math.nan, 1.0), "finite"),
        (lambda: Choice(("a", "a")), "different"),
    ],
)
def test_a_space_that_is_none_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@given(low=st.floats(1e-8, 1.0), factor=st.floats(1.5, 1e6), where=st.floats(0, 1), log=st.booleans())
def test_unit_scale_runs_from_0_to_1_in_the_spaces_own_measure(low, factor, where, log):
    space = Float(low, low * factor, log)
    assert space.to_unit(space.low) == pytest.approx(0, abs=1e-9)
    assert space.to_unit(space.high) == pytest.approx(1)
    value = low * factor**where if log else low + where * (low * factor - low)
    assert space.to_unit(value) == pytest.approx(where, abs=1e-6)


def test_the_plans_hash_is_its_content(task):
    from assay.contenders import contenders

    found = contenders(["adam", "sgd"])
    protocol = Protocol("honest", 2, 3, 1, sampler_options=SAMPLER_OPTIONS)
    science = science_of(task, found, protocol, seed=0)
    again = msgspec.json.decode(canonical(science), type=type(science))
    assert again == science
    assert again.plan_hash == science.plan_hash
    assert science_of(task, found, protocol, seed=1).plan_hash != science.plan_hash
    more = msgspec.structs.replace(science, protocol=msgspec.structs.replace(protocol, replicates=5))
    assert more.plan_hash != science.plan_hash
    assert more.training_hash(0) == science.training_hash(0)  # the same trainings, asked for in greater number
    assert science.training_hash(0) != science.training_hash(1)


def test_epochs_of_any_whole_number_are_taken_and_nothing_else(task):
    assert asked.job("adam", "sgd", task=task, epochs=np.int64(3)).science.task.epochs == 3
    for wrong in (1.5, "1"):
        with pytest.raises(UsageError, match=r"--epochs .*whole number"):
            asked.job("adam", "sgd", task=task, epochs=wrong)
