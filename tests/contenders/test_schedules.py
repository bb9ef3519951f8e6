"""Schedules by name, and closures found to be needed."""

from __future__ import annotations

import pickle

import msgspec
import pytest
import torch
from msgspec.structs import replace
from torch.optim.lr_scheduler import CosineAnnealingLR

from assay.contenders import contenders
from assay.contenders.resolve import again, settled
from assay.contenders.schedules import Schedule, see_that_it_schedules, split_schedule, with_schedule
from assay.core import Contender, Run
from assay.driver.job import contender_info
from assay.errors import UsageError
from assay.space import Choice, Float


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


class Warm(torch.optim.SGD):
    def __init__(self, params, lr=0.1, warmup=5.0):
        self.warmup = warmup
        super().__init__(params, lr=lr)


def test_a_warm_up_that_is_tuned_is_the_schedules_and_not_the_optimizers():
    adam, sgd = contenders(["adam+cosine", "sgd+linear"], ["sgd+linear.warmup=0..0.1"], tune=["warmup"])
    assert adam.space["warmup"] == Float(0.0, 0.2)
    assert sgd.space["warmup"] == Float(0.0, 0.1)
    for found in (adam, sgd):
        see_that_it_schedules(found)
        assert isinstance(
            found.made(torch.nn.Linear(2, 1), Run(10, 1, 10), {"lr": 0.1, "warmup": 0.1}), torch.optim.Optimizer
        )
    at, named = adam.schedule_at({"lr": 0.1, "warmup": 0.1}), Schedule("cosine", 0.1)
    assert at is not None
    assert [at(x / 50) for x in range(51)] == [named(x / 50) for x in range(51)]
    remade = again([contender_info(c) for c in (adam, sgd)])
    assert [(c.space, c.schedule, c.schedule_takes) for c in remade] == [
        (c.space, c.schedule, c.schedule_takes) for c in (adam, sgd)
    ]


def test_a_class_that_takes_a_warm_up_itself_is_given_it():
    (found,) = contenders([Warm], tune=["warmup"])
    assert found.schedule_takes == ()
    assert found.made(torch.nn.Linear(2, 1), Run(10, 1, 10), {"lr": 0.1, "warmup": 0.15}).warmup == 0.15
    see_that_it_schedules(found)


class Swallows(torch.optim.SGD):
    def __init__(self, params, lr=0.1, **others):
        self.others = others
        super().__init__(params, lr=lr)


def test_of_a_class_that_takes_anything_the_plan_says_whose_a_warm_up_is():
    (found,) = contenders([f"{__file__}:Swallows+cosine"], ["Swallows+cosine.warmup=0..0.1"])
    info = contender_info(found)
    assert info.schedule_takes == found.schedule_takes == ("warmup",)
    before = replace(info, schedule_takes=msgspec.UNSET)  # as plans were, when it was the class's
    for asked, others in ((info, {}), (before, {"warmup": 0.1})):
        (remade,) = again([asked])
        assert remade.made(torch.nn.Linear(2, 1), Run(10, 1, 10), {"lr": 0.1, "warmup": 0.1}).others == others


def test_a_wrapper_of_a_class_may_take_a_warm_up_of_its_own():
    def later(optimizer_cls, params, lr=0.1, warmup=0.0):
        made = optimizer_cls(params, lr=lr)
        made.later = warmup
        return made

    adam, outer = contenders(["adam+cosine", later], tune=["warmup"])
    assert (adam.schedule_takes, outer.schedule_takes) == (("warmup",), ())
    assert outer.made(torch.nn.Linear(2, 1), Run(10, 1, 10), {"lr": 0.1, "warmup": 0.1}).later == 0.1


def test_a_wrapper_of_one_that_warms_up_is_not_given_its_warm_up():
    def wrapped(optimizer):
        return optimizer

    adam, outer = contenders(["adam+cosine", wrapped], ["adam+cosine.warmup=0..0.1"])
    assert adam.schedule_takes == ("warmup",)
    assert set(outer.space) == {"lr"}
    assert isinstance(outer.made(torch.nn.Linear(2, 1), Run(10, 1, 10), {"lr": 0.1}), torch.optim.Adam)


def test_a_schedule_made_in_python_may_be_given_what_is_tuned():
    def hold(done, warmup, level=1.0):
        return min(level, done / warmup) if warmup else level

    def make(model, run, lr):
        return torch.optim.SGD(model.parameters(), lr=lr)

    space = {"lr": Float(0.1, 1), "warmup": Choice((0, 0.1)), "level": Float(0.5, 1)}
    given = Contender("mine", make, space, schedule=hold, schedule_takes=("warmup", "level"))
    (found,) = contenders([given])
    see_that_it_schedules(found)
    at = found.schedule_at({"warmup": 0.1, "level": 0.5})
    assert at is not None
    assert [at(x) for x in (0.0, 0.025, 0.5)] == [0.0, 0.25, 0.5]
    with pytest.raises(UsageError, match=r"mine: its schedule fails at 0 % .*unexpected keyword argument 'level'"):
        see_that_it_schedules(
            Contender("mine", make, space, schedule=Schedule("cosine"), schedule_takes=("warmup", "level"))
        )
    fixed = settled(Contender("mine", make, {"lr": Float(0.1, 1)}, schedule=Schedule()), {"lr": 0.1, "warmup": 0.1})
    assert fixed.schedule_takes == ("warmup",)
    for takes, words in (
        ("warmup", "a tuple of names"),
        (None, "a tuple of names"),
        ((5,), "a name"),
        (("lvl",), "takes lvl, which is neither"),
    ):
        with pytest.raises(UsageError, match=words):
            see_that_it_schedules(
                Contender("mine", make, {"lr": Float(0.1, 1)}, schedule=hold, schedule_takes=takes)  # type: ignore[arg-type]
            )
    (ranged,) = contenders(
        [Contender("mine", make, {"lr": Float(0.1, 1)}, schedule=Schedule())], ["mine.warmup=0..0.1"]
    )
    see_that_it_schedules(ranged)


@pytest.mark.parametrize(
    ("spaces", "schedule", "words"),
    [
        ((), "none", "adam names no warmup .* and has no schedule that might take it: give it one, as in adam.cosine"),
        ((), "warmup5+cosine", "its warm-up is tuned, so the schedule names none: cosine, not warmup5.cosine"),
        (("adam.warmup=0..5",), "cosine", "from 0 to below 1, not 5.0; 0.05 is 5 %"),
        (("adam.warmup=-1..0.1",), "cosine", "from 0 to below 1, not -1.0"),
        (("adam.warmup=0|short",), "cosine", "from 0 to below 1, not 'short'"),
        (("adam.warmup=0|true",), "cosine", "from 0 to below 1, not True"),
    ],
)
def test_a_warm_up_that_can_be_none_is_said_so_before_training(spaces, schedule, words):
    (found,) = contenders(["adam"], spaces, tune=["warmup"])
    with pytest.raises(UsageError, match=words):
        see_that_it_schedules(with_schedule(found, schedule))
