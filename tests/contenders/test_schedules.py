"""Schedules by name, and closures found to be needed."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from assay.contenders import contenders
from assay.contenders.resolve import again
from assay.contenders.schedules import Schedule, split_schedule
from assay.driver.job import contender_info
from assay.errors import UsageError


def test_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert Schedule("cosine")(step / 20) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


def test_warm_up_then_linear():
    schedule = Schedule("linear", 0.1)
    assert [round(schedule(x), 6) for x in (0.0, 0.05, 0.1, 0.55, 1.0)] == [0.01, 0.505, 1.0, 0.5, 0.0]
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedule.__name__ == "warmup10+linear"


@pytest.mark.parametrize(
    ("text", "reference", "schedule"),
    [
        ("adam", "adam", None),
        ("adam+cosine", "adam", Schedule("cosine")),
        ("adam+warmup10+linear", "adam", Schedule("linear", 0.1)),
        ("adam+warmup5", "adam", Schedule("constant", 0.05)),
        ("a+b/file.py:Name+cosine", "a+b/file.py:Name", Schedule("cosine")),
    ],
)
def test_a_reference_is_split(text, reference, schedule):
    assert split_schedule(text) == (reference, schedule)


@pytest.mark.parametrize("text", ["adam+cosin", "adam+cosine+linear", "adam+cosine+warmup100", "adam+warmup100"])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(UsageError, match="is no schedule here"):
        split_schedule(text)


def test_a_warm_up_behind_the_shape_is_told_its_place():
    with pytest.raises(UsageError, match=r"write adam\+warmup10\+cosine"):
        split_schedule("adam+cosine+warmup10")


def test_a_contender_keeps_its_schedule_and_is_made_again_with_it():
    found = contenders(["adam", "adam+cosine", "mine=sgd+warmup10+linear"])
    assert [c.name for c in found] == ["adam", "adam+cosine", "mine"]
    assert found[1].schedule == Schedule("cosine")
    remade = again([contender_info(c) for c in found])
    assert [c.schedule for c in remade] == [c.schedule for c in found]
    assert [c.reference for c in found] == [
        "torch.optim:Adam",
        "torch.optim:Adam+cosine",
        "torch.optim:SGD+warmup10+linear",
    ]


def test_a_class_whose_step_needs_a_closure_is_given_one():
    assert contenders(["adam", "torch.optim:LBFGS"])[1].closure == "yes"
    assert contenders(["adam", "sgd"])[1].closure == "no"
