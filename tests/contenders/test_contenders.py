from __future__ import annotations

import importlib.util
import linecache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from assay.contenders import CONTENDERS, contenders
from assay.contenders.interface import needs_closure
from assay.contenders.load import load
from assay.contenders.registry import LEARNING_RATE, RANGES
from assay.core import Contender, Member, Run
from assay.errors import UsageError
from assay.space import Choice, Float, Int, at
from assay.training import loop
from assay.training.numerics import loop_here

from .. import tiny

RUN = Run(total_steps=10, epochs=2, steps_per_epoch=5)

USERS = """
import torch

class Plain(torch.optim.SGD):
    def __init__(self, params, lr=0.1, beta: float = 0, depth: int = 2):
        super().__init__(params, lr=lr)
        self.beta, self.depth = beta, depth

class Named(torch.optim.SGD):
    def __init__(self, named_parameters, lr=0.1):
        pairs = list(named_parameters)
        self.names = [name for name, _ in pairs]
        super().__init__([p for _, p in pairs], lr=lr)

def from_model(model, lr, run):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    optimizer.steps = run.total_steps
    return optimizer

class Wraps:
    def __init__(self, optimizer, k=5):
        self.inner, self.k = optimizer, k
        self.param_groups = optimizer.param_groups

class WrapsClass:
    def __init__(self, base_optimizer_cls: type, params, lr):
        self.inner = base_optimizer_cls(params, lr=lr)
        self.param_groups = self.inner.param_groups

class Sharp(torch.optim.Optimizer):
    # sharpness-aware minimisation, as most people have it: the gradients are there before its closure is called
    def __init__(self, params, base_optimizer, rho=0.05, **settings):
        super().__init__(params, dict(rho=rho, **settings))
        self.inner = base_optimizer(self.param_groups, **settings)

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is not None, "it needs a closure"
        moves = []
        params = [p for g in self.param_groups for p in g["params"]]
        norm = torch.stack([p.grad.norm() for p in params]).norm()
        for p in params:
            moves.append(p.grad * 0.05 / (norm + 1e-12))
            p.add_(moves[-1])
        with torch.enable_grad():
            loss = closure()
        for p, move in zip(params, moves):
            p.sub_(move)
        self.inner.step()
        return loss

class Sharper(Sharp):
    def step(self, closure):
        with torch.enable_grad():
            closure()
        return super().step(closure)

class Fixed(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)

class Untuned(torch.optim.SGD):
    def __init__(self, params, gamma=0.1):
        super().__init__(params, lr=gamma)

class Odd:
    def __init__(self, things, lr=0.1):
        pass

class Needy:
    def __init__(self, params, lr, rho):
        pass

number = 3
"""


@pytest.fixture
def users(tmp_path: Path) -> str:
    file = tmp_path / "users.py"
    file.write_text(USERS)
    return str(file)


def made(contender: Contender, **hyperparameters):
    model = nn.Linear(3, 2)
    return contender.make(model, RUN, **{**contender.fixed, **hyperparameters}), model


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_every_registered_contender_is_made_and_steps(name):
    baseline = "adam" if name != "adam" else "sgd"
    optimizer, model = made(contenders([baseline, name])[1], lr=0.01)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_first_parameters_name_decides_what_is_given(users):
    plain, named, factory = contenders(["adam", f"{users}:Plain", f"{users}:Named", f"{users}:from_model"])[1:]
    optimizer, _ = made(plain, lr=0.5)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert made(named, lr=0.1)[0].names == ["weight", "bias"]
    assert made(factory, lr=0.1)[0].steps == 10
    assert plain.space == {"lr": Float(1e-5, 1e-1, log=True)}


class AsItLooks:
    """A wrapper that looks like an optimizer, its groups a property."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    @property
    def param_groups(self):
        return self.optimizer.param_groups


def test_a_wrappers_class_may_be_given_as_it_is():
    _, found = contenders(["adam", AsItLooks])
    assert found.name == "AsItLooks"
    assert type(made(found, lr=0.1)[0].optimizer) is torch.optim.Adam


def test_a_wrapper_is_given_the_baseline(users):
    adam, wraps, cls = contenders(["adam", f"{users}:Wraps", f"{users}:WrapsClass"])
    optimizer, _ = made(wraps, lr=0.25)
    assert isinstance(optimizer.inner, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert wraps.note == "Wraps wraps a fresh instance of adam"
    assert wraps.space == adam.space
    optimizer, _ = made(cls, lr=0.25)
    assert isinstance(optimizer.inner, torch.optim.Adam)
    assert "the class of adam" in cls.note


def test_alias_and_space(users):
    found = contenders(
        ["adam", f"mine={users}:Plain"],
        ["mine.beta=0..1", "mine.depth=1..4", "adam.lr=1e-4..1e-2:log", "adam.amsgrad=true|false"],
    )
    assert [c.name for c in found] == ["adam", "mine"]
    assert found[0].space == {"lr": Float(1e-4, 1e-2, log=True), "amsgrad": Choice((True, False))}
    assert found[1].space["beta"] == Float(0, 1)
    assert found[1].space["depth"] == Int(1, 4)


def test_what_stands_in_a_tuple_has_a_name_of_its_own():
    spaces = ["adamw.beta2=0.9..0.9999:1-log", "adamw.beta1=0.5..0.99", "adamw.betas=1|2"]
    found = contenders(["sgd", "adamw"], spaces[:2])[1]
    assert found.space["beta2"] == Float(0.9, 0.9999, scale="1-log")
    assert str(found.space["beta2"]) == "0.9..0.9999:1-log"
    model = torch.nn.Linear(2, 1)
    one = found.make(model, Run(1, 1, 1), lr=0.1, beta2=0.95)
    assert one.param_groups[0]["betas"] == (0.9, 0.95)
    both = found.make(model, Run(1, 1, 1), lr=0.1, beta1=0.7, beta2=0.95)
    assert both.param_groups[0]["betas"] == (0.7, 0.95)
    within = found.make(model, Run(1, 1, 1), lr=0.1, betas=(0.5, 0.6), beta2=0.95)
    assert within.param_groups[0]["betas"] == (0.5, 0.95)


def test_what_else_is_tuned_has_a_usual_range_where_it_is_taken():
    spaces = ["adam.weight_decay=0..0.1"]
    adam, momentum, plain = contenders(
        ["adam", "sgd-momentum", "adadelta"], spaces, tune=["lr,weight_decay", "momentum"]
    )
    assert adam.space == {"lr": LEARNING_RATE, "weight_decay": Float(0, 0.1)}  # its own range goes before
    assert momentum.space == {
        "lr": Float(1e-4, 1, log=True), "weight_decay": RANGES["weight_decay"], "momentum": RANGES["momentum"],
    }  # fmt: skip
    assert "momentum" not in momentum.fixed
    assert plain.space.keys() == {"lr", "weight_decay"}
    model = torch.nn.Linear(2, 1)
    made = momentum.make(model, Run(1, 1, 1), **momentum.fixed, lr=0.1, weight_decay=0.01, momentum=0.8)
    assert made.param_groups[0]["momentum"] == 0.8
    nested = contenders(["adam", "nadam"], tune=["beta2"])[1]
    assert nested.space["beta2"] == RANGES["beta2"]
    with pytest.raises(UsageError, match=r"no range is known of it; give one, as in --space NAME\.nesterov"):
        contenders(["adam", "sgd"], tune=["nesterov"])
    with pytest.raises(UsageError, match="did you mean weight_decay"):
        contenders(["adam", "sgd"], tune=["weight_decy"])
    with pytest.raises(UsageError, match="none of sgd, asgd takes it"):
        contenders(["sgd", "asgd"], tune=["beta2"])


def test_each_usual_range_holds_what_torch_itself_takes():
    model = torch.nn.Linear(2, 1)
    for name, range_ in RANGES.items():
        reference = "sgd" if name == "momentum" else "adam"
        made = contenders(["rprop", reference], tune=[name])[1]
        for unit in (0.0, 0.5, 1.0):
            made.made(model, Run(1, 1, 1), {"lr": 0.1, **at({name: range_}, [unit])})


def test_lion_by_its_name_finds_the_decay_that_its_rate_wants():
    pytest.importorskip("lion_pytorch", reason="pip install 'assay[board]'")
    adam, lion, given = contenders(
        ["adam", "lion", "lion_pytorch:Lion"], ["Lion.weight_decay=0.1..3:log"], tune=["weight_decay"]
    )
    assert adam.space["weight_decay"] == RANGES["weight_decay"] == Float(1e-5, 1.0, log=True)
    assert lion.space["weight_decay"] == Float(1e-5, 10.0, log=True)
    assert given.space["weight_decay"] == Float(0.1, 3.0, log=True)


def test_a_module_path_is_a_reference_too():
    found = contenders(["adam", "torch.optim:NAdam"])[1]
    assert found.name == "NAdam"
    assert found.source.startswith("torch 2.")


@pytest.mark.parametrize(
    ("names", "spaces", "words"),
    [
        (["adam", "adamm"], [], "did you mean adam"),
        (["adam", "adam"], [], "second=adam"),
        (["adam", "torch.optim:Adma"], [], "did you mean Adam"),
        (["adam", "no_such_module:X"], [], "no module"),
        (["adam", "no/such/file.py:X"], [], "no file"),
        (["adam", "{users}:Nothing"], [], "has no 'Nothing'"),
        (["adam", "{users}:number"], [], "neither a class nor a function"),
        (["adam", "{users}:Odd"], [], "'things'"),
        (["adam", "{users}:Needy"], [], "needs a value for rho"),
        (["{users}:Wraps", "adam"], [], "not the baseline"),
        (["{users}:Sharp", "adam"], [], "wraps another optimizer (base_optimizer)"),
        (["adam", "{users}:Fixed"], [], "takes no number that could be tuned"),
        (["adam", "{users}:Untuned"], [], "--space Untuned.gamma="),
        (["adam", "sgd"], ["adam.lr=1..1"], "below"),
        (["adam", "sgd"], ["adam.lr=0..1:log"], "above 0"),
        (["adam", "sgd"], ["adam.lr=a..b"], "numbers"),
        (["adam", "sgd"], ["adam.lr=1..2:ln"], "scale"),
        (["adam", "sgd"], ["adam.beta2=0..1:1-log"], "between 0 and 1"),
        (["adam", "sgd"], ["adam.beta3=0.1..0.9"], "takes no beta3"),
        (["adam", "sgd"], ["lr=1..2"], "NAME.hyperparameter"),
        (["adam", "sgd"], ["adm.lr=1..2"], "did you mean adam"),
        (["adam", "sgd"], ["sgd.beta=1..2"], "takes no beta"),
        (["adam", "sgd"], ["adam.betas=0.9..0.99"], "as a tuple, whose parts are tuned: beta1 and beta2"),
        (["adam", "sgd"], ["adam.amsgrad=true|"], "one of its options is empty"),
        (["adam", "sgd"], ["adam.amsgrad=true"], "or two options or more, as in 'a|b'"),
    ],
)
def test_bad_input_names_cause_and_mend(users, names, spaces, words):
    with pytest.raises(UsageError) as caught:
        contenders([name.replace("{users}", users) for name in names], spaces)
    assert words in str(caught.value)


def test_what_isnt_tuned_by_that_name_is_said_how():
    with pytest.raises(UsageError, match="--tune beta1,beta2"):
        contenders(["adam", "sgd"], tune=["betas"])


def test_a_module_that_fails_to_import_shows_its_own_frames(tmp_path):
    (tmp_path / "broken.py").write_text("import torch\n\ndef f():\n    return 1 / 0\n\nf()\n")
    with pytest.raises(UsageError) as caught:
        contenders(["adam", f"{tmp_path / 'broken.py'}:X"])
    assert "ZeroDivisionError" in str(caught.value)
    assert "return 1 / 0" in str(caught.value)
    assert "importlib" not in str(caught.value)


def test_two_helpers_of_one_name_are_told_apart_or_refused(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one_helper.py").write_text(f"FOLDER = {folder!r}")
        (tmp_path / folder / "mine.py").write_text(
            "import torch\nfrom one_helper import FOLDER\nclass Mine(torch.optim.SGD):\n    folder = FOLDER\n"
        )
    (mine,) = contenders([f"{tmp_path}/a/mine.py:Mine"])
    assert mine.name == "Mine"
    assert load(f"{tmp_path}/a/mine.py:Mine").folder == "a"
    with pytest.raises(UsageError, match=r"b/mine.py imports one_helper from beside it, and another .*a/one_h"):
        contenders([f"{tmp_path}/b/mine.py:Mine"])
    (tmp_path / "b" / "one_helper.py").rename(tmp_path / "b" / "other_helper.py")
    text = (tmp_path / "b" / "mine.py").read_text()
    (tmp_path / "b" / "mine.py").write_text(text.replace("one_helper", "other_helper"))
    assert load(f"{tmp_path}/b/mine.py:Mine").folder == "b"


def test_a_class_beside_parameters_is_the_baselines(users):
    sharp = contenders(["adam", f"{users}:Sharp"])[1]
    optimizer, _ = made(sharp, lr=0.01)
    assert type(optimizer.inner) is torch.optim.Adam
    assert optimizer.inner.param_groups[0]["lr"] == 0.01
    assert sharp.closure == "yes", "its step refuses None"
    assert "wraps the class of adam" in sharp.note


def test_what_has_nothing_to_tune_can_be_made_to_be_checked(users):
    assert contenders(["adam", f"{users}:Fixed"], untuned=True)[1].space == {}


def test_gradients_wanted_before_the_closure_are_named_with_what_mends_it(users):
    from assay.training.step import Step

    def step(contender: Contender) -> None:
        model = tiny.network()
        optimizer = contender.make(model, RUN, lr=0.01)
        Step(tiny.task(), contender, model, optimizer, RUN)(*(torch.from_numpy(a[:4]) for a in tiny.clouds(0).train))

    step(contenders(["adam", f"{users}:Sharper"])[1])
    with pytest.raises(AttributeError) as caught:
        step(contenders(["adam", f"{users}:Sharp"])[1])
    assert "class WithGradients(Sharp)" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("assert closure is not None", True),
        ("assert closure, 'give one'", True),
        ("if closure is None:\n        why = 'none'\n        raise ValueError(why)", True),
        ("if not closure: raise ValueError", True),
        ("loss = closure()", True),
        ("with torch.enable_grad():\n        loss = closure()", True),
        ("if closure is not None:\n        loss = closure()", False),
        ("loss = closure() if closure else None", False),
        ("loss = closure and closure()", False),
        ("if closure is None:\n        closure = lambda: 0\n    loss = closure()", False),
        ("if closure is None:\n        return None\n    loss = closure()", False),
        ("return None", False),
    ],
)
def test_a_closure_that_is_wanted_is_seen_in_the_steps_lines(tmp_path, body, wanted):
    text = f"import torch\ndef step(self, closure=None):\n    {body}\n"
    (tmp_path / "wants.py").write_text(text)
    spec = importlib.util.spec_from_file_location("wants", tmp_path / "wants.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    linecache.checkcache()
    assert needs_closure(module.step) is wanted


class OtherLayout:
    """Gives the optimizer that it wraps the same gradients, in another layout."""

    def __init__(self, optimizer):
        self.inner, self.param_groups = optimizer, optimizer.param_groups

    def step(self):
        lay_out_anew(self.param_groups)
        self.inner.step()


class LaysOut(torch.optim.Adam):
    def step(self, closure=None):
        lay_out_anew(self.param_groups)
        return super().step(closure)


def lay_out_anew(groups):
    for p in (p for group in groups for p in group["params"]):
        p.grad = p.grad.t().contiguous().t() if p.ndim == 2 else p.grad


@pytest.mark.parametrize("kind", [OtherLayout, LaysOut])
def test_a_gradients_layout_changes_no_number(kind):
    """torch's fused kernels on a CPU take the same bytes for another matrix: only torch's own classes have them, on their own."""
    member = Member(0, "final", 0, 0, {"lr": 0.01}, 1, 2, 3, 4)
    adam, other = contenders(["adam", kind])
    plain, found = (loop.train(tiny.task(epochs=2), c, [member], loop_here()) for c in (adam, other))
    np.testing.assert_allclose(found.train_loss, plain.train_loss, rtol=1e-4)
    fused = [c.make(torch.nn.Linear(2, 1), Run(1, 1, 1, fused=True), lr=0.1) for c in (adam, other)]
    assert fused[0].defaults["fused"]
    assert not getattr(fused[1], "inner", fused[1]).defaults["fused"]
