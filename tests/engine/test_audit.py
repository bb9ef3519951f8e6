"""A member by its engine and by the loop, over the whole training: a fault that begins late is named, rounding isn't."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay import seeds
from assay.cli.printed import verified
from assay.core import Curves
from assay.driver.estimate import estimate
from assay.driver.retrain import Retrained, retrain
from assay.driver.scheduler import Calls
from assay.engine.eager.population import Population
from assay.engine.select import audit as module
from assay.engine.select.audit import audit, see_that_it_is_the_loops
from assay.engine.select.parity import probe
from assay.errors import UsageError
from assay.training import loop
from assay.workers.jobs import pack, train_chunk

from .. import asked
from .small import contender, make_task, members, numerics

LATE = 70  # after the probe


class Drifting(Population):
    """An engine with a fault that begins late: its batches are not the members' own any more."""

    def step(self, x: Any, y: Any, masks: Any = ()) -> Any:
        return super().step(x if self.taken < LATE else x.flip(1) * 1.01, y, masks)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_sound_engine_passes_even_where_rounding_grows(compiled: bool) -> None:
    for lr in (0.003, 3.0):
        (member,) = members(1, lr=lr)
        arm = contender(torch.optim.Adam)
        assert audit(make_task(epochs=10), arm, member, numerics("float32", compiled=compiled)) is None


def test_a_fault_that_begins_after_the_probe_is_named_with_both_values(monkeypatch: pytest.MonkeyPatch) -> None:
    task, arm = make_task(epochs=16), contender(torch.optim.Adam)
    assert probe(task, arm, numerics(), kind=Drifting) is None
    monkeypatch.setattr(module, "Population", Drifting)
    said = audit(task, arm, members(1)[0], numerics("float32"))
    assert said is not None
    assert "in epoch 15, by the loop" in said


def test_retraining_asks_the_loop_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    wanted = {"engine": "vectorized", "compile": "off", "trials": 2, "replicates": 2, "final_seeds": 1}
    made = asked.run(asked.plan("adam", "sgd", task="tests/tiny.py:task", out=tmp_path / "run", **wanted), 1)
    (again,) = retrain(made.folder, 1, 1)
    assert (again.exact, again.sound, again.unlike) == (True, True, "")


def test_an_engine_that_isnt_the_loop_is_a_mismatch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = "train_loss is 0.5 in epoch 9, by the loop 0.7, in float64"
    found = Retrained(members(1)[0], "mine", exact=True, sound=False, first_loss=(1.0, 1.0), unlike=said)
    assert verified(tmp_path, [], [found], [], json=False) == 1
    assert said in " ".join(capsys.readouterr().out.split())


class Slightly(Population):
    """The same with a fault of a few per cent, as where one of many parameters is frozen."""

    def step(self, x: Any, y: Any, masks: Any = ()) -> Any:
        return super().step(x if self.taken < LATE else x * 1.05, y, masks)


@pytest.mark.parametrize("fault", [Drifting, Slightly])
def test_in_a_run_a_fault_that_begins_late_stops_it_with_both_curves(
    fault: type[Population], monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.engine import train as engine

    monkeypatch.setattr(engine, "Population", fault)
    monkeypatch.setattr(module, "Population", fault)
    packed = pack(make_task(epochs=16)), pack(contender(torch.optim.Adam))
    chunk, by_engine = members(4), numerics("float32", engine="vectorized")
    assert not any(train_chunk(*packed, chunk, by_engine).fallback)  # nobody asked
    with pytest.raises(
        UsageError, match=r"tune 2 of .*: its engine doesn't give the loop's numbers: .* by the loop: "
    ) as said:
        train_chunk(*packed, chunk, by_engine, [2])
    assert "--engine loop --fresh" in str(said.value)
    train_chunk(*packed, chunk, numerics("float32", engine="loop"), [2])  # the loop is what it is compared with


def test_a_twin_that_ends_early_says_what_a_whole_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, lengths = loop.train, list[int]()

    def early(*given: Any) -> Curves:
        made = whole(*given)
        if len(given) == 5:
            lengths.append(int(np.isfinite(made.train_loss).sum()))
        return made

    def said() -> list[str]:
        texts: list[str] = []
        for lr in (0.003, 0.3, 3.0):
            (member,) = members(1, lr=lr)
            plain = whole(task, arm, [member], by_loop)
            for epoch in (0, 3, 15):
                for factor in (1 + 1e-5, 1.01, 1.5):
                    loss = plain.train_loss.copy()
                    loss[:, epoch:] *= factor
                    try:
                        see_that_it_is_the_loops(task, arm, member, by_loop, replace(plain, train_loss=loss), 0)
                        texts.append("")
                    except UsageError as error:
                        texts.append(str(error))
        return texts

    # a float64 audit that finds a fault whatever it looks at: what remains is the word of the twin in float32
    monkeypatch.setattr(module, "audit", lambda *_: "a fault")
    task, arm, by_loop = make_task(epochs=16), contender(torch.optim.Adam), numerics("float32", engine="loop")
    monkeypatch.setattr(loop, "train", early)
    by_early = said()
    monkeypatch.setattr(loop, "train", lambda *given: whole(*given[:4]))
    assert said() == by_early
    assert any(by_early)
    assert not all(by_early)
    assert min(lengths) < 16


@given(st.integers(0, 2**40), st.integers(0, 5), st.integers(1, 700))
def test_one_member_in_each_hundred_is_audited_and_one_at_least(seed: int, slot: int, total: int) -> None:
    drawn = [number for number in range(total) if seeds.audited(seed, slot, number, total)]
    blocks = [number // 100 for number in drawn]
    assert len(blocks) >= 1
    assert blocks in (list(range(total // 100)), list(range(-(-total // 100))))


def test_a_run_has_those_audited_that_its_plan_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    asked_for: list[Any] = []
    submit = Calls.submit
    monkeypatch.setattr(Calls, "submit", lambda self, *call: (asked_for.append(call), submit(self, *call))[1])
    for engine, count in (("vectorized", 2), ("loop", 0)):
        asked_for.clear()
        wanted = {"engine": engine, "compile": "off", "trials": 3, "replicates": 2, "final_seeds": 1}
        asked.run(asked.plan("adam", "sgd", task="tests/tiny.py:task", out=tmp_path / engine, **wanted), 1)
        chunks = [call for call in asked_for if call[2] is train_chunk]
        assert sum(len(call[-1]) for call in chunks) == count  # of 8 members each, one a contender


def test_audits_are_in_the_estimate() -> None:
    planned = asked.job("adam", "sgd", task="logistic", replicates=2, trials=2)
    plain, dearer = (estimate(planned.science, planned.task, 100, 0.001, 2, audit=share) for share in (0.0, 0.06))
    assert plain.seconds is not None
    assert dearer.seconds == pytest.approx(1.06 * plain.seconds)
    assert dearer.steps == plain.steps
