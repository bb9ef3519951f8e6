"""An answer on record is given as one, with its date, only where the data is what it was; fresh ones lose nothing."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import assay
from assay import events
from assay.cli import call
from assay.core import Splits
from assay.driver import verify
from assay.errors import UsageError
from assay.workers import jobs

from . import asked, tiny

FEW = {"trials": 1, "replicates": 2, "final_seeds": 1, "engine": "loop"}
OPTIONS = ["--trials", "1", "--replicates", "2", "--final-seeds", "1", "--engine", "loop", "--workers", "1", "--quiet"]
FROM_RECORD = re.compile(r"from the record, made at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
FILE = """
from dataclasses import replace
import numpy as np
from tests import tiny
from assay import Split, Splits

def data(seed):
    more = np.load({where!r})["more"]
    s = tiny.clouds(seed)
    return replace(s, train=Split(s.train.inputs + more, s.train.targets))

def task():
    return tiny.task(data=data)

def other():
    return tiny.task(name="other", data=data)
"""


def run(folder: Path | None, fresh: bool = False, on_event=events.ignore, **options):
    options = {"task": tiny.task(), **FEW, **options}
    return asked.run(asked.plan("adam", "sgd", out=folder, **options), on_event=on_event, fresh=fresh)


@pytest.fixture
def where(tmp_path) -> Path:
    """A task in `mine.py` that reads what `data.npz` holds."""
    (tmp_path / "mine.py").write_text(FILE.format(where=str(tmp_path / "data.npz")))
    np.savez(tmp_path / "data.npz", more=np.float32(0))
    return tmp_path


def members(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_an_answer_from_the_record_says_so_and_fresh_trains_anew_and_loses_nothing(tmp_path):
    folder = tmp_path / "run"
    first, second = run(folder), run(folder)
    assert first.recorded == ""
    assert FROM_RECORD.fullmatch(second.recorded)
    assert second.content == first.content
    made = json.loads((folder / "timings.json").read_text())["made"]
    assert made in second.recorded
    assert run(folder).recorded == second.recorded, "when it was made, not when it was looked at last"
    assert second.recorded in second._repr_html_()
    assert "from the record" not in first._repr_html_()
    kept, told = members(folder), []
    third = run(folder, fresh=True, on_event=told.append)
    assert third.recorded == ""
    assert third.verdicts == first.verdicts
    assert members(tmp_path / "run.before-1") == kept
    assert not list(verify.faults(tmp_path / "run.before-1"))
    warned = [e.message for e in told if isinstance(e, events.Warned)]
    assert any(str(tmp_path / "run.before-1") in line for line in warned)
    trained = [e for e in told if isinstance(e, events.Trained)]
    assert trained
    assert not any(e.recorded for e in trained)
    run(folder, fresh=True)
    assert members(tmp_path / "run.before-1") == kept
    assert (tmp_path / "run.before-2" / "plan.json").exists()


def test_what_goes_on_with_a_record_is_not_from_it(tmp_path):
    run(tmp_path / "run")
    for name in ("manifest.json", "result.json"):
        (tmp_path / "run" / name).unlink()
    next((tmp_path / "run" / "members").glob("*.parquet")).unlink()
    assert run(tmp_path / "run").recorded == ""


def test_a_record_of_an_earlier_layout_has_the_time_of_its_members(tmp_path):
    run(tmp_path / "run")
    timings = tmp_path / "run" / "timings.json"
    content = json.loads(timings.read_text())
    del content["made"]
    timings.write_text(json.dumps(content))
    for path in (tmp_path / "run" / "members").iterdir():
        os.utime(path, (0, 1_700_000_000))
    assert run(tmp_path / "run").recorded == "from the record, made at 2023-11-14 22:13:20 UTC"


def test_fresh_leaves_alone_what_is_no_record(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="is no run folder"):
        run(tmp_path / "mine", fresh=True)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_the_same_lambda_with_another_momentum_is_another_run(tmp_path, monkeypatch):
    """A notebook's loop over a constant that the lambda itself doesn't show."""
    import torch

    monkeypatch.chdir(tmp_path)
    found = []
    for momentum in (0.0, 0.9):

        class Mine(torch.optim.SGD):
            def __init__(self, params, lr, momentum=momentum):
                super().__init__(params, lr=lr, momentum=momentum)

        make = lambda model, run, lr, Mine=Mine: Mine(model.parameters(), lr=lr)  # noqa: E731
        mine = assay.Contender("mine", make, space={"lr": assay.Float(0.01, 0.02)})
        found.append(assay.compare("adam", mine, task=tiny.task(), workers=1, **FEW))
    assert found[0].folder != found[1].folder
    assert [r.recorded for r in found] == ["", ""]
    scores = [r.content["contenders"]["mine"]["score_mean"] for r in found]
    assert scores[0] != scores[1]
    again = assay.compare("adam", mine, task=tiny.task(), workers=1, **FEW)
    assert again.folder == found[1].folder
    assert FROM_RECORD.fullmatch(again.recorded)


def test_a_file_that_the_data_function_reads_replaced_by_another(where, capsys):
    """The old verdict isn't given: not from a finished record, nor of a suite, nor is an unfinished one gone on with."""
    command = ["run", "adam", "sgd", "--task", f"{where / 'mine.py'}:task", *OPTIONS]
    finished = [*command, "--out", str(where / "run")]
    assert call(finished) == 0
    first = capsys.readouterr().out
    assert call(finished) == 0
    assert FROM_RECORD.search(capsys.readouterr().out)
    torn = [*command, "--out", str(where / "torn")]
    shutil.copytree(where / "run", where / "torn")
    for name in ("manifest.json", "result.json"):
        (where / "torn" / name).unlink()
    next((where / "torn" / "members").glob("*.parquet")).unlink()
    np.savez(where / "data.npz", more=np.float32(1))
    before = members(where / "run")
    for again in (finished, torn):
        assert call(again) == 2
        said = capsys.readouterr().err.strip()
        assert "was trained on other data (the pilots'): what task clouds reads or draws was changed" in said
        assert "--fresh" in said
        assert len(said.splitlines()) == 1
    assert members(where / "run") == before
    assert call([*finished, "--fresh"]) == 0
    told = capsys.readouterr()
    assert not FROM_RECORD.search(told.out)
    assert told.out != first
    assert "set aside" in told.err
    assert members(where / "run.before-1") == before
    assert call(finished) == 0
    assert FROM_RECORD.search(capsys.readouterr().out)


def test_in_a_suite_every_task_is_compared(where, capsys):
    names = ",".join(f"{where / 'mine.py'}:{name}" for name in ("task", "other"))
    command = ["run", "adam", "sgd", "--task", names, *OPTIONS, "--out", str(where / "run")]
    assert call(command) == 0
    capsys.readouterr()
    assert call(command) == 0
    assert FROM_RECORD.search(capsys.readouterr().out) or "made at" in capsys.readouterr().out
    shutil.rmtree(where / "run" / "other")
    assert call([*command, "--json"]) == 0
    told = capsys.readouterr()
    json.loads(told.out)
    assert "from the record (1 of 2 tasks), made at" in told.err
    np.savez(where / "data.npz", more=np.float32(1))
    assert call(command) == 2
    assert "was trained on other data" in capsys.readouterr().err
    assert call([*command, "--fresh"]) == 0
    assert (where / "run.before-1" / "suite.json").exists()


def unseeded(seed: int) -> Splits:
    return tiny.clouds(int(np.random.default_rng().integers(2**31)))


def by_process(seed: int) -> Splits:
    """The same at each call in a process, another in each."""
    return tiny.clouds(seed + os.getpid())


@pytest.mark.parametrize("data", [unseeded, by_process])
def test_a_data_function_that_gives_another_data_set_at_each_call_is_one_line(tmp_path, data):
    with pytest.raises(UsageError, match="gives another data set at each call of one seed") as caught:
        run(tmp_path / "run", task=tiny.task(data=data))
    assert "\n" not in str(caught.value)


def test_what_is_beyond_the_plan_is_told_before_anything_is_trained(tmp_path):
    def model():
        os.environ.get("WIDTH")
        return tiny.network()

    told: list[events.Event] = []
    result = run(tmp_path / "run", task=tiny.task(model=model), on_event=told.append)
    lines = [e.message for e in told if isinstance(e, events.Warned)]
    assert any("task clouds: beyond the plan" in line and "environment variables" in line for line in lines)
    assert "environment variables" in (tmp_path / "run" / "report.html").read_text()
    assert result.beyond == ["task clouds: " + "environment variables (" + model.__qualname__ + ")"]


def test_a_record_says_which_reach_differs(tmp_path):
    def loss_of(share):
        return lambda outputs, targets: share * tiny.loss(outputs, targets)

    run(tmp_path / "run", task=tiny.task(loss=loss_of(1.0)))
    with pytest.raises(UsageError, match=r"what task clouds reaches .* was changed since the record was made"):
        run(tmp_path / "run", task=tiny.task(loss=loss_of(2.0)))


def test_what_a_user_set_in_a_module_is_what_trains(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "set_here.py").write_text("FACTOR = 1.0\n")
    (tmp_path / "mine_here.py").write_text(
        "import torch, set_here\n"
        "class Mine(torch.optim.SGD):\n"
        "    def step(self, closure=None):\n"
        "        for p in self.param_groups[0]['params']:\n"
        "            p.grad.mul_(set_here.FACTOR)\n"
        "        return super().step(closure)\n"
    )
    set_here, mine_here = importlib.import_module("set_here"), importlib.import_module("mine_here")
    scores = {}
    for factor in (1.0, 1e-3, 1.0):
        set_here.FACTOR = factor
        made = assay.compare("sgd", mine_here.Mine, task=tiny.task(), out=tmp_path / f"run-{factor}", quiet=True, **FEW)
        scores[factor] = made.frame().filter(pl.col("slot") == 1)["update_norm"].list.first().to_list()
    assert all(0 < norm < 0.01 * whole for norm, whole in zip(scores[1e-3], scores[1.0], strict=True))


def everything(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("tasks", ["quadratic", ["logistic", "quadratic"]], ids=["one", "across"])
def test_asked_again_it_writes_nothing_and_has_the_same_root(tmp_path, tasks):
    options: dict[str, Any] = {"task": tasks, "epochs": 1, "out": tmp_path / "run", "workers": 1, "quiet": True, **FEW}
    first = assay.compare("adam", "sgd", **options)
    before = everything(first.folder)
    again = assay.compare("adam", "sgd", **options)
    assert again.recorded
    assert again.root == first.root
    assert everything(again.folder) == before
    question = again.frame().filter(pl.col("phase") != "pilot")
    assert len(question) == (8 if isinstance(tasks, str) else 16)
    assert f": {again.verdicts[0].outcome}.</strong>" in again._repr_html_()


class Cached(torch.optim.SGD):
    """Its rate goes through what `functools.cache` keeps."""

    def __init__(self, model, run, lr=0.1):
        super().__init__(model.parameters(), lr=halved(lr))


@functools.cache
def halved(lr):
    return lr / 2


def test_what_is_cached_travels_to_a_worker_where_it_is_of_main(monkeypatch):
    """As the cells of a notebook are; a function of an installed package goes by its name."""
    monkeypatch.setattr(halved, "__module__", "__main__")
    monkeypatch.setattr(Cached, "__module__", "__main__")
    packed = jobs.pack(assay.Contender("cached", Cached, {"lr": assay.Float(0.1, 1)}))
    assert b"_cached_again" in packed
    opened = jobs._open(packed)
    assert opened.make(tiny.network(), None, lr=0.2).param_groups[0]["lr"] == 0.1
