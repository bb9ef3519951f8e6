"""The forms that README and docs show, for the type checker alone: `make lint` reads this file, nothing runs it."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true
from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

import assay
from assay.conformance import Finding, Report, check_optimizer
from assay.core.task import Data

X: npt.NDArray[np.float32] = np.zeros((100, 4), dtype=np.float32)
Y: npt.NDArray[np.int64] = np.zeros(100, dtype=np.int64)


def model() -> nn.Module:
    return nn.Linear(4, 2)


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets)


def drawn(seed: int) -> assay.Splits:
    split = assay.Split(X, Y)
    return assay.Splits(train=split, validation=split, test=split)


def loaded(seed: int) -> assay.Loaders:
    return assay.Loaders(train=[], validation=[], test=[])


def mine(model: nn.Module, run: assay.Run, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=run.epochs / 100)


def task(data: Data) -> assay.Task:
    return assay.Task(
        name="mine",
        data=data,
        model=model,
        loss=loss,
        metric=assay.metrics.accuracy,
        epochs=2,
        batch_size=20,
        margin=1,
        margin_reason="a point",
    )


TASKS: list[assay.Task] = [task((X, Y)), task(drawn), task(drawn(0)), task(loaded), task(loaded(0))]
SPACE = {"lr": assay.Float(1e-3, 1, log=True), "depth": assay.Int(1, 4), "kind": assay.Choice(("a", "b"))}
CONTENDER = assay.Contender("mine", mine, space=SPACE)

result: assay.Result = assay.compare("adam", torch.optim.NAdam, mine, CONTENDER, task=TASKS[0], trials=3, margin=1)
result = assay.compare("adam", "sgd+cosine", task=["digits", TASKS[1]], epochs=[1, 2], out=Path("run"), quiet=True)
outcome: str = result.verdicts[0].outcome
opened: assay.Result = assay.open("run")
planned: assay.Planned = assay.plan("adam", mine, space="mine.lr=1e-3..1:log", controls=True)
seconds: float | None = planned.tasks[0].estimate.seconds
report: Report = assay.check(torch.optim.NAdam, speed=False, only=["resume"])
finding: Finding = report["resume"]
report = check_optimizer(mine, allow=["bf16"])

# what is wrong is seen before it runs
assay.compare("adam", 3)  # pyright: ignore[reportArgumentType]
assay.compare("adam", "sgd", trials="3")  # pyright: ignore[reportArgumentType]
assay.compare("adam", "sgd", trial=3)  # pyright: ignore[reportCallIssue]
assay.compar("adam", "sgd")  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
assay.plan("adam", "sgd", engine="warp")  # pyright: ignore[reportArgumentType]
