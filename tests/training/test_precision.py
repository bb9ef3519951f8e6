"""--precision: products in bfloat16 by the loop, as torch's own autocast has them; what a device hasn't is one line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from assay.cli import call
from assay.contenders import contenders
from assay.core import Member
from assay.driver.retrain import retrain
from assay.training import loop
from assay.training.numerics import loop_here

from .. import tiny
from ..asked import small

MEMBER = Member(0, "final", 0, 0, {"lr": 0.05}, 1, 2, 3, 4)
SMALL = ["run", "adam", "sgd", "--task", "logistic", "--epochs", "1", *small(engine="")]


def test_bf16_is_torchs_autocast_in_the_forward_pass() -> None:
    task, (adam,) = tiny.task(epochs=2), contenders(["adam"])
    found = loop.train(task, adam, [MEMBER], loop_here(precision="bf16"))
    exact = loop.train(task, adam, [MEMBER], loop_here())
    # an oracle: the same training by hand
    torch.manual_seed(MEMBER.init)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    order, data = torch.Generator().manual_seed(MEMBER.batches), task.draw(MEMBER.split)
    x, y = (torch.from_numpy(np.asarray(a)) for a in data.train)
    losses = []
    for _ in range(task.epochs):
        rows = torch.randperm(len(x), generator=order)
        own = []
        for batch in rows.split(task.batch_size):
            with torch.autocast("cpu", torch.bfloat16):
                loss = task.loss(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            own.append(loss.item())
        losses.append(np.mean(own))
    np.testing.assert_allclose(found.train_loss[0], losses, rtol=1e-5)
    assert not np.allclose(found.train_loss, exact.train_loss, rtol=1e-5)
    np.testing.assert_allclose(found.train_loss, exact.train_loss, rtol=0.1)


def test_the_record_says_so_and_is_made_again_to_the_bit(tmp_path) -> None:
    assert call([*SMALL, "--precision", "bf16", "--out", str(tmp_path / "run")]) == 0
    numerics = json.loads((tmp_path / "run" / "plan.json").read_text())["numerics"]
    assert {n["precision"] for n in numerics} == {"bf16"}
    assert {(n["engine"], n["reason"]) for n in numerics} == {("loop", "populations are not trained in bf16")}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "products in bf16" in page
    assert "<span>--precision bf16</span>" in page
    assert all(r.exact for r in retrain(tmp_path / "run", 3))


def test_another_precision_is_another_question(tmp_path, capsys) -> None:
    out = str(tmp_path / "run")
    asked = [word for word in SMALL if word != "--quiet"]
    assert call([*asked, "--precision", "bf16", "--out", out]) == 0
    assert "tuned with 1 trial in bf16" in capsys.readouterr().out
    assert call([*asked, "--engine", "loop", "--out", out]) == 2
    assert "holds another plan (protocol.precision bf16 → none" in capsys.readouterr().err


def test_plans_in_float32_are_as_they_were(tmp_path) -> None:
    assert call([*SMALL, "--engine", "loop", "--out", str(tmp_path / "run")]) == 0
    assert "precision" not in (tmp_path / "run" / "plan.json").read_text()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--precision", "tf32"], "a CPU has no such products; use bf16, or --device cuda"),
        (["--precision", "bf16", "--engine", "vectorized"], "populations are trained in float32"),
        (["--precision", "bf16", "--compile", "on"], "leave out --compile on"),
        (["--precision", "half"], 'Choose from: "float32", "tf32", "bf16"'),
    ],
)
def test_what_cant_be_is_one_line(tmp_path, capsys, more, said) -> None:
    assert call([*SMALL, *more, "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
