"""Edges of ranges, and what diverged runs count for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contenders.registry import RANGES
from assay.errors import NoVerdict
from assay.judge.divergence import floored, loser, survivor_differences, without_blown_up
from assay.judge.edges import Edge, edges, ends_hit, wider, wider_spaces
from assay.space import Choice, Float, Int

LR = Float(1e-5, 1e-1, log=True)


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([0.95] * 4 + [0.5] * 8, {"high": 4}),  # ⌈12/3⌉ = 4
        ([0.95] * 3 + [0.5] * 9, {}),
        ([0.95] * 3 + [0.5] * 7, {}),  # ⌈10/3⌉ = 4
        ([0.02] * 5 + [0.99] * 5, {"low": 5, "high": 5}),
        ([0.1, 0.9, 0.5], {"low": 1, "high": 1}),  # exactly a tenth is within it
        ([0.1 + 1e-9, 0.9 - 1e-9, 0.5], {}),
        ([1.0], {"high": 1}),
    ],
)
def test_ends_by_hand(positions, expected):
    assert ends_hit(np.array(positions)) == expected


def test_a_learning_rate_at_a_tenth_of_its_decades_is_at_the_edge():
    positions = np.array([[LR.to_unit(10**-1.4)], [LR.to_unit(10**-1.41)], [0.5]])
    assert edges(positions, {"lr": LR}) == [Edge("lr", "high", 1, 3)]


def test_edges_name_hyperparameters_and_skip_choices():
    space = {"kind": Choice(("a", "b")), "lr": LR, "depth": Int(1, 5)}
    positions = np.array([[0.0, 0.95, 0.0]] * 3)
    assert edges(positions, space) == [Edge("lr", "high", 3, 3), Edge("depth", "low", 3, 3)]
    with pytest.raises(ValueError, match="column"):
        edges(positions[:, :2], space)


@pytest.mark.parametrize(
    ("dimension", "ends", "expected"),
    [
        (LR, ["high"], Float(1e-5, 1.0, log=True)),
        (LR, ["low"], Float(1e-6, 1e-1, log=True)),
        (LR, ["low", "high"], Float(1e-6, 1.0, log=True)),
        (Float(0.2, 0.5), ["high"], Float(0.2, 0.8)),
        (Float(-1.0, 1.0), ["low"], Float(-3.0, 1.0)),
        (Float(0.1, 0.5), ["low"], Float(0.0, 0.5)),  # not below 0
        (Float(0.0, 0.5), ["low"], None),
        (Int(2, 5), ["high"], Int(2, 8)),
        (Int(16, 512, log=True), ["low"], Int(1, 512, log=True)),
        (Int(16, 512, log=True), ["high"], Int(16, 5120, log=True)),
        (Int(1, 512, log=True), ["low"], None),
        (Choice((1, 2)), ["low"], None),
        (Float(1e-307, 1.0, log=True), ["low"], None),
        (Float(1e300, 1e308, log=True), ["high"], None),
    ],
)
def test_wider_ranges(dimension, ends, expected):
    found = wider(dimension, ends)
    assert type(found) is type(expected)
    if isinstance(expected, Float):
        assert isinstance(found, Float)
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-2, abs=1e-12)
        assert found.log == expected.log
    else:
        assert found == expected


def test_no_contender_gets_more_room_than_another():
    space = {"lr": LR}
    more = {"lr": LR, "beta": Float(0.1, 0.9)}
    new = edges(np.array([[0.97, 0.5]] * 3), more)
    found = wider_spaces({"adam": (edges(np.array([[0.5]] * 3), space), space), "new": (new, more)})
    assert {name: {hp: str(d) for hp, d in dims.items()} for name, dims in found.items()} == {
        "adam": {"lr": "1e-05..1:log"},
        "new": {"lr": "1e-05..1:log"},
    }
    assert wider_spaces({"adam": (edges(np.array([[0.5]]), space), space)}) == {}


def test_a_range_that_ends_at_no_decay_has_no_edge_there_by_the_second_edition():
    space = {"weight_decay": RANGES["weight_decay"]}
    low, high = np.zeros((3, 1)), np.ones((3, 1))
    assert edges(low, space) == []
    assert edges(low, space, second=False) == [Edge("weight_decay", "low", 3, 3)]
    assert edges(high, space) == [Edge("weight_decay", "high", 3, 3)]
    assert edges(low, {"weight_decay": Float(1e-3, 1.0, log=True)}) == [Edge("weight_decay", "low", 3, 3)]


def test_no_warm_up_is_shorter_than_none_and_none_longer_than_all_of_training():
    low, high = np.full((3, 1), 0.05), np.full((3, 1), 0.95)
    assert edges(low, {"warmup": RANGES["warmup"]}) == []
    assert edges(low, {"warmup": Float(0.1, 0.2)}) == [Edge("warmup", "low", 3, 3)]
    for end, wanted in ((0.2, Float(0.0, 0.4)), (0.6, None)):
        space = {"warmup": Float(0.0, end)}
        found = wider_spaces({"a": (edges(high, space), space)})
        assert found == ({"a": {"warmup": wanted}} if wanted else {})
    steps = {"warmup": Float(0.0, 100.0)}  # of a class that takes one in steps
    assert wider_spaces({"a": (edges(high, steps), steps)}) == {"a": {"warmup": Float(0.0, 200.0)}}


def test_floors_take_the_place_of_what_diverged():
    scores = np.array([[0.7, math.nan], [math.inf, 0.6]])
    assert floored(scores, 0.1).tolist() == [[0.7, 0.1], [0.1, 0.6]]
    assert floored(scores, np.array([0.1, 0.2])).tolist() == [[0.7, 0.1], [0.2, 0.6]]
    assert floored(np.array([0.5, math.nan]), np.array([0.1, 0.2])).tolist() == [0.5, 0.2]
    with pytest.raises(ValueError, match="floor"):
        floored(scores, math.nan)
    with pytest.raises(ValueError, match="shape"):
        floored(scores, np.zeros(3))


def test_a_loss_at_ten_times_the_constant_predictors_has_blown_up():
    losses = np.array([[0.5, 9.9, 1e8], [0.5, 29.0, 31.0]])
    found = without_blown_up(losses, np.array([1.0, 3.0]))
    assert np.isnan(found).tolist() == [[False, False, True], [False, False, True]]
    assert floored(found, np.array([1.0, 3.0])).max() == 29.0
    assert not np.isnan(without_blown_up(losses, -1.0)).any()  # ten times nothing is no bound


def test_survivors_are_pairs():
    nan = math.nan
    candidate = np.array([[1.0, nan, 3.0], [nan, 2.0, nan], [4.0, 5.0, 6.0]])
    baseline = np.array([[0.5, 1.0, nan], [1.0, nan, 1.0], [4.0, 4.0, 4.0]])
    assert survivor_differences(candidate, baseline).tolist() == [0.5, 1.0]


def test_who_loses():
    dead, alive = np.full((2, 2), math.nan), np.array([[math.nan, 1.0], [math.nan, math.nan]])
    assert loser(alive, alive, "new", "adam") is None
    assert loser(dead, alive, "new", "adam") == "candidate"
    assert loser(alive, dead, "new", "adam") == "baseline"
    with pytest.raises(NoVerdict, match="adam and of new"):
        loser(dead, dead, "new", "adam")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_mirrored_positions_hit_the_other_end(positions):
    x = np.array(positions)
    there, mirrored = ends_hit(x), ends_hit(1 - x)
    assert (there.get("low"), there.get("high")) == (mirrored.get("high"), mirrored.get("low"))


@pytest.mark.parametrize(
    ("low", "high", "ends", "wider_"),
    [
        (0.99, 0.999, ["high"], (0.99, 0.9999)),
        (0.99, 0.999, ["low"], (0.9, 0.999)),
        (0.9, 0.999, ["low"], None),  # a decade further it would be 0
    ],
)
def test_near_one_a_range_grows_by_a_decade_of_what_is_left(low, high, ends, wider_):
    found = wider(Float(low, high, scale="1-log"), ends)
    assert found == (None if wider_ is None else Float(*wider_, scale="1-log"))
