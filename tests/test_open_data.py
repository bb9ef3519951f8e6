"""The record in other tools' formats, read back by those tools or by Python's own."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from assay.cli import call
from assay.contenders import contenders
from assay.errors import UsageError
from assay.export import tables as open_data

from . import asked, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    options = {"trials": 2, "replicates": 2, "final_seeds": 2, "epochs": 3, "engine": "loop"}
    out = tmp_path_factory.mktemp("open") / "run"
    _, sgd = contenders(["adam", "sgd"], ["sgd.momentum=0..0.9"])
    planned = asked.plan("adam", replace(sgd, name="x/../y"), task=tiny.task(), out=out, **options)
    return asked.run(planned, 1)


def test_csv_says_what_the_members_say(finished, tmp_path):
    assert call(["export", str(finished.folder), "--csv", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "members.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    frame = finished.frame()
    assert len(rows) == len(frame)
    assert sum(row["phase"] != "pilot" for row in rows) == 16
    for row, member in zip(rows, frame.iter_rows(named=True), strict=True):
        if row["phase"] == "pilot":  # which has no test score
            continue
        assert (row["contender"], row["phase"], int(row["index"])) == tuple(
            member[k] for k in ("contender", "phase", "index")
        )
        tuned = json.loads(member["hyperparameters"])
        assert float(row["hyperparameter lr"]) == tuned["lr"]
        assert (row["hyperparameter momentum"] == "") == ("momentum" not in tuned)
        assert float(row["validation"]) == member["validation"][-1]
        assert float(row["test_score"]) == pytest.approx(member["test_score"], abs=0)
    with (tmp_path / "out" / "curves.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == 3 * len(rows)
    assert [c["epoch"] for c in curves[:3]] == ["1", "2", "3"]
    assert [float(c["train_loss"]) for c in curves[:3]] == frame["train_loss"][0].to_list()
    assert {c["phase"] for c in curves if c["test"]} == {"final"}


def test_diverged_cells_are_empty(finished, tmp_path, monkeypatch):
    import polars as pl

    frame = finished.frame().with_columns(validation=pl.lit([0.5, math.nan, math.nan]))
    monkeypatch.setattr(open_data, "_frames", lambda path, to: [(to, frame)])
    open_data.csv(finished.folder, tmp_path)
    with (tmp_path / "curves.csv").open(newline="") as file:
        assert [r["validation"] for r in csv.DictReader(file)][:3] == ["0.5", "", ""]


def test_tensorboard_reads_its_event_files(finished, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard isn't installed: pip install 'assay[tensorboard]'")
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    open_data.tensorboard(finished.folder, tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("events.out.*"))
    assert len(files) == 16
    assert len(list((tmp_path / "out").iterdir())) == 2  # a name is no path
    row = finished.frame().row(0, named=True)
    place = tmp_path / "out" / f"0-{row['contender']}" / row["phase"] / f"{row['replicate']}-{row['index']}"
    (file,) = place.iterdir()
    events = [e for e in LegacyEventFileLoader(str(file)).Load() if e.summary.value]
    assert [e.step for e in events] == [1, 2, 3]
    assert [v.simple_value for e in events for v in e.summary.value if v.tag == "train_loss"] == pytest.approx(
        row["train_loss"]
    )
    with pytest.raises(UsageError, match="isn't empty"):
        open_data.tensorboard(finished.folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "say what to write"),
        (["--csv", "{}/members"], "which is a sealed record"),
        (["--csv", "/proc/there"], "can't be written"),
    ],
)
def test_faults(finished, options, words, capsys):
    assert call(["export", str(finished.folder), *(o.format(finished.folder) for o in options)]) == 2
    assert words in capsys.readouterr().err


def test_without_tensorboard_one_line_says_what_to_install(finished, tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert call(["export", str(finished.folder), "--tensorboard", str(tmp_path / "x")]) == 2
    assert "pip install 'assay[tensorboard]'" in capsys.readouterr().err
    assert not Path(tmp_path / "x").exists()


def test_a_comparison_across_tasks_is_exported_run_by_run(tmp_path, capsys):
    space = ["adam.lr=1e-4..0.1:log", "sgd.lr=1e-4..0.1:log"]
    options = {"trials": 2, "replicates": 2, "final_seeds": 1, "epochs": 1, "engine": "loop", "space": space}
    tasks = [tiny.task(name="one"), tiny.task(name="two", batch_size=50)]
    folder = asked.run(asked.plan("adam", "sgd", task=tasks, out=tmp_path / "suite", **options), 1).folder
    assert call(["export", str(folder), "--csv", str(tmp_path / "out")]) == 0, capsys.readouterr().err
    for name in ("one", "two"):
        with (tmp_path / "out" / name / "members.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) == 12
    assert call(["export", str(folder), "--csv", str(folder / "one")]) == 2
    assert "which is a sealed record" in capsys.readouterr().err
