"""The board: who is on it, who is left out and why, and that its errors are shared out over the page."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from assay.cli import call
from assay.contenders import contenders
from assay.contenders.muon import hidden_matrices, muon
from assay.contenders.registry import PACKAGED, Packaged
from assay.core import Run
from assay.driver import board
from assay.driver.plan import why_not
from assay.errors import UsageError
from assay.report.style import OUTCOMES
from assay.tasks import find

from . import asked as asked_for
from . import tiny

pytestmark = pytest.mark.rendered


def test_what_is_not_installed_is_skipped_with_a_line(monkeypatch):
    monkeypatch.setitem(board.CANDIDATES, "lion", "no_such_package_here:Lion")
    lines: list[str] = []
    found = [c.name for c in board.available(lines.append)]
    assert found[0] == "adamw"
    assert "lion" not in found
    (line,) = [text for text in lines if text.startswith("lion")]
    assert "no_such_package_here" in line
    assert "assay[board]" in line


def test_what_is_fixed_of_an_optimizer_known_by_name_is_fixed(monkeypatch):
    monkeypatch.setitem(PACKAGED, "heavy", Packaged("torch.optim:SGD", {"momentum": 0.75}))
    (heavy,) = contenders(["heavy"])
    assert heavy.fixed == {"momentum": 0.75}
    (freed,) = contenders(["heavy"], ["heavy.momentum=0.5..0.9"])
    assert "momentum" not in freed.fixed


def test_a_contender_that_cant_be_made_for_a_model_is_left_out_of_that_task_alone():
    (mine,) = contenders(["muon=assay.contenders.muon:muon"])
    assert why_not(find(tiny.task()), mine) is None
    told: list[str] = []
    found = board.plan_board(tasks="logistic", warn=told.append)  # where it has no part in any, the others have
    assert found.suite is not None
    assert "muon" not in found.suite.candidates
    assert "adam" in found.suite.candidates
    assert [line for line in told if line.startswith("muon has no part in task logistic")]
    with pytest.raises(UsageError, match="mine can't be made for any of these tasks"):
        board.plan_board("mine=assay.contenders.muon:muon", tasks="logistic")
    assert "no hidden matrix" in str(why_not(find("quadratic"), mine))
    assert "no hidden matrix" in str(why_not(find("logistic"), mine))


def test_muon_steps_as_torchs_muon_and_adamw_do_on_their_own_parameters():
    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, 2))

    ours, theirs = model(), model()
    assert [tuple(p.shape) for p in hidden_matrices(ours)] == [(6, 12)]
    one = muon(ours, lr=0.01)
    weights = list(theirs.parameters())
    pair = (
        torch.optim.Muon([weights[1]], lr=0.01, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([weights[0], *weights[2:]], lr=0.01),
    )
    x, y = torch.randint(0, 7, (20, 3)), torch.randint(0, 2, (20,))
    for _ in range(5):
        for net, optimizers in ((ours, (one,)), (theirs, pair)):
            for optimizer in optimizers:
                optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            for optimizer in optimizers:
                optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach(), b.detach())
    assert {g["lr"] for g in one.param_groups} == {0.01}


def test_every_contender_on_the_board_makes_an_optimizer_that_learns():
    task = find(tiny.task())
    x, y = map(torch.from_numpy, tiny.clouds(0).train)
    for contender in board.available(lambda line: None):
        torch.manual_seed(0)
        model = task.model()
        given = {"lr": 0.01, "weight_decay": 0.01}
        taken = {name: value for name, value in given.items() if name in contender.space}
        optimizer = contender.make(model, Run(60, 1, 60), **contender.fixed, **taken)
        if callable(getattr(optimizer, "train", None)):  # schedule-free
            optimizer.train()
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            loss = task.loss(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0], contender.name


def test_the_page_from_the_command_line(tmp_path, capsys, monkeypatch):
    for name in list(board.CANDIDATES):
        if name not in ("sgd-momentum", "adam", "rmsprop", "muon"):
            monkeypatch.delitem(board.CANDIDATES, name)
    monkeypatch.setitem(board.CANDIDATES, "lion", "no_such_package_here:Lion")
    monkeypatch.chdir(tiny.__file__.rpartition("/tests/")[0])
    small = ["--trials", "1", "--replicates", "2", "--final-seeds", "1", "--engine", "loop", "--workers", "1"]
    tasks = "tests/tiny.py:task"
    assert call(["board", "--task", tasks, *small, "--out", str(tmp_path / "board")]) == 0
    told = capsys.readouterr()
    assert "lion is skipped" in told.err
    assert "'assay[board]'" in told.err  # and not taken for markup
    found = json.loads((tmp_path / "board" / "result.json").read_text())
    assert [v["candidate"] for v in found["verdicts"]] == ["adam", "sgd-momentum", "rmsprop", "muon"]
    assert found["levels"]["headlines"] == pytest.approx(1 - 0.05 / 4)
    decided = [cell for v in found["verdicts"] for cell in v["tasks"] if cell["outcome"] != "inconclusive"]
    assert found["levels"]["tasks"] == pytest.approx(1 - max(1, len(decided)) * 0.05 / 4)  # a false coverage rate
    for task in found["tasks"]:
        assert task["level"] == pytest.approx(1 - 0.05 / 4)  # as where it is asked about alone
    page = (tmp_path / "board" / "report.html").read_text()
    assert "Who beats tuned adamw?" in page
    assert "have a false coverage rate of 5 %" in " ".join(page.split())
    assert page.index('<figure id="across_plot">') < page.index("<table")  # the picture comes first
    assert {v["outcome"] for v in found["verdicts"]} <= {word for word in OUTCOMES if f">{word}</text>" in page}
    for own in (tmp_path / "board").glob("*/report.html"):  # each cell leads to its run, two heads and the foot do, too
        assert page.count(f'href="{own.parent.name}/report.html"') == len(found["verdicts"]) + 3
        assert 'href="../report.html"' in own.read_text()  # and back
    asked = f"assay board --task {tasks} --schedule warmup5+cosine"
    assert asked in page.replace("</span> <span>", " ")
    assert call(["verify", str(tmp_path / "board")]) == 0


def test_a_users_optimizer_comes_onto_the_page_and_the_others_are_not_trained_again(tmp_path, capsys, monkeypatch):
    for name in list(board.CANDIDATES):
        if name != "sgd-momentum":
            monkeypatch.delitem(board.CANDIDATES, name)
    monkeypatch.chdir(tiny.__file__.rpartition("/tests/")[0])
    (tmp_path / "mine.py").write_text("import torch\n\n\nclass Mine(torch.optim.Adagrad):\n    pass\n")
    asked = ["--task", "tests/tiny.py:task", "--schedule", "none", *asked_for.small(trials=2)]
    assert call(["board", *asked, "--out", str(tmp_path / "board")]) == 0
    (folder,) = (p.parent for p in tmp_path.glob("board/*/members"))
    before = {p.name: p.read_bytes() for p in folder.glob("members/*")}
    mine = f"{tmp_path / 'mine.py'}:Mine"
    added = ["board", mine, *asked, "--from", str(tmp_path / "board"), "--out", str(tmp_path / "more")]
    trained = asked_for.trained(monkeypatch)
    assert call(added) == 0
    capsys.readouterr()
    assert {member.slot for member in trained} == {2}
    kept = {p.name: p.read_bytes() for p in (tmp_path / "more" / folder.name / "members").glob("*")}
    assert before.items() <= kept.items()
    found = json.loads((tmp_path / "more" / "result.json").read_text())
    assert [v["candidate"] for v in found["verdicts"]] == ["sgd-momentum", "Mine"]
    assert call(["verify", str(tmp_path / "more")]) == 0
    asked_again = (tmp_path / "more" / "report.html").read_text().replace("</span> <span>", " ")
    assert f"assay board {mine} --task" in asked_again
    other = ["board", mine, *asked[:-1], "--seed", "1", "--from", str(tmp_path / "board"), "--out", str(tmp_path / "x")]
    assert call(other) == 2
    assert "seed 0 → 1" in capsys.readouterr().err
