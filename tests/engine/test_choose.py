"""The engine that `auto` takes: compiled where the loop takes long enough to repay it, and nothing tried where it doesn't."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from msgspec.structs import replace
from torch import nn

from assay.core import EngineOptions
from assay.engine.select import choose as chooser
from assay.engine.select.choose import ON_GPU, choose_engine, gain
from assay.training.numerics import Chosen, Demand, loop_here

from .small import contender, make_task

STEPS = 15  # of one training of the small task
AUTO, FORCED = EngineOptions(), EngineOptions(engine="vectorized")


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    """The loop's step takes a millisecond, on a machine that has a compiler and compiled nothing yet; all is probed well."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setattr(chooser, "seconds_of_loop", lambda *_: (1e-3, STEPS))
    monkeypatch.setattr(chooser, "cpp_compiler", lambda: "g++")
    monkeypatch.setattr(chooser, "probe", lambda *_: None)
    return monkeypatch


def chosen(trainings: int, wanted: EngineOptions = AUTO, arm: Any = None, task: Any = None, **options: int) -> Chosen:
    demand = Demand(trainings, **{"at_once": 4, "processes": 2, **options})
    return choose_engine(task or make_task(), arm or contender(torch.optim.SGD), wanted, demand)


def form(found: Chosen) -> tuple[str, bool]:
    return found.numerics.engine, found.numerics.compiled


def test_a_job_of_a_few_seconds_is_the_loops_and_nothing_else_is_tried(timed: Any) -> None:
    timed.setattr(chooser, "probe", lambda *_: pytest.fail("it was probed"))
    timed.setattr(chooser, "seconds_of_eager", lambda *_: pytest.fail("it was measured"))
    found = chosen(600)  # 600 · 15 · 1 ms on 2 cores: 4.5 s
    assert found == Chosen(replace(loop_here(), reason=found.numerics.reason), 1e-3)
    assert "less than 60 s" in found.numerics.reason


@pytest.mark.parametrize(("trainings", "compiled"), [(7_900, False), (8_100, True)])  # 59 and 61 s by the loop
def test_steps_are_compiled_where_the_loop_takes_long_enough(timed: Any, trainings: int, compiled: bool) -> None:
    assert form(chosen(trainings)) == (("vectorized", True) if compiled else ("loop", False))
    assert form(chosen(trainings, FORCED)) == ("vectorized", compiled)
    assert form(chosen(trainings, EngineOptions(compile="on"))) == ("vectorized", True)
    assert form(chosen(trainings, EngineOptions(compile="off"))) == ("loop", False)
    assert form(chosen(trainings, EngineOptions(engine="loop"))) == ("loop", False)


def test_contenders_share_the_processes(timed: Any) -> None:
    assert form(chosen(5_000, contenders=1)) == ("loop", False)  # 75 s of work on two processes
    assert form(chosen(5_000, contenders=2)) == ("vectorized", True)  # on one
    assert form(chosen(3_000, contenders=5)) == (
        "loop",
        False,
    )  # 45 s on one, which compiles no sooner for being shared


def test_a_plans_estimate_reckons_with_what_compiling_gains(timed: Any) -> None:
    found = chosen(16_000)
    assert found.step_seconds == 1e-3 / gain(found.numerics.chunk_size)
    assert [gain(size) for size in (1, 2, 4, 12, 16)] == [1.1, 2, 4, 12, 12]  # measured: 1.0 to 1.2, 1.9, 4.3, 8 to 21
    assert chosen(16_000, EngineOptions(engine="vectorized", compile="off")).step_seconds != 1e-3  # measured


def test_long_jobs_repay_compiled_steps_of_one_member(timed: Any) -> None:
    timed.setattr(chooser, "chunk_size", lambda *_: 1)
    assert form(chosen(150_000)) == ("loop", False)  # 1,125 s by the loop, on each of two processes
    assert form(chosen(170_000)) == ("vectorized", True)


def test_members_that_come_alone_gain_nothing(timed: Any) -> None:
    assert form(chosen(16_000, one_by_one=8_000)) == ("vectorized", True)
    found = chosen(16_000, one_by_one=14_000)
    assert form(found) == ("loop", False)
    assert "1.1 members" in found.numerics.reason


def test_nor_does_a_model_that_fills_the_cache_alone(timed: Any) -> None:
    large = make_task(lambda: nn.Sequential(nn.Linear(6, 300_000), nn.Linear(300_000, 3)))
    assert form(chosen(16_000, task=large)) == ("loop", False)


@pytest.mark.parametrize("at_once", [ON_GPU - 1, ON_GPU])
def test_on_a_gpu_enough_members_share_a_step(timed: Any, at_once: int) -> None:
    timed.setattr(chooser, "chunk_size", lambda *_: at_once)
    timed.setattr(chooser, "seconds_of_eager", lambda *_: 1e-4)
    found = chosen(60, EngineOptions(device="cuda"), at_once=at_once)
    assert form(found) == ("vectorized" if at_once == ON_GPU else "loop", False)


def test_nothing_is_compiled_where_it_cannot_be_kept(timed: Any, tmp_path: Any) -> None:
    (tmp_path / "file").write_text("")
    timed.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    found = chosen(16_000)
    assert form(found) == ("loop", False)
    assert "set ASSAY_CACHE" in found.numerics.reason


def test_what_is_compiled_already_has_no_say(timed: Any, tmp_path: Any) -> None:
    from assay.engine.compiled import cache

    timed.setattr(cache, "_load", lambda *_: pytest.fail("it looked for compiled steps"))
    assert form(chosen(600)) == ("loop", False)
    assert form(chosen(16_000)) == ("vectorized", True)


def test_the_parity_probe_has_the_last_word() -> None:
    class Fixed(torch.optim.SGD):
        """Takes its rate when it is made: no one sees it change, and each member's own is lost."""

        def __init__(self, params, lr):
            super().__init__(params, lr=lr)
            self.hidden = iter([lr] * 10**6)

    found = chosen(100, EngineOptions(engine="vectorized", compile="off"), contender(Fixed))
    assert found.numerics.engine == "loop"
    assert "hidden" in found.numerics.reason


@pytest.mark.parametrize("wanted", [AUTO, FORCED])
def test_what_fails_the_probe_compiled_is_the_loops_unless_the_engine_is_forced(
    timed: Any, wanted: EngineOptions
) -> None:
    timed.setattr(chooser, "probe", lambda task, arm, numerics, split: "it differs" if numerics.compiled else None)
    found = chosen(16_000, wanted)
    assert form(found) == ("vectorized" if wanted is FORCED else "loop", False)
    assert "it differs" in found.numerics.reason
