"""The command in the report, read by the command line itself, has to ask the same question again."""

import shlex
from dataclasses import replace
from itertools import pairwise

import pytest

import assay.driver.run
from assay import cli
from assay.core import Contender, Plan
from assay.driver.job import Job
from assay.errors import UsageError
from assay.report.command import across, command, quoted
from assay.space import Float
from assay.training.numerics import loop_here

from .. import asked, tiny

pytestmark = pytest.mark.rendered


def frozen(job: Job) -> Plan:
    return Plan(job.science, tuple(loop_here() for _ in job.contenders))


class Planned(BaseException):
    """Raised in place of training."""


@pytest.fixture
def planned(monkeypatch):
    """What a command line would run, as a plan."""

    def stop(comparison, *_, **__):
        raise Planned(frozen(comparison.jobs[0]))

    monkeypatch.setattr(assay.driver.run, "run", stop)

    def plan(words):
        with pytest.raises(Planned) as caught:
            cli.call(words)
        return caught.value.args[0]

    return plan


OPTIMIZERS = """
import torch


class Mine(torch.optim.SGD):
    pass


class Wrapper:
    def __init__(self, optimizer, strength: float = 1.0):
        self.optimizer = optimizer
"""


@pytest.mark.parametrize(
    "typed",
    [
        "adam gns-adam",
        "adam gns-adam adamw --protocol honest --seed 7 --epochs 3",
        "adam second=adam --protocol honest --replicates 5 --final-seeds 3 --trials 9",
        "sgd sgd-momentum --space sgd-momentum.momentum=0..0.99 --space sgd.lr=1.2345678901e-5..0.1:log",
        "adam Mine=torch.optim:SGD --train-samples 400 --margin 0.7",
        "adam 'our file.py:Mine' --margin 0.3 --space Mine.lr=1e-3..1:log --space Mine.nesterov=true|false",
        "adam 'w=our file.py:Wrapper' --space w.strength=0..1",
        "sgd-momentum m2=sgd-momentum --engine loop --device cpu",
        "adam sgd-momentum --schedule warmup5+cosine",
        "adam sgd-momentum --schedule cosine --tune warmup --space sgd-momentum.warmup=0..0.1",
        "adam sgd-momentum+cosine slow=muon --task digits",
        "adam gns-adam --protocol honest-1",
        "adam 'our file.py:Mine' --protocol honest-1 --space Mine.lr=1e-3..1:log --trials 6",
    ],
)
def test_the_command_asks_the_same_question(typed, planned, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "our file.py").write_text(OPTIMIZERS)
    first = planned(["run", *shlex.split(typed)])
    typed_again = command(first)
    assert typed_again is not None
    words = shlex.split(" ".join(quoted(typed_again)))
    assert words == typed_again
    assert words[:2] == ["assay", "run"]
    again = planned(words[1:])
    assert again.science == first.science
    assert again.science.plan_hash == first.science.plan_hash


def test_the_command_across_tasks_gives_each_option_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sales.csv").write_text("size,price\n" + "\n".join(f"{i}.5,{i % 7}.25" for i in range(200)))
    given = {"task": "digits,table:sales.csv", "target": "price", "width": 8, "schedule": ["cosine"]}
    found = asked.plan("adam", "sgd-momentum", **given)
    assert found.suite is not None
    words = across(found.suite, [frozen(job) for job in found.jobs])
    assert words is not None
    assert words[:4] == ["assay", "run", "adam=adam+cosine", "sgd-momentum=sgd-momentum+cosine"]
    pairs = list(pairwise(words))
    for pair in (("--task", "digits,table:sales.csv"), ("--target", "price"), ("--width", "8")):
        assert pairs.count(pair) == 1


def test_the_command_with_two_schedules_gives_nobody_one_of_its_own():
    found = asked.plan("adam", "sgd+linear", task="logistic", schedule=["cosine", "none"])
    assert found.suite is not None
    words = across(found.suite, [frozen(job) for job in found.jobs])
    assert words is not None
    assert words[:4] == ["assay", "run", "adam", "sgd+linear"]
    assert [b for a, b in pairwise(words) if a == "--schedule"] == ["cosine", "none"]
    again = asked.plan("adam", "sgd+linear", task="logistic", schedule=["cosine", "none"])
    assert [job.science for job in again.jobs] == [job.science for job in found.jobs]
    with pytest.raises(UsageError, match="each contender names one of its own"):
        asked.plan("adam+cosine", "sgd+linear", task="logistic", schedule=["cosine", "none"])


def test_wider_ranges_take_the_place_of_those_of_the_plan(planned):
    first = planned(["run", "adam", "gns-adam"])
    words = command(first, {"adam": {"lr": "1e-05..1:log"}, "gns-adam": {"lr": "1e-05..1:log"}})
    assert words is not None
    again = planned(words[1:])
    assert [c.space["lr"] for c in again.science.contenders] == [Float(1e-5, 1.0, log=True)] * 2
    assert again.science.task == first.science.task


def test_what_was_made_in_python_has_no_command():
    made = Contender("mine", lambda model, run, lr: None, {"lr": Float(0.1, 1.0)}, source="sha256:0")
    assert command(frozen(asked.job("adam", made))) is None
    assert command(frozen(asked.job("adam", "adamw", task=replace(tiny.task(), reference="")))) is None
