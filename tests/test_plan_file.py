"""A question in a file: it asks what the command line asks, and a fault in it is told with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.cli import call

OPTIONS = [
    "--task", "logistic", "--epochs", "2", "--trials", "2", "--replicates", "2", "--final-seeds", "1", "--margin", "2.5",
    "--space", "adam.lr=1e-3..1:log", "--space", "sgd.lr=1e-2..10:log", "--engine", "loop", "--compile", "off", "--workers", "1",
]  # fmt: skip
FEW = "baseline: adam\ncandidates: [sgd]\ntask: logistic\ntrials: 2\nreplicates: 2\nengine: loop\n"


def planned(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert call(["run", *arguments, "--plan-only", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["science"]


def test_what_plan_writes_asks_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["adam", "sgd", *OPTIONS]
    assert call(["plan", *asked]) == 0
    file = tmp_path / "plan.yaml"
    file.write_text(capsys.readouterr().out)
    assert planned(["--plan", str(file)], capsys) == planned(asked, capsys)
    assert (
        planned([f"--plan={file}", "--trials", "3"], capsys)["protocol"]["trials"] == 3
    )  # the command line goes before it


def test_a_range_may_be_a_mapping_and_keys_come_in_any_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "space:\n  adam.lr: 1e-3..1:log\n  sgd.lr: 1e-2..10:log\ncompile: off\ncandidates:\n  - sgd\nfinal-seeds: 1\n"
        "task: logistic\nepochs: 2\ntrials: 2\nreplicates: 2\nmargin: 2.5\nspeedup: false\nseed: 0\nout: ~\n"
        "baseline: adam\nengine: loop\n"
    )
    assert planned(["--plan", str(file)], capsys) == planned(["adam", "sgd", *OPTIONS], capsys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FEW + "trialz: 3\n", "plan.yaml:7: no option is called trialz; did you mean trials?"),
        (FEW + "trials: 3\n", "plan.yaml:7: trials comes twice"),
        (FEW.replace("trials: 2", "trials: ten"), "plan.yaml:4: "),
        (FEW.replace("trials: 2", "trials: -1"), "plan.yaml:4: --trials -1: it must be "),
        (FEW + "space:\n  adam.lr: 1..0:log\n", "plan.yaml:7: --space adam.lr=1..0:log: the lower bound"),
        (FEW + "space:\n  adam.lr: [[1]]\n", "plan.yaml:8: a list here must be of words and numbers"),
        (FEW + "\tseed: 3\n", "plan.yaml:7: a tab; indent with spaces"),
        (FEW + "engine: warp\n", "plan.yaml:7: engine comes twice"),
        (FEW.replace("loop", "warp"), "plan.yaml:6: Invalid value"),
        ("- adam\n", "plan.yaml: write a line an option"),
        ("", "plan.yaml: write a line an option"),
        ("? [a]\n: 1\n", "plan.yaml:1: an option's name must be a word"),
    ],
)
def test_a_fault_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    assert call(["run", "--plan", str(file), "--plan-only"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("assay: ")
    assert said in told.replace(f"{tmp_path}/", "")


def test_a_file_that_cant_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name, why in (("none.yaml", "No such file"), ("bytes.yaml", "no text in UTF-8"), ("", "Is a directory")):
        assert call(["run", "--plan", str(tmp_path / name)]) == 2
        assert why in " ".join(capsys.readouterr().err.split())
    assert call(["run", "--plan"]) == 2
    assert "which file?" in capsys.readouterr().err
