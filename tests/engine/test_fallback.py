"""What an engine refuses in the middle of a run trains in the loop, and the record, the result and the report say so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from assay import events
from assay.core import Contender, Member
from assay.driver import compare, verify
from assay.engine import train as vectorized
from assay.errors import Interrupted
from assay.record import RunFolder
from assay.space import Float
from assay.training import loop
from assay.training.numerics import loop_here
from assay.workers import jobs

from .. import asked, tiny
from .small import assert_same, contender, make_task, members, numerics

BRANCH = "its members take different branches (it reads a value on which they differ)"


def branching() -> Contender:
    """SGD that takes large rates apart: within a chunk, members may differ in which branch they take."""

    class Branching(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    with torch.no_grad():
                        p.sub_(p.grad.sign() * 1e-3 if group["lr"] > 0.03 else group["lr"] * p.grad)

    space = {"lr": Float(1e-4, 1e-1, log=True)}
    return Contender("branching", lambda model, run, lr: Branching(model.parameters(), lr=lr), space)


def run(folder: Path, count: int = 1) -> tuple[compare.Result, list[events.Event]]:
    seen: list[events.Event] = []
    wanted = {"engine": "vectorized", "compile": "off", "trials": 5, "replicates": 3, "final_seeds": 2}
    job = asked.plan("adam", branching(), task=tiny.task(), out=folder, **wanted)
    return asked.run(job, count, seen.append), seen


def test_the_engine_that_a_chunk_used_is_on_record_and_shown(tmp_path):
    result, seen = run(tmp_path / "one")
    frame = result.frame()
    fell = frame.filter(frame["fallback"] != "")
    assert 0 < len(fell) < len(frame) / 2
    assert set(fell["contender"]) == {"branching"}
    assert set(fell["fallback"]) == {BRANCH}
    assert result.content["contenders"]["branching"]["fallbacks"] == {BRANCH: len(fell)}
    assert result.content["contenders"]["adam"]["fallbacks"] == {}
    assert [e.message for e in seen if isinstance(e, events.Warned)] == [
        f"branching: some members train in the loop: {BRANCH}"
    ]
    page = (result.folder / "report.html").read_text(encoding="utf-8")
    assert f"by the loop ({BRANCH})" in page
    assert list(verify.faults(result.folder)) == []
    # by whole chunks, and the same ones whoever trains them
    plan = RunFolder.open(result.folder).plan
    assert [n.engine for n in plan.numerics] == ["vectorized"] * 2
    two, _ = run(tmp_path / "two", count=2)
    assert (two.folder / "result.json").read_bytes() == (result.folder / "result.json").read_bytes()


def test_what_fell_back_is_the_loops_to_the_bit():
    chunk = [Member(0, "tune", 0, i, {"lr": lr}, 1, 10 + i, 20, 30) for i, lr in enumerate((0.01, 0.05))]
    task, arm = make_task(), branching()
    found = jobs.train_chunk(jobs.pack(task), jobs.pack(arm), chunk, numerics("float32"))
    assert found.fallback == (BRANCH,) * 2
    assert_same(found, loop.train(task, arm, chunk, loop_here()), rtol=0)
    together = jobs.train_chunk(jobs.pack(task), jobs.pack(arm), chunk[:1], numerics("float32"))
    assert together.fallback == ("",)


def test_what_no_member_did_interrupts_and_changes_no_engine(monkeypatch):
    def starve(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(vectorized, "_Training", starve)
    packed = jobs.pack(make_task()), jobs.pack(contender(torch.optim.SGD))
    with pytest.raises(Interrupted, match=r"memory ran out.*run the same command again"):
        jobs.train_chunk(*packed, members(), numerics())


def test_a_cache_that_cannot_be_written_interrupts(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    packed = jobs.pack(make_task()), jobs.pack(contender(torch.optim.SGD))
    with pytest.raises(Interrupted, match=r"compiled steps can't be kept in .*set ASSAY_CACHE"):
        jobs.train_chunk(*packed, members(), numerics("float32", compiled=True))
