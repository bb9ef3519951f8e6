"""What can't end in a verdict is said in one line, naming the true cause, before anything is trained."""

from __future__ import annotations

import math

import polars as pl
import pytest
import torch
from torch import nn

import assay
from assay.contenders import contenders
from assay.contenders.adapt import adapt
from assay.contenders.registry import CONTENDERS
from assay.core import Metric
from assay.errors import UsageError
from assay.record import RunFolder
from assay.space import Float
from assay.tasks import find
from assay.training.made import validate_contender
from assay.training.validate import validate_task

from . import asked, tiny


def refused(**options) -> str:
    """The one line with which a plan is refused."""
    names = options.pop("names", ("adam", "sgd"))
    with pytest.raises(UsageError) as caught:
        asked.plan(*names, **{"task": tiny.task(), **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def invalid(**changes) -> str:
    """The one line with which a task is refused."""
    task = find(tiny.task(**changes))
    with pytest.raises(UsageError) as caught:
        validate_task(task, task.draw(0))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def frozen() -> nn.Module:
    return tiny.network().requires_grad_(False)


def test_a_model_whose_parameters_are_all_frozen():
    assert "all 4 of its model's parameters are frozen (requires_grad is False)" in invalid(model=frozen)


def test_a_model_without_parameters():
    assert "its model has no parameters, so nothing can be trained" in invalid(model=nn.Flatten)


def test_a_model_that_is_made_already():
    with pytest.raises(UsageError, match="its model is one that is made already; give the function that makes it"):
        tiny.task(model=nn.Linear(2, 2))


def test_a_model_that_is_the_same_each_time():
    """Else a training would begin with the weights of another, and numbers depend on which shared a process."""
    kept = tiny.network()
    assert "returns weights that it has returned before (0.weight)" in invalid(model=lambda: kept)


def freezing(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.requires_grad_(False).parameters(), lr=lr)


def test_a_factory_that_freezes_the_model():
    (contender,) = contenders([freezing])
    task = find(tiny.task())
    with pytest.raises(UsageError, match="freezing freezes all of the model's parameters when it is made"):
        validate_contender(task, contender, "cpu", 0)


class Both(torch.optim.Optimizer):
    """Its own groups are those of one half; the other half has an optimizer of its own."""

    def __init__(self, params, lr: float) -> None:
        first, *rest = params
        super().__init__([first], {"lr": lr})
        self.others = [torch.optim.SGD(rest, lr=lr)]

    def step(self, closure=None):
        self.others[0].step()


def test_what_is_given_a_part_of_the_model_is_named():
    """It trains as its author wrote it; who forgot the rest is told."""
    matrices, both, muon = contenders(
        [lambda model, lr: torch.optim.SGD([p for p in model.parameters() if p.ndim == 2], lr=lr), Both, "muon"]
    )
    task = find(tiny.task())
    said = validate_contender(task, matrices, "cpu", 0)
    assert said.startswith("its optimizer is given 2 of the model's 4 parameters; the others may stay as they began: ")
    assert said.endswith("0.bias, 2.bias")
    assert validate_contender(task, both, "cpu", 0) == validate_contender(task, muon, "cpu", 0) == ""


class Loose(torch.optim.SGD):
    """What its groups hold is its own business."""

    def __init__(self, params, lr: float) -> None:
        super().__init__(params, lr=lr)
        self.own, self.param_groups = self.param_groups, [{"lr": lr}]


class Parted(torch.optim.Optimizer):
    def __init__(self, params, lr: float) -> None:
        first, *rest = params
        super().__init__([first], {"lr": lr})
        self.by = {"rest": [[torch.optim.SGD(rest, lr=lr)]]}

    def step(self, closure=None):
        self.by["rest"][0][0].step()


def test_what_is_held_in_other_ways_is_neither_refused_nor_named():
    for contender in contenders([Loose, Parted]):
        assert validate_contender(find(tiny.task()), contender, "cpu", 0) == ""


def test_a_lambda_without_a_rate():
    said = refused(names=("adam", lambda model: torch.optim.SGD(model.parameters(), 0.1)))
    assert "give it an lr, as in lambda model, lr: …" in said


def test_a_metric_that_is_always_nan():
    metric = Metric("odd", lambda o, t: o.mean() * math.nan, lambda train, test: 0.5, "max", "")
    assert "its metric odd gives nan for finite outputs" in invalid(metric=metric)


def nan_at_the_end(done: float) -> float:
    return math.nan if done > 0.9 else 1.0


def raises_later(done: float) -> float:
    return 1 / (done - 0.5)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (nan_at_the_end, "scheduled: its schedule gives nan (a float) at 90.1 % of training"),
        (lambda done: None, "scheduled: its schedule gives None (a NoneType) at 0 % of training"),
        (lambda done: math.inf, "its schedule gives inf (a float)"),
    ],
)
def test_a_schedule_that_gives_no_number(schedule, words):
    mine = assay.Contender("scheduled", adapt(torch.optim.SGD, "sgd").make, {"lr": Float(1e-3, 1)}, schedule=schedule)
    assert words in refused(names=("adam", mine))


def test_a_schedule_that_fails():
    mine = assay.Contender(
        "scheduled", adapt(torch.optim.SGD, "sgd").make, {"lr": Float(1e-3, 1)}, schedule=raises_later
    )
    with pytest.raises(UsageError, match="scheduled: its schedule fails at 50 % of training: ZeroDivisionError"):
        asked.plan("adam", mine, task=tiny.task())


def test_a_schedule_that_counts_its_calls_is_asked_on_a_copy():
    calls: list[float] = []

    def counting(done: float) -> float:
        calls.append(done)
        return 1.0

    mine = assay.Contender("scheduled", adapt(torch.optim.SGD, "sgd").make, {"lr": Float(1e-3, 1)}, schedule=counting)
    asked.plan("adam", mine, task=tiny.task())
    assert calls == []


def test_a_margin_below_all_digits():
    assert "--margin 1e-298 points: scores have no such digits" in refused(margin=1e-300)


def test_a_range_below_all_digits():
    assert "--space adam.lr=1e-320..1e-310:log: the range" in refused(space="adam.lr=1e-320..1e-310:log")


class Eager(torch.optim.SGD):
    """As those that find their own step length: it wants a rate of 1."""

    def __init__(self, params, lr: float = 1.0):
        super().__init__(params, lr=lr)


class Passing(Eager):
    def __init__(self, params, **settings):
        super().__init__(params, **settings)


@pytest.mark.parametrize("target", [Eager, Passing])
def test_a_default_range_holds_the_classs_own_default(target):
    found = adapt(target, "eager")
    rate = found.space["lr"]
    assert isinstance(rate, Float)
    assert (rate.low, rate.high, rate.log) == (pytest.approx(10**-1.5), pytest.approx(10**1.5), True)
    assert "eager's own default learning rate is 1, and its range lies around it" in found.note
    assert str(found.space["lr"]) == "0.0316228..31.6228:log"
    given = adapt(target, "eager", tuned={"lr": Float(1e-3, 1, log=True)})
    assert (given.space["lr"], given.note) == (Float(1e-3, 1, log=True), "")
    assert adapt(torch.optim.NAdam, "nadam").space["lr"] == Float(1e-5, 1e-1, log=True)


@pytest.mark.parametrize("name", CONTENDERS)
def test_each_registered_range_holds_its_classs_default(name):
    found = contenders(["adam", name] if name != "adam" else ["adam"])[-1]
    rate = found.space["lr"]
    assert isinstance(rate, Float)
    made = found.make(nn.Linear(2, 2), assay.Run(1, 1, 1), **found.fixed, lr=1e-3)
    default = type(made)(nn.Linear(2, 2).parameters()).param_groups[0]["lr"]
    assert rate.low <= float(default) <= rate.high


class Writing(nn.Module):
    """Writes to its inputs where it is wanted, by what is given."""

    def __init__(self, wanted, write) -> None:
        super().__init__()
        self.wanted, self.write, self.layer = wanted, write, nn.Linear(4, 2)

    def forward(self, x):
        return self.layer(self.write(x) if self.wanted(x) else x)


def by_data(x):
    x.data.sub_(0.3)
    return x


@pytest.mark.parametrize("write", [lambda x: x.sub_(0.5), torch.relu_, by_data])
@pytest.mark.parametrize("wanted", [lambda x: True, lambda x: len(x) == 60])  # 60: only where it is evaluated
def test_a_model_that_writes_to_its_inputs(write, wanted):
    task = find(tiny.task(model=lambda: Writing(wanted, write)))
    drawn = task.draw(0)
    with pytest.raises(UsageError, match="task clouds: its model writes to the inputs or targets that it is given"):
        validate_task(task, drawn)
    assert drawn.digest == task.draw(0).digest


def test_a_loss_or_a_metric_that_writes_to_targets():
    assert "its loss writes to" in invalid(loss=lambda o, t: tiny.loss(o, t.clamp_(max=0)))
    metric = Metric("odd", lambda o, t: (o.argmax(1) == t.zero_()).double().mean(), lambda train, test: 0.5, "max", "")
    assert "its metric writes to" in invalid(metric=metric)
    sorting = Metric("odd", assay.metrics.accuracy.score, lambda train, test: float(train.sort() or 0.5), "max", "")
    assert "its metric odd's constant writes to the targets" in invalid(metric=sorting)


# --------------------------------------------------------------------------------------- optimizers that train nothing


class Lazy(torch.optim.SGD):
    """Its step does nothing."""

    def step(self, closure=None):
        return None


class Unfinished(torch.optim.Optimizer):
    """Has no step."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})


def of_copies(model, lr):
    return torch.optim.SGD([p.detach().clone().requires_grad_() for p in model.parameters()], lr)


@pytest.mark.parametrize("candidate", [Lazy, of_copies])
def test_an_optimizer_that_never_moves_a_parameter_is_not_judged(candidate, tmp_path):
    with pytest.raises(UsageError, match=f"{candidate.__name__} never moves a parameter: in none of its trials"):
        assay.compare(
            "adam", candidate, task=tiny.task(), trials=2, replicates=2, final_seeds=1, out=tmp_path / "run", quiet=True
        )
    kept = RunFolder.open(tmp_path / "run").frame()
    assert len(kept.filter(pl.col("phase") == "tune")) == 8  # nothing of it is lost


def test_an_optimizer_without_a_step_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"Unfinished makes a Unfinished, which has no step\(\) of its own"):
        assay.compare("adam", Unfinished, task=tiny.task(), trials=2, replicates=2, out=tmp_path / "run", quiet=True)


def test_a_contender_that_cant_be_called_as_it_will_be_says_so_when_it_is_made():
    space = {"lr": assay.Float(1e-3, 1.0, log=True)}
    with pytest.raises(UsageError, match=r"mine: its make is called with \(model, run, lr\), and takes \(model, lr\)"):
        assay.Contender("mine", lambda model, lr: None, space)
    assert assay.Contender("mine", lambda model, run, **settings: None, space).name == "mine"


def test_plan_only_points_to_the_function_that_plans():
    with pytest.raises(UsageError, match=r"assay\.plan\(…\) plans, and trains nothing"):
        assay.compare("adam", "sgd", plan_only=True)


def test_a_loader_whose_data_set_makes_the_batches_is_refused_by_that(tmp_path):
    held = torch.utils.data.TensorDataset(torch.randn(4, 20, 4), torch.randint(0, 2, (4, 20)))
    loader = torch.utils.data.DataLoader(held, batch_size=None)
    task = tiny.task(data=lambda seed: assay.Loaders(loader, loader, loader), batch_size=20)
    with pytest.raises(
        UsageError, match="its DataLoader has no batch_size, for its data set or its sampler makes the batches"
    ):
        assay.compare("adam", "sgd", task=task, trials=2, replicates=2, out=tmp_path / "run", quiet=True)
