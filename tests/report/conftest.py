"""Finished run folders made of random numbers, as a run would have left them."""

import json
from pathlib import Path

import numpy as np
import pytest

from assay import seeds
from assay.answer.result import result
from assay.core import ContenderInfo, Curves, DataFacts, Member, Numerics, Plan, Protocol, Science, TaskInfo
from assay.core.plan import SAMPLER_OPTIONS
from assay.record import RunFolder
from assay.space import Float

HOSTILE = "<script>alert(1)</script>"
EPOCHS = 15


def contender(name, space=None, **fields):
    given = {"reference": "torch.optim:Adam", "source": "torch 2.13.0", "fixed": {}, "schedule": None, "closure": "no"}
    return ContenderInfo(name=name, space=space or {"lr": Float(1e-5, 1e-1, log=True)}, **{**given, **fields})


def make_plan(protocol, contenders, epochs=EPOCHS, replicates=6, final_seeds=4, **task):
    info = {
        "name": "mnist1d-mlp",
        "reference": "mnist1d-mlp",
        "source": "sha256:0",
        "options": {},
        "metric": "accuracy",
        "direction": "max",
        "unit": "points",
        "scale": 100.0,
        "epochs": epochs,
        "batch_size": 128,
        "margin": 0.01,
        "margin_reason": "one point",
        "generated": True,
    }
    asked = Protocol(
        "honest", replicates=replicates, trials=12, final_seeds=final_seeds, sampler_options=SAMPLER_OPTIONS
    )
    if protocol == "published":
        asked = Protocol("published", replicates=1, trials=12, final_seeds=1, sampler_options=SAMPLER_OPTIONS)
    science = Science(TaskInfo(**{**info, **task}), tuple(contenders), asked, seed=0)
    here = Numerics("loop", False, 1, "float32", "cpu", 1, "2.13.0+cpu", "a processor")
    return Plan(science, (here,) * len(contenders))


class Maker:
    """Random members: a score that peaks at a middling learning rate, less some for each later contender."""

    def __init__(self, plan, diverging=()):
        self.plan, self.diverging = plan, set(diverging)
        self.rng = np.random.default_rng(7)
        self.task = plan.science.task

    def member(self, slot, phase, replicate, index, hyperparameters):
        s = seeds.of_member(0, self.plan.science.protocol.name, replicate, phase, index)
        return Member(slot, phase, replicate, index, hyperparameters, **s)

    def draw(self, dimension):
        if not hasattr(dimension, "low"):
            return dimension.options[self.rng.integers(len(dimension.options))]
        if dimension.log:
            value = float(np.exp(self.rng.uniform(np.log(dimension.low), np.log(dimension.high))))
        else:
            value = float(self.rng.uniform(dimension.low, dimension.high))
        return round(value) if isinstance(dimension.low, int) else value

    def curves(self, member):
        rng, epochs, slot = self.rng, self.task.epochs, member.slot
        lr = member.hyperparameters.get("lr", 0.02)
        height = 0.7 - 0.03 * np.log10(lr / 0.02) ** 2 - 0.004 * slot
        score = height * (1 - 0.5 * np.exp(-np.arange(1, epochs + 1) / 4)) + rng.normal(0, 0.01, epochs)
        if self.task.direction == "min":
            score = 1 - score
        died = epochs // 2 if (slot, member.phase, member.replicate, member.index) in self.diverging else 0
        alive = np.where(np.arange(1, epochs + 1) < (died or epochs + 1), 1.0, np.nan)
        kept = {
            "validation": score + rng.normal(0, 0.005, epochs),
            "train_loss": np.exp(-score),
            "grad_norm": np.exp(rng.normal(0, 0.1, epochs)) * (1 + slot),
            "update_norm": np.exp(rng.normal(-1, 0.1, epochs)),
        }
        data = DataFacts(f"digest {member.replicate}", 8000, 2000, 0.1, 0.11)
        return Curves(
            test=(score * alive)[None] if member.phase == "final" else None,
            **{name: (values * alive)[None] for name, values in kept.items()},
            diverged=np.array([died]),
            gradient_evaluations=np.array([63 * epochs]),
            seconds=np.array([1.2 + 0.1 * slot + 0.01 * rng.random()]),
            data=(data,),
            weights=np.zeros((1, 1), dtype=np.float32) if member.phase == "tune" else None,
        )

    def keep(self, folder, members):
        """Write the members as one chunk and return their last validation scores."""
        curves = Curves.concatenate([self.curves(m) for m in members])
        folder.keep(members, curves)
        return curves.validation[:, -1]

    def fill(self, path):
        folder, protocol = RunFolder.create(path, self.plan), self.plan.science.protocol
        for slot, info in enumerate(self.plan.science.contenders):
            for k in range(protocol.replicates):
                settings = [{h: self.draw(d) for h, d in info.space.items()} for _ in range(protocol.trials)]
                trials = [self.member(slot, "tune", k, i, chosen) for i, chosen in enumerate(settings)]
                scores = self.keep(folder, trials)
                folder.keep_scores(folder.key(trials), trials, scores - 0.004)
                best = settings[int(np.argmax(np.where(np.isfinite(scores), self.task.sign * scores, -np.inf)))]
                self.keep(folder, [self.member(slot, "final", k, i, best) for i in range(protocol.final_seeds)])
        content = result(self.plan, folder.frame())
        (path / "result.json").write_text(json.dumps(content), encoding="utf-8")
        (path / "timings.json").write_text(
            json.dumps({"wall_seconds": 65.0, "training_seconds": 90.0}), encoding="utf-8"
        )
        return path


def make_run(path: Path, protocol: str, contenders=None, diverging=(), **task) -> Path:
    """A finished run of `protocol` in the folder `path`. `diverging`: (slot, phase, replicate, index) of those that do."""
    found = contenders or [contender("adam"), contender("adamw", reference="torch.optim:AdamW")]
    return Maker(make_plan(protocol, found, **task), diverging).fill(path)


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("published") / "run", "published")


@pytest.fixture(scope="session")
def honest(tmp_path_factory):
    diverging = [(1, "tune", 0, 3), (1, "tune", 4, 0), (1, "final", 2, 1)]
    return make_run(tmp_path_factory.mktemp("honest") / "run", "honest", diverging=diverging)
