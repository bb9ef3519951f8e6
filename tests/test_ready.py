"""A contender at its settings trains as by hand: in a plain loop, and in the examples for Lightning, Accelerate and Trainer."""

from __future__ import annotations

import math
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import assay
from assay.errors import UsageError

from . import tiny

EXAMPLES = Path(__file__).parents[1] / "examples"
MINE = f"{EXAMPLES / 'own_class.py'}:CautiousSign"
LOOKAHEAD = f"{EXAMPLES / 'wrapper.py'}:Lookahead"
FACTORY = f"{EXAMPLES / 'factory.py'}:adamw_cosine"
EPOCHS = 3


class Twice(torch.optim.SGD):
    """Takes its step with the gradient of where the step would lead."""

    def step(self, closure: Callable[[], Any]):  # type: ignore[override]
        with torch.enable_grad():
            closure()
        before = [[p.detach().clone() for p in group["params"]] for group in self.param_groups]
        super().step()
        with torch.enable_grad():
            loss = closure()
        with torch.no_grad():
            for group, old in zip(self.param_groups, before, strict=True):
                for p, was in zip(group["params"], old, strict=True):
                    p.copy_(was)
        super().step()
        return loss


def after_three_steps(make: Callable[[nn.Module], Any]) -> list[torch.Tensor]:
    torch.manual_seed(0)
    model, x, y = tiny.network(), torch.randn(20, 4), torch.arange(20) % 2
    optimizer = make(model)
    for _ in range(3):
        model.zero_grad()
        tiny.loss(model(x), y).backward()
        optimizer.step()
    return list(model.parameters())


def same(found: Any, wanted: Any) -> None:
    torch.testing.assert_close([*found], [*wanted], rtol=0, atol=0)


def test_it_is_what_the_class_makes_by_hand_of_a_name_an_alias_a_class_or_a_tuples_part():
    by_hand = after_three_steps(lambda m: torch.optim.AdamW(m.parameters(), lr=0.01, betas=(0.9, 0.9), weight_decay=1))
    given = {"lr": 0.01, "beta2": 0.9, "weight_decay": 1}
    for named in ("adamw", "x=adamw", torch.optim.AdamW, "torch.optim:AdamW"):
        tuned = assay.contender_for(named, **given)
        same(after_three_steps(tuned.optimizer), by_hand)
        kind, settings = tuned.optimizer_cls_and_kwargs
        same(after_three_steps(lambda m, kind=kind, settings=settings: kind(m.parameters(), **settings)), by_hand)


def test_what_is_fixed_of_a_known_name_stays_unless_it_is_given():
    assert assay.contender_for("sgd-momentum", lr=0.1).settings == {"lr": 0.1, "momentum": 0.9}
    assert assay.contender_for("sgd-momentum", lr=0.1, momentum=0.5).settings == {"lr": 0.1, "momentum": 0.5}


def test_a_required_setting_and_one_of_a_contender_made_in_python_are_given():
    def factory(model, lr, rho):
        return torch.optim.SGD(model.parameters(), lr=lr, momentum=rho)

    group = assay.contender_for(factory, lr=0.1, rho=0.7).optimizer(tiny.network()).param_groups[0]
    assert (group["lr"], group["momentum"]) == (0.1, 0.7)
    made = assay.contender_for(FACTORY, lr=0.1, weight_decay=0.02).optimizer(tiny.network(), assay.Run(4, 2, 2))
    assert [g["weight_decay"] for g in made.param_groups] == [0.02, 0.0]


def test_a_wrapper_wraps_what_it_is_told():
    optimizer = assay.contender_for(LOOKAHEAD, baseline="sgd", lr=0.3, k=2).optimizer(tiny.network())
    assert type(optimizer.inner) is torch.optim.SGD
    assert (optimizer.k, optimizer.param_groups[0]["lr"]) == (2, 0.3)


def test_its_schedule_goes_by_the_step_and_none_is_a_constant_rate():
    for name, settings, factor in (
        ("sgd+cosine", {}, lambda t: 0.5 * (1 + math.cos(math.pi * t))),
        ("sgd+linear", {"warmup": 0.5}, lambda t: 0.01 + 0.99 * 2 * t if t < 0.5 else 2 - 2 * t),
        ("sgd", {}, lambda t: 1.0),
    ):
        tuned = assay.contender_for(name, lr=0.2, **settings)
        optimizer = tuned.optimizer(tiny.network())
        scheduler, rates = tuned.scheduler(optimizer, 8), []
        for _ in range(8):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(rates, [0.2 * factor(step / 8) for step in range(8)])


def asks(contender: Any, **settings: Any) -> Any:
    tuned = assay.contender_for(contender, **settings)
    return tuned.asks(tuned.optimizer(tiny.network(), assay.Run(4, 2, 2)))


def test_it_says_what_it_asks_of_the_code_around_it():
    assert str(asks("adam", lr=0.1)) == ""
    assert asks(torch.optim.LBFGS, lr=0.1).closure == "yes"
    assert asks(lambda model, lr: Twice(model.parameters(), lr=lr), lr=0.1).closure == "yes"
    graph = assay.Contender("graph", lambda model, run: Twice(model.parameters()), {}, closure="graph")
    assert "create_graph=True" in str(asks(graph))
    assert str(asks(LOOKAHEAD, baseline="sgd", lr=0.1)).startswith("foreign: it is no torch.optim.Optimizer")


def test_it_says_that_it_must_be_switched():
    pytest.importorskip("schedulefree")
    assert "optimizer.eval()" in str(asks("schedule-free-adamw", lr=0.1))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "unknown": (lambda: assay.contender_for("adm", lr=0.1), "no contender is called 'adm'"),
    "not taken": (lambda: assay.contender_for("adam", lr=0.1, rho=1), "adam takes no rho"),
    "a warm-up of nothing": (lambda: assay.contender_for("adam", lr=0.1, warmup=0.1), "no schedule that might take it"),
    "a warm-up that is none": (lambda: assay.contender_for("adam+cosine", lr=0.1, warmup=None), "a share of training"),
    "not given": (lambda: assay.contender_for("adam"), "adam needs a value for lr"),
    "not given to one of Python": (lambda: assay.contender_for(FACTORY, lr=0.1), "needs a value for weight_decay"),
    "not taken by one of Python": (lambda: assay.contender_for(FACTORY, lr=0.1, weight_decay=0, rho=1), "rho"),
    "wraps nothing": (lambda: assay.contender_for(LOOKAHEAD, lr=0.1), "baseline="),
    "no model": (lambda: assay.contender_for("sgd", lr=0.1).optimizer([]), "model must be a torch.nn.Module"),
    "no run": (lambda: assay.contender_for(FACTORY, lr=0.1, weight_decay=0).optimizer(tiny.network()), "assay.Run("),
    "nothing made": (lambda: asks(lambda model, lr: None, lr=0.1), "returns None instead of an optimizer"),
    "wrapper by class": (
        lambda: assay.contender_for(LOOKAHEAD, baseline="sgd", lr=0.1).optimizer_cls_and_kwargs,
        "no class of plain params",
    ),
    "function by class": (
        lambda: assay.contender_for(FACTORY, lr=0.1, weight_decay=0).optimizer_cls_and_kwargs,
        "no class of plain params",
    ),
    "schedule by class": (
        lambda: assay.contender_for("sgd+cosine", lr=0.1).optimizer_cls_and_kwargs,
        "optimizers=(optimizer, tuned.scheduler",
    ),
    "closure by class": (lambda: assay.contender_for(Twice, lr=0.1).optimizer_cls_and_kwargs, "needs a closure"),
    "no steps": (
        lambda: (t := assay.contender_for("sgd", lr=1)).scheduler(t.optimizer(tiny.network()), 0),
        "1 at least",
    ),
    "scheduled foreign": (
        lambda: assay.contender_for("sgd", lr=1).scheduler(None, 9),
        "must be a torch.optim.Optimizer",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_in_one_line(wrong):
    do, words = WRONG[wrong]
    with pytest.raises(UsageError) as refused:
        do()
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


FEW: dict[str, Any] = {"epochs": 1, "trials": 2, "final_seeds": 1, "engine": "loop", "workers": 1, "quiet": True}


def test_a_finished_run_gives_each_at_the_median_of_what_was_chosen(tmp_path):
    file = tmp_path / "mine.py"
    file.write_bytes((EXAMPLES / "own_class.py").read_bytes())
    mine, out = f"{file}:CautiousSign", tmp_path / "run"
    result = assay.compare("adam", f"{mine}+cosine", task="logistic", replicates=3, out=out, **FEW)
    for name in ("adam", "CautiousSign+cosine"):
        tuned = assay.open(out).contender(name)
        chosen = [each["lr"] for each in result.content["contenders"][name]["chosen"]]
        assert tuned.settings == {"lr": pytest.approx(np.median(chosen))}
        assert tuned.optimizer(tiny.network()).param_groups[0]["lr"] == tuned.settings["lr"]
        assert (tuned.contender.schedule is None) == (name == "adam")
    assert assay.open(out).contender("adam").optimizer_cls_and_kwargs[0] is torch.optim.Adam
    with pytest.raises(UsageError, match=r"no contender 'Cautious' in .*did you mean CautiousSign"):
        result.contender("Cautious")
    file.write_text(file.read_text() + "\n# edited\n")
    result.contender("adam")
    with pytest.raises(UsageError, match="was edited since the record was made"):
        result.contender("CautiousSign+cosine")


def test_of_several_tasks_one_is_opened(tmp_path):
    options = {**FEW, "task": ["logistic", "quadratic"], "replicates": 2, "out": tmp_path / "run"}
    result = assay.compare("adam", "sgd", **options)
    with pytest.raises(UsageError, match=r"assay\.open") as refused:
        result.contender("sgd")
    folder = str(refused.value).partition("assay.open('")[2].partition("'")[0]
    assert assay.open(folder).contender("sgd").settings["lr"] > 0


# The examples, in the packages that they are for.


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"with_{name}.py"))


def points_by_hand(dataset: Any, make: Callable[[Any], Any], factor: Callable[[float], float]) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = make(net.parameters())
    rate, batches = optimizer.param_groups[0]["lr"], [(dataset[i : i + 32]) for i in range(0, len(dataset), 32)]
    getattr(optimizer, "train", lambda: None)()
    for step in range(EPOCHS * len(batches)):
        x, y = batches[step % len(batches)]

        def closure(x: Any = x, y: Any = y) -> Any:
            net.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            return loss

        optimizer.param_groups[0]["lr"] = rate * factor(step / (EPOCHS * len(batches)))
        optimizer.step(closure)
    getattr(optimizer, "eval", lambda: None)()
    return net


@pytest.mark.filterwarnings("ignore")  # of those packages
@pytest.mark.parametrize("package", ["lightning", "accelerate"])
def test_a_network_trained_in_a_package_is_the_one_trained_by_hand(package):
    pytest.importorskip(package)
    there = example(package)
    kinds: dict[Any, Callable[[Any], Any]] = {
        "adam+cosine": lambda params: torch.optim.Adam(params, lr=0.02),
        Twice: lambda params: Twice(params, lr=0.02),
    }
    for contender, make in kinds.items():
        tuned = assay.contender_for(contender, lr=0.02)
        net = there["train"](tuned, EPOCHS)
        shape = tuned.contender.schedule or (lambda done: 1.0)
        same(net.parameters(), points_by_hand(there["data"](), make, shape).parameters())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["lightning", "accelerate"])
def test_a_schedule_free_optimizer_is_switched_in_a_package(package):
    pytest.importorskip(package)
    schedulefree = pytest.importorskip("schedulefree")
    there = example(package)
    net = there["train"](assay.contender_for("schedule-free-adamw", lr=0.02), EPOCHS)
    by_hand = points_by_hand(there["data"](), lambda p: schedulefree.AdamWScheduleFree(p, lr=0.02), lambda done: 1.0)
    torch.testing.assert_close([*net.parameters()], [*by_hand.parameters()], rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_network_trained_by_trainer_is_the_one_trained_by_hand():
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    there = example("transformers")
    texts, rate, decay = torch.stack([each["input_ids"] for each in there["data"]()]), 0.5, 0.01
    for name in ("sgd", "sgd+linear"):
        scheduled = (
            name == "sgd+linear"
        )  # given as an optimizer, of which all decays; by its class, norms and biases don't
        found = there["train"](assay.contender_for(name, lr=rate, weight_decay=decay))
        model = there["network"]()
        for step in range(there["STEPS"]):
            model.zero_grad()
            model(input_ids=texts, labels=texts).loss.backward()
            with torch.no_grad():
                for p in model.parameters():
                    decayed = decay if scheduled or p.dim() > 1 else 0.0
                    p -= rate * (1 - step / there["STEPS"] if scheduled else 1) * (p.grad + decayed * p)
        assert there["loss_of"](model) < 2.7
        torch.testing.assert_close([*found.parameters()], [*model.parameters()], rtol=0, atol=1e-4)
