"""What the loop has for large models: the model compiled by torch, batches in parts. Numbers stay the loop's, to rounding."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from assay.cli import call
from assay.contenders import contenders
from assay.core import EngineOptions, Member, Split, Splits, Task
from assay.driver.retrain import retrain
from assay.engine.compiled.forward import forward_of
from assay.engine.select.choose import choose_engine
from assay.engine.torch_private import cpp_compiler
from assay.errors import UsageError
from assay.tasks import find
from assay.tasks.metrics import accuracy
from assay.training import loop
from assay.training.numerics import Demand, loop_here

from .. import tiny
from ..asked import small

MEMBER = Member(0, "final", 0, 0, {"lr": 0.01}, 1, 2, 3, 4)
SMALL = ["run", "adam", "sgd", "--task", "logistic", "--epochs", "1", *small(engine="")]
needs_compiler = pytest.mark.skipif(cpp_compiler() is None, reason="no C++ compiler")


@pytest.mark.parametrize("parts", [1, 3, 5, 1000])
def test_parts_of_batches_give_the_batches_numbers(parts) -> None:
    task, (adam,) = tiny.task(epochs=2), contenders(["adam"])
    whole = loop.train(task, adam, [MEMBER], loop_here())
    found = loop.train(task, adam, [MEMBER], loop_here(micro_batch=parts))
    for name in ("train_loss", "grad_norm", "update_norm", "validation", "test"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=2e-4)
    assert (found.gradient_evaluations == whole.gradient_evaluations).all()


def test_no_more_than_a_part_goes_through_the_model() -> None:
    seen: list[int] = []

    class Watched(nn.Linear):
        def forward(self, x):
            seen.append(len(x))
            return super().forward(x)

    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    split = Split(rows, (rows[:, 0] > 0).astype(np.int64))
    task = Task(
        "watched", lambda _: Splits(split, split, split), lambda: Watched(3, 2), nn.functional.cross_entropy, accuracy,
        epochs=1, batch_size=20, margin=0.1, margin_reason="none",
    )  # fmt: skip
    (sgd,) = contenders(["sgd"])
    loop.train(task, sgd, [MEMBER], loop_here(micro_batch=8))
    assert seen == [8, 8, 4] * 2 + [8, 2] + [8] * 6 + [2] + [8] * 6 + [2]


@needs_compiler
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_a_compiled_model_gives_the_loops_numbers() -> None:
    task, (adam,) = find("python-gpt-small", {"train_samples": 20, "width": 16, "depth": 1}), contenders(["adam"])
    plain = loop.train(task, adam, [MEMBER], loop_here())
    found = loop.train(task, adam, [MEMBER], loop_here(), forward_of=forward_of)
    for name in ("train_loss", "grad_norm", "update_norm", "validation", "test"):
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), rtol=1e-3)


@needs_compiler
@pytest.mark.whole
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_it_is_in_the_record_and_on_the_page_and_made_again(tmp_path) -> None:
    asked = ["--compile", "on", "--micro-batch", "9"]
    assert call([*SMALL, "--engine", "loop", *asked, "--out", str(tmp_path / "run")]) == 0
    numerics = json.loads((tmp_path / "run" / "plan.json").read_text())["numerics"]
    assert {(n["engine"], n["compiled"], n["micro_batch"]) for n in numerics} == {("loop", True, 9)}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "the loop, its model compiled" in page
    assert "<span>--compile on</span>" in page
    assert "<span>--micro-batch 9</span>" in page
    assert all(r.exact for r in retrain(tmp_path / "run", 2))


def test_without_either_plans_are_as_they_were(tmp_path) -> None:
    assert call([*SMALL, "--engine", "loop", "--out", str(tmp_path / "run")]) == 0
    assert "micro_batch" not in (tmp_path / "run" / "plan.json").read_text()


def summed(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(outputs, targets, reduction="sum")


@pytest.mark.parametrize("what", ["batch normalisation", "a loss that sums"])
def test_what_isnt_a_mean_over_samples_is_refused(what) -> None:
    task = find("digits", {}) if what == "batch normalisation" else replace(find("logistic", {}), loss=summed)
    (adam,) = contenders(["adam"])
    wanted = EngineOptions(micro_batch=4)
    with pytest.raises(UsageError, match=r"--micro-batch 4: .*are not those of their parts"):
        choose_engine(task, adam, wanted, Demand(4, 4))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--micro-batch", "0"], "--micro-batch 0: it must be 1 at least"),
        (["--micro-batch", "4", "--engine", "vectorized"], "leave out --engine vectorized"),
        (["--micro-batch", "4", "--compile", "on"], "or add --engine loop"),
    ],
)
def test_what_cant_be_is_one_line(tmp_path, capsys, more, said) -> None:
    assert call([*SMALL, *more, "--out", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
