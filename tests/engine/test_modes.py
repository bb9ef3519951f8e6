"""Optimizers with two sets of weights, which refuse to step until they are told to train (as schedulefree's do)."""

from __future__ import annotations

import json

import torch

from assay.contenders import contenders
from assay.core import Contender
from assay.record import RunFolder

from .. import asked, tiny

SMALL = {"trials": 2, "replicates": 2, "final_seeds": 1}


class TwoModes(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        for group in self.param_groups:
            group["train_mode"] = False

    def train(self):
        for group in self.param_groups:
            group["train_mode"] = True

    def eval(self):
        for group in self.param_groups:
            group["train_mode"] = False

    def step(self, closure=None):
        if not self.param_groups[0]["train_mode"]:
            raise RuntimeError("not in train mode")
        return super().step(closure)


def two_modes() -> Contender:
    (sgd,) = contenders(["sgd"])
    return Contender("two-modes", lambda model, run, lr: TwoModes(model.parameters(), lr), sgd.space)


def test_it_is_measured_vectorized_and_timed_as_its_plain_twin_is(tmp_path):
    for engine in ("vectorized", "loop"):
        out = tmp_path / engine
        plan = asked.plan(two_modes(), "sgd", task=tiny.task(), engine=engine, compile="off", out=out, **SMALL)
        result = asked.run(plan, 1)
        assert result.content["contenders"]["two-modes"]["diverged"] == 0
        numerics = RunFolder.open(out).plan.numerics
        assert [n.engine for n in numerics] == [engine] * 2, [n.reason for n in numerics]
        assert set(json.loads((out / "timings.json").read_text())["optimizer_step_seconds"]) == {"two-modes", "sgd"}
