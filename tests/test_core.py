from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assay.core import Contender, Metric, Protocol, ProtocolOptions, canonical, plan_of
from assay.core.plan import SAMPLER_OPTIONS
from assay.driver.job import science_of
from assay.driver.protocol import protocol_of
from assay.errors import UsageError
from assay.record.plan import read_plan, write_plan
from assay.space import Choice, Float, Int
from assay.training.numerics import loop_here

from . import asked, tiny


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
        (lambda: Float(1e-320, 1e-310, log=True), "too near 0"),
        (lambda: Float(0, 1e-310), "too near 0"),
        (lambda: Float(1e-300, 1e300, log=True), "wider than a number can tell"),
        (lambda: Float(-1e308, 1e308), "wider than a number can tell"),
        (lambda: Float(0.0, 0.9, scale="1-log"), "between 0 and 1"),
        (lambda: Float(0.9, 1.0, scale="1-log"), "between 0 and 1"),
        (lambda: Float(0.1, 0.9, log=True, scale="1-log"), "one scale"),
        (lambda: Float(0.1, 0.9, scale="log"), "is unknown"),  # type: ignore[arg-type]
        (lambda: Float("1", 2), "must be a number, not '1'"),  # type: ignore[arg-type]
        (lambda: Float(True, 2), "must be a number, not True"),
        (lambda: Float(10**400, 2), "a float can hold"),
        (lambda: Int(1.5, 2), "must be one"),  # type: ignore[arg-type]
        (lambda: Int(0, 2**70), "must be one"),
        (lambda: Choice((1, None)), "must be a number, a text or a truth value"),  # type: ignore[arg-type]
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


@given(low=st.floats(0.01, 0.9), nines=st.floats(1.0, 6.0), where=st.floats(0, 1))
def test_near_one_the_unit_scale_is_even_in_the_logarithm_of_what_is_left(low, nines, where):
    left = (1 - low) * 10**-nines
    space = Float(low, 1 - left, scale="1-log")
    assert (space.to_unit(space.low), space.to_unit(space.high)) == pytest.approx((0, 1))
    value = 1 - (1 - low) * 10 ** (-nines * where)
    assert space.to_unit(value) == pytest.approx(where, abs=1e-6)
    assert space.from_unit(where) == pytest.approx(value)
    assert msgspec.json.decode(msgspec.json.encode(space), type=Float) == space


def test_a_range_without_that_scale_is_written_as_ever():
    assert msgspec.json.encode(Float(1e-3, 1, log=True)) == b'{"kind":"float","low":0.001,"high":1.0,"log":true}'


FINITE = st.floats(-1e6, 1e6) | st.integers(-(10**6), 10**6) | st.sampled_from([np.float32(0.1), np.int64(3)])


@st.composite
def dimensions(draw):
    """Ranges as users write them: whole numbers where real ones are meant, NumPy's, lists."""
    kind, log = draw(st.sampled_from(["float", "int", "choice"])), draw(st.booleans())
    if kind == "choice":
        options = st.one_of(FINITE, st.text(max_size=5), st.booleans())
        drawn = draw(st.lists(options, min_size=2, max_size=4))
        assume(len(set(drawn)) >= 2)
        return Choice(drawn)  # type: ignore[arg-type]
    low, high = sorted((draw(FINITE), draw(FINITE)))
    assume(float(high) - float(low) >= 1)
    if log:
        low, high = abs(low) + 1, abs(low) + abs(high) + 3
    return Float(low, high, log) if kind == "float" else Int(math.floor(low), math.ceil(high), log)


NUMBER = st.floats(1e-30, 1e30) | st.integers(1, 10**6) | st.sampled_from([np.float64(0.5), np.int32(2)])


def NOTHING(*_: Any, **__: Any) -> Any:
    return None


@settings(max_examples=60)
@given(
    spaces=st.lists(st.dictionaries(st.text(max_size=6), dimensions(), min_size=1, max_size=3), min_size=2, max_size=3),
    margin=NUMBER,
    scale=NUMBER,
    options=st.dictionaries(st.text(max_size=5), FINITE | st.text(max_size=5) | st.booleans(), max_size=3),
    counts=st.tuples(*[st.integers(1, 50)] * 5),
    replicates=st.integers(1, 30) | st.sampled_from(["auto", "auto:20", "7"]) | st.builds(np.int64, st.integers(2, 9)),
    looks=st.none() | st.sampled_from(["6,7", (6, 9), [np.int64(7), 8], "12,24"]),
    seed=st.integers(0, 2**40) | st.sampled_from([np.int64(7), 3.0]),
    protocol=st.sampled_from(["honest", "honest-1", "published"]),
    texts=st.tuples(*[st.text(max_size=8)] * 4),
)
def test_a_plan_read_back_is_the_plan_that_was_written(
    spaces, margin, scale, options, counts, replicates, looks, seed, protocol, texts
):  # fmt: skip
    """Over all that can be planned: whatever is not refused in one line is on disk as it is in memory."""
    epochs, batch, trials, finals, fixed = counts
    metric = Metric("m", NOTHING, NOTHING, "max", texts[0], scale)
    task = tiny.task(
        metric=metric, margin=margin, epochs=float(epochs), batch_size=np.int64(batch), margin_reason=texts[1],
        options=options, note=texts[2],
    )  # fmt: skip
    found = [
        Contender(f"{texts[3]}{i}", NOTHING, space, fixed={"fixed": fixed}, note=texts[1])
        for i, space in enumerate(spaces)
    ]
    try:
        asked = ProtocolOptions(
            protocol=protocol, trials=trials, final_seeds=finals, seed=seed,
            replicates=None if looks else replicates, looks=looks,
        )  # fmt: skip
        science = science_of(task, found, protocol_of(asked, found), asked.seed)
    except UsageError:
        return
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(science, (msgspec.structs.replace(loop_here(), reason=texts[0]),) * len(found))
        write_plan(Path(folder), plan)
        again = read_plan(Path(folder))
    assert again == plan
    assert again.science.plan_hash == plan.science.plan_hash
    assert [again.science.training_hash(i) for i in range(len(found))] == [
        science.training_hash(i) for i in range(len(found))
    ]
    assert [c.space for c in again.science.contenders] == [dict(c.space) for c in found]
    assert canonical(again) == canonical(plan)


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
        with pytest.raises(UsageError, match=r"epochs must be a whole number or a list"):
            asked.job("adam", "sgd", task=task, epochs=wrong)
