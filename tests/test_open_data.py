"""The record in other tools' formats, read back by those tools or by Python's own."""

from __future__ import annotations

import csv
import json
import math
import struct
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from assay.cli import call
from assay.contenders import contenders
from assay.core import PILOT
from assay.errors import UsageError
from assay.export import tables, tensorboard
from assay.export.members import refused
from assay.record import RunFolder
from assay.record.chunks import CURVES

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
    monkeypatch.setattr(RunFolder, "frame", lambda self: frame)
    tables.csv(finished.folder, tmp_path)
    with (tmp_path / "curves.csv").open(newline="") as file:
        assert [r["validation"] for r in csv.DictReader(file)][:3] == ["0.5", "", ""]


def test_tensorboard_reads_its_event_files(finished, tmp_path):
    pytest.importorskip("tensorboard", reason="TensorBoard isn't installed: pip install 'assay[tensorboard]'")
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    tensorboard.write(finished.folder, tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("events.out.*"))
    assert len(files) == len(finished.frame())
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
        tensorboard.write(finished.folder, tmp_path / "out")


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


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow"])
def test_without_its_package_one_line_says_what_to_install(tracker, finished, tmp_path, monkeypatch, capsys):
    for name in [tracker, *(name for name in sys.modules if name.startswith(f"{tracker}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    assert call(["export", str(finished.folder), f"--{tracker}", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"assay: --{tracker} needs {tracker} (")
    assert said.endswith(f"pip install 'assay[{tracker}]'\n")
    assert said.count("\n") == 1
    assert not Path(tmp_path / "x").exists()


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
@pytest.mark.parametrize(("where", "words"), [("full", "isn't empty"), ("record", "which is a sealed record")])
def test_where_a_trackers_runs_may_not_go(tracker, where, words, finished, tmp_path, capsys):
    pytest.importorskip(tracker)
    (tmp_path / "file").write_text("")
    to = tmp_path if where == "full" else finished.folder / "x"
    assert call(["export", str(finished.folder), f"--{tracker}", str(to)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("says", "code"), [("(sqlite3) database or disk is full", 3), ("no such thing\nat all", 2)])
def test_what_a_tracker_refuses_is_one_line(says, code, tmp_path):
    found = refused("--mlflow", tmp_path, RuntimeError(says))
    assert found.exit_code == code
    assert "\n" not in str(found)


def expected(frame):
    """Each member by what tells it from the others, with its curves as they are on record: NaN left out."""
    found = {}
    for row in frame.iter_rows(named=True):
        kept = {name: [(k, x) for k, x in enumerate(row[name] or [], start=1) if not math.isnan(x)] for name in CURVES}
        key = row["contender"], row["phase"], row["replicate"], row["index"]
        found[key] = (json.loads(row["hyperparameters"]), {name: curve for name, curve in kept.items() if curve})
    return found


def key_of(name):
    """The member that a run is called after: adam final 0-1, adam pilot 2."""
    contender, phase, place = name.rsplit(" ", 2)
    replicate, _, index = place.rpartition("-")
    return contender, phase, int(replicate or PILOT), int(index)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what MLflow does to SQLAlchemy
def test_mlflow_reads_its_database(finished, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="MLflow isn't installed: pip install 'assay[mlflow]'")
    pytest.importorskip("sqlalchemy")
    from assay.export import mlflow as exported

    exported.write(finished.folder, tmp_path / "out")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/out/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    members = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert {names[run.data.tags["mlflow.parentRunId"]] for run in members} == {"pilots", "replicate 0", "replicate 1"}
    wanted = expected(finished.frame())
    assert len(members) == len(wanted)
    for run in members:
        hyperparameters, curves = wanted.pop(key_of(run.info.run_name))
        assert {k: v for k, v in run.data.params.items() if k != "contender"} == {
            k: str(v) for k, v in hyperparameters.items()
        }
        for name, curve in curves.items():
            assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)] == curve
    assert not wanted


def wandb_records(path):
    """What is in an offline run: its file is a log of LevelDB's, in blocks of 32 KiB, of messages that wandb itself parses."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while at + 7 <= len(data):
        if at % 32768 > 32768 - 7:  # no room for a header: the rest of the block is empty
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(whole)
            whole = b""


def test_wandb_parses_its_offline_runs(finished, tmp_path):
    pytest.importorskip("wandb", reason="wandb isn't installed: pip install 'assay[wandb]'")
    from assay.export import wandb as exported

    exported.write(finished.folder, tmp_path / "out")
    files = sorted((tmp_path / "out" / "wandb").glob("offline-run-*/run-*.wandb"))
    wanted = expected(finished.frame())
    assert len(files) == len(wanted)
    for file in files:
        found = list(wandb_records(file))
        run = next(r.run for r in found if r.WhichOneof("record_type") == "run")
        history = [
            {item.key or item.nested_key[0]: json.loads(item.value_json) for item in r.history.item}
            for r in found
            if r.WhichOneof("record_type") == "history"
        ]
        contender, phase, replicate, index = key_of(run.display_name)
        hyperparameters, curves = wanted.pop((contender, phase, replicate, index))
        assert run.run_group == ("pilots" if replicate < 0 else f"replicate {replicate}")
        assert (run.job_type, list(run.tags), run.project) == (phase, [contender], finished.folder.name)
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        assert {name: config[name] for name in hyperparameters} == hyperparameters
        for name, curve in curves.items():
            assert [(row["epoch"], row[name]) for row in history if name in row] == curve
    assert not wanted


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
