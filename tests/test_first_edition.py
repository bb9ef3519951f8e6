"""Records of the honest protocol's first edition: asked for again, they are taken as they are, and it is said."""

from __future__ import annotations

import json

import pytest

import assay
from assay.cli import call

MINE = """
import torch

class Mine(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
"""
ASKED = [
    *("run", "adam", "mine.py:Mine", "--task", "logistic", "--epochs", "1", "--engine", "loop", "--workers", "1"),
    *("--trials", "2", "--replicates", "2", "--final-seeds", "1"),
]
LONGER = ["3" if before == "--replicates" else word for before, word in zip(["", *ASKED], ASKED, strict=False)]


@pytest.fixture
def first(tmp_path, monkeypatch):
    """A finished record of the first edition, in its usual folder; the working folder is above it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    assert call([*ASKED, "--protocol", "honest-1", "--quiet"]) == 0
    (folder,) = (tmp_path / "assay-runs").iterdir()
    return folder


def edition(folder):
    return json.loads((folder / "plan.json").read_text())["science"]["protocol"].get("edition")


@pytest.mark.parametrize("named", [False, True])
def test_it_is_judged_as_before_and_that_is_said(first, named, capfd):
    before = {p.name: p.read_bytes() for p in first.iterdir() if p.name in ("plan.json", "result.json")}
    assert edition(first) is None
    assert call([*ASKED, *(["--out", str(first)] if named else [])]) == 0
    printed = capfd.readouterr()
    assert "is of the honest protocol's first edition and is judged as before; --fresh makes it anew" in printed.err
    assert "from the record, made at" in printed.out
    assert {name: (first / name).read_bytes() for name in before} == before
    assert len(list(first.parent.iterdir())) == 1


def test_an_unfinished_one_is_gone_on_with_where_it_is_named(first, capfd):
    for name in ("result.json", "manifest.json"):
        (first / name).unlink()
    next((first / "members").glob("*.parquet")).unlink()
    assert call([*ASKED, "--out", str(first), "--quiet"]) == 0
    assert edition(first) is None
    assert call(["verify", str(first)]) == 0
    assert call([*LONGER, "--out", str(first), "--quiet"]) == 0
    assert edition(first) is None
    assert (first / "earlier" / "2").is_dir()


def test_fresh_makes_the_answer_by_the_second(first):
    assert call([*ASKED, "--fresh", "--out", str(first), "--quiet"]) == 0
    assert edition(first) == 2
    assert edition(first.parent / f"{first.name}.before-1") is None
    assert call([*ASKED, "--out", str(first), "--quiet"]) == 0
    assert edition(first) == 2


def test_one_that_asks_something_else_is_not_taken(first):
    assert call([*ASKED, "--seed", "1", "--quiet"]) == 0
    assert sorted(str(edition(folder)) for folder in first.parent.iterdir()) == ["2", "None"]


def test_a_second_one_beside_it_is_the_answer_and_its_damage_is_said(first, capfd):
    assert call([*ASKED, "--fresh", "--quiet"]) == 0
    (second,) = [folder for folder in first.parent.iterdir() if folder != first]
    assert call(ASKED) == 0
    assert "first edition" not in capfd.readouterr().err
    (second / "plan.json").write_text("{")
    assert call(ASKED) == 2
    assert "plan.json is damaged" in capfd.readouterr().err


def test_one_that_was_made_longer_is_no_shorter_one_by_the_second(first, capfd):
    assert call([*LONGER, "--quiet"]) == 0
    assert edition(first) is None
    assert call([*ASKED, "--quiet"]) == 2
    assert "protocol.replicates 3 → 2" in capfd.readouterr().err
    assert len(list(first.parent.iterdir())) == 1


def test_half_of_a_fresh_suite_is_gone_on_with(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    command = [*ASKED, "--quiet"]
    command[command.index("logistic")] = "logistic,quadratic"
    command[command.index("mine.py:Mine")] = "sgd"
    assert call([*command, "--protocol", "honest-1"]) == 0
    (before,) = (tmp_path / "assay-runs").iterdir()
    assert call([*command, "--fresh"]) == 0
    (fresh,) = [folder for folder in before.parent.iterdir() if folder != before]
    for left in ("quadratic/result.json", "quadratic/manifest.json", "result.json", "manifest.json"):
        (fresh / left).unlink()
    capfd.readouterr()
    assert call(command) == 0
    assert "first edition" not in capfd.readouterr().err
    assert (fresh / "result.json").exists()


def test_a_comparison_across_tasks_is_too(tmp_path, capsys):
    how = {"trials": 2, "replicates": 2, "final_seeds": 1, "epochs": 1, "engine": "loop", "workers": 1}
    asked = {"task": ["logistic", "quadratic"], "out": tmp_path / "both", **how}
    before = assay.compare("adam", "sgd", protocol="honest-1", **asked)
    capsys.readouterr()
    after = assay.compare("adam", "sgd", **asked)
    assert "first edition and is judged as before" in capsys.readouterr().err
    assert after.recorded
    assert after.content == before.content
