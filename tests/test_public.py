"""Every public name is what it says, whenever and however it is imported, and known to editors and `help`."""

from __future__ import annotations

import importlib
import inspect
import itertools
import pkgutil
import pydoc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import assay
from assay.conformance import Report
from assay.errors import BrokenRecord, UsageError

from . import tiny

ROOT = Path(__file__).parents[1]
FEW: dict[str, Any] = {"trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop", "workers": 1, "quiet": True}


def constant(train: np.ndarray, test: np.ndarray) -> float:
    return 0.5


def refused(function: Any, *arguments: Any) -> None:
    with pytest.raises(UsageError):
        function(*arguments)


CALLS: dict[str, Callable[[Any], Any]] = {
    "Choice": lambda f: f((1, 2)),
    "Contender": lambda f: f("mine", lambda model, run: None, {}),
    "Float": lambda f: f(1, 2),
    "Int": lambda f: f(1, 2),
    "Loaders": lambda f: f(train=[], validation=[], test=[]),
    "Metric": lambda f: f("right", tiny.loss, constant, "max", ""),
    "Planned": lambda f: f(Path("x"), "0" * 64, ()),
    "Result": lambda f: f(Path("x"), {"verdicts": []}),
    "Run": lambda f: f(1, 1, 1),
    "Split": lambda f: f([], []),
    "Splits": lambda f: f([], None, []),
    "Task": lambda f: f("clouds", tiny.clouds, tiny.network, tiny.loss, assay.metrics.accuracy, 1, 1, 1, "a test's"),
    "check": lambda f: f("sgd"),
    "check_optimizer": lambda f: f("sgd"),
    "compare": lambda f: f("adam", "sgd", task="logistic", **FEW),
    "contender_for": lambda f: f("sgd", lr=0.1),
    "metrics": lambda f: f.accuracy.sign,
    "open": lambda f: refused(f, "nowhere"),
    "optim": lambda f: f.GNSAdam,
    "plan": lambda f: f("adam", "sgd", task="logistic", **FEW),
    "tasks": lambda f: f.text,
    "testing": lambda f: f.parametrize_with_checks(["sgd"]),
}


def attribute(name: str) -> Any:
    return getattr(assay, name)


def from_import(name: str) -> Any:
    names: dict[str, Any] = {}
    exec(f"from assay import {name}", names)
    return names[name]


def everything(name: str) -> Any:
    names: dict[str, Any] = {}
    exec("from assay import *", names)
    return names[name]


def by_text(name: str) -> Any:
    return getattr(importlib.import_module("assay"), name)


STYLES = (attribute, from_import, everything, by_text)


@pytest.fixture
def _cheap(monkeypatch, tmp_path):
    """Stand-ins for what takes time: planning, training, and the process that checks."""
    from assay.driver.plan import Comparison

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assay.driver.question.settle", lambda *_, **__: Comparison((), Path("x")))
    monkeypatch.setattr("assay.driver.compare.run", lambda *_, **__: {"verdicts": []})
    monkeypatch.setattr("assay.driver.compare.planned", lambda *_: assay.Planned(Path("x"), "0" * 64, ()))
    monkeypatch.setattr("assay.conformance.ask._report", lambda *_: Report("sgd", ()))


def test_what_a_notebook_or_a_shell_shows_of_a_value_is_what_it_says():
    planned = assay.plan("adam", "sgd", task="logistic", **FEW)
    assert repr(planned) == str(planned)
    assert repr(planned).startswith("adam: ")
    result = assay.Result(Path("mine"), {"verdicts": []}, "from the record, made at noon")
    assert repr(result).splitlines() == ["from the record, made at noon", "report: mine/report.html"]


@pytest.mark.usefixtures("_cheap")
def test_each_name_is_used_after_each_other_in_each_style():
    assert CALLS.keys() == {*assay.__all__, "open"}
    first = {name: getattr(assay, name) for name in CALLS}
    for one, other in itertools.product(CALLS, repeat=2):  # itself among them: twice
        CALLS[one](getattr(assay, one))
        for style in STYLES:
            if (style, other) == (everything, "open"):  # a star must not hide Python's own
                continue
            found = style(other)
            assert found is first[other]
            CALLS[other](found)


def test_no_function_or_class_has_the_name_of_a_module():
    rooms = {module.name for module in pkgutil.iter_modules(assay.__path__)}
    assert {name for name in assay.__all__ if name in rooms} == {"optim", "tasks", "testing"}
    assert [n for n in assay.__all__ if isinstance(getattr(assay, n), ModuleType)] == [
        "metrics",
        "optim",
        "tasks",
        "testing",
    ]


SCRIPT = """
import sys
import assay, torch
few = dict(task="logistic", epochs=1, trials=2, replicates=2, final_seeds=1, engine="loop", workers=1, quiet=True)
for again in range(2):
    assay.compare("adam", torch.optim.NAdam, out=sys.argv[1], **few)
from assay import compare
import assay.driver.compare, assay.conformance, assay.tasks, assay.optim
assert compare("adam", torch.optim.NAdam, out=sys.argv[1], **few).verdicts[0].candidate == "NAdam"
one = dict(speed=False, only=["zero_grad"])
assert assay.check("sgd", **one).ok
from assay import check
from assay.conformance import check as third
assert check is third is assay.check and check(torch.optim.SGD, **one).ok
assert assay.open(sys.argv[1]).verdicts == assay.open(sys.argv[1]).verdicts
try:
    import assay.check
except ModuleNotFoundError:
    pass
assert assay.check("sgd", **one).ok
print("all of it")
"""


def test_in_a_new_process_with_nothing_stood_in_for(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "all of it\n"), done.stderr


@pytest.mark.parametrize("name", ["compare", "plan", "check", "check_optimizer", "open"])
def test_help_and_signature_tell_the_options(name):
    function = getattr(assay, name)
    assert inspect.isfunction(function)
    wanted = {
        "compare": ["baseline", "candidates", "task", "margin", "trials", "out", "quiet"],
        "plan": ["baseline", "candidates", "task", "margin", "trials", "out", "quiet"],
        "check": ["contender", "speed", "limit", "only"],
        "check_optimizer": ["contender", "allow", "speed"],
        "open": ["folder"],
    }[name]
    assert set(wanted) <= set(inspect.signature(function).parameters)
    shown = pydoc.render_doc(function, renderer=pydoc.plaintext)
    assert function.__doc__.splitlines()[0] in shown
    assert all(parameter in shown for parameter in wanted)


def test_it_says_that_it_is_typed():
    assert (Path(assay.__file__).parent / "py.typed").is_file()


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright isn't installed")
def test_documented_forms_type_check():
    settings = (ROOT / "pyproject.toml").read_text()
    assert '"tests/typed_forms.py"' in settings  # so that `make lint` checks them


class Local(torch.optim.SGD):
    pass


def test_classes_and_functions_are_contenders(tmp_path):
    def halved(model, run, lr):
        return torch.optim.SGD(model.parameters(), lr=lr / 2)

    class Inner(torch.optim.Adam):
        pass

    options = {**FEW, "task": tiny.task()}
    result = assay.compare("adam", torch.optim.NAdam, Local, halved, Inner, out=tmp_path / "run", **options)
    assert [v.candidate for v in result.verdicts] == ["NAdam", "Local", "halved", "Inner"]
    planned = assay.plan("adam", torch.optim.NAdam, Local, **options)
    (task,) = planned.tasks
    assert [c.reference for c in task.science.contenders] == [
        "torch.optim:Adam",
        "torch.optim.nadam:NAdam",
        "" if Local.__module__ == "__main__" else task.science.contenders[2].reference,
    ]
    assert task.science.contenders[1].source.startswith("torch ")


async def later(model, lr):
    return torch.optim.SGD(model.parameters(), lr=lr)


def yielding(model, lr):
    yield torch.optim.SGD(model.parameters(), lr=lr)


WRONG: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
    (("adam", 3), {}, "a contender is a name, an optimizer's class"),
    (("adam", None), {}, "not None (a NoneType)"),
    (("adam", torch.optim.SGD([torch.zeros(1)])), {}, "a contender is a name"),
    (("adam", torch.nn.Linear(1, 1)), {}, "a contender is a name"),
    (("adam", torch.optim), {}, "a contender is a name"),
    (("adam", later), {}, "later is async, so calling it gives a coroutine"),
    (("adam", yielding), {}, "yielding yields, so calling it gives a generator"),
    (("adam", ["sgd"]), {}, "a contender is a name"),
    (("adam", "sgd"), {"task": "logistic", "margin": 1}, "a margin of 100 points is all that"),
    (("adam", "sgd"), {"fresh": "no"}, "fresh must be True or False, not 'no' (a str)"),
    ((), {}, "name a baseline and a candidate"),
    (("adam", "mine.py"), {}, "mine.py is a file: name what it holds"),
    (("adam", "sgd"), {"trial": 3}, "no option is called 'trial'; did you mean trials"),
    (("adam", "sgd"), {"trials": "3"}, "trials must be a whole number or None, not '3' (a str)"),
    (("adam", "sgd"), {"trials": 2.5}, "trials must be a whole number or None"),
    (("adam", "sgd"), {"trials": True}, "trials must be a whole number or None"),
    (("adam", "sgd"), {"margin": "1"}, "margin must be a number or None"),
    (("adam", "sgd"), {"epochs": [1, "2"]}, "epochs must be a whole number or a list of whole numbers or None"),
    (("adam", "sgd"), {"seed": None}, "seed must be a whole number, not None"),
    (("adam", "sgd"), {"task": 3}, "task must be a task's name"),
    (("adam", "sgd"), {"task": []}, "no task is named"),
    (("adam", "sgd"), {"task": tiny.task}, "task must be a task's name"),
    (("adam", "sgd"), {"space": 3}, "space must be a list of text"),
    (("adam", "sgd"), {"out": 3}, "out must be a folder's path"),
    (("adam", "sgd"), {"workers": 1.5}, "workers must be a whole number or text or None"),
    (("adam", "sgd"), {"engine": 1}, "engine must be auto or vectorized or loop"),
    (("adam", "sgd"), {"controls": "no"}, "controls must be True or False"),
    (("adam", "sgd"), {"device": None}, "device must be text"),
]


@pytest.mark.parametrize(("contenders", "options", "words"), WRONG, ids=[words for *_, words in WRONG])
def test_a_wrong_type_is_one_line(contenders, options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        assay.compare(*contenders, **{"quiet": True, **options})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


WRONG_PARTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: tiny.task(epochs="2"), "task clouds: its epochs must be a whole number, not '2' (a str)"),
    (lambda: tiny.task(epochs=1.5), "its epochs must be a whole number"),
    (lambda: tiny.task(batch_size=None), "its batch_size must be a whole number"),
    (lambda: tiny.task(margin="1"), "its margin must be a number"),
    (lambda: tiny.task(metric="accuracy"), "its metric must be an assay.Metric"),
    (lambda: tiny.task(model=tiny.network().state_dict()), "its model must be a function"),
    (lambda: tiny.task(loss="mse"), "its loss must be a function"),
    (lambda: tiny.task(name=3), "a task's name must be text"),
    (lambda: assay.Metric("m", tiny.loss, constant, "up", ""), "the metric m's direction must be max or min"),  # type: ignore[arg-type]
    (lambda: assay.Metric("m", tiny.loss, constant, "max", "", scale=0), "scale must be above 0"),
    (lambda: assay.Contender("c", "adam", {}), "c: its make must be a function"),  # type: ignore[arg-type]
    (lambda: assay.Contender("c", tiny.network, {"lr": (0, 1)}), "c: its range of lr must be assay.Float"),  # type: ignore[dict-item]
    (lambda: assay.Contender("c", tiny.network, {}, schedule="cosine"), "c: its schedule must be a function"),  # type: ignore[arg-type]
    (lambda: assay.open(3), "folder must be a run folder's path"),  # type: ignore[arg-type]
    (lambda: assay.check(3), "is checked, not 3"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "words"), WRONG_PARTS, ids=[words for _, words in WRONG_PARTS])
def test_a_wrong_type_is_one_line_where_it_is_given(make, words):
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_finished_run_is_opened(tmp_path):
    options = {**FEW, "task": tiny.task(), "out": tmp_path / "run"}
    made = assay.compare("adam", "sgd", **options)
    opened = assay.open(str(tmp_path / "run"))
    assert opened.content == made.content
    assert len(opened.frame().filter(pl.col("phase") != "pilot")) == 2 * 2 * 3
    with pytest.raises(UsageError, match="is no run folder"):
        assay.open(tmp_path)
    (tmp_path / "run" / "result.json").write_text("{}")
    with pytest.raises(BrokenRecord, match=r"not as it was sealed \(result.json was changed\)"):
        assay.open(tmp_path / "run")


def test_what_is_planned_is_what_the_command_prints(tmp_path, monkeypatch, capsys):
    from assay.cli import call

    monkeypatch.chdir(ROOT)
    asked = "adam sgd --task logistic --trials 2 --replicates 2 --final-seeds 1 --engine loop --workers 1 --quiet"
    assert call(["run", *asked.split(), "--plan-only"]) == 0
    planned = assay.plan("adam", "sgd", task="logistic", **FEW)
    without_time = [line.partition(", about")[0] for line in str(planned).splitlines()]
    assert without_time == [line.partition(", about")[0] for line in capsys.readouterr().out.splitlines()]
    assert planned.trainings == 2 * 2 * (2 + 1) + 2 * 3  # with pilots of three trials
    assert planned.plan_hash == planned.tasks[0].science.plan_hash
    assert planned.data["plan_hash"] == planned.plan_hash


def test_each_column_of_the_frame_is_told_of():
    from assay.record import chunks

    told = re.findall(r"`(\w+)`", inspect.cleandoc(assay.Result.frame.__doc__).partition("\n")[2])
    assert set(told) == {*chunks.SCHEMA, "test_score", "contender"}
