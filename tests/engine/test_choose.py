"""The engine that `auto` takes: never one that costs more than it saves, and no measuring where there is nothing to save."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch

from assay.core import EngineOptions
from assay.engine.select import choose as chooser
from assay.engine.select.choose import choose, expected_gain, saved
from assay.engine.select.select import settle
from assay.training.numerics import loop_here

from .small import contender, make_task

STEPS = 15  # of one training of the small task
ALLOWED = msgspec.structs.replace(loop_here(), engine="vectorized", compiled=True)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    """Say how long steps take; nothing is at hand compiled, in an empty cache."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))

    def set_times(loop: float, eager: float, of_two: float = 0.0) -> None:
        """`of_two`: what the loop takes for a batch of two."""

        def of_loop(*_: Any, samples: int | None = None) -> float:
            return loop if samples is None else of_two

        monkeypatch.setattr(chooser, "seconds_of_loop", of_loop)
        monkeypatch.setattr(chooser, "seconds_of", lambda population, batches: eager)

    return set_times


def chosen(trainings: int, arm: Any = None, **options: Any) -> chooser.Chosen:
    arm = arm or contender(torch.optim.SGD)
    return choose(make_task(), arm, trainings, ALLOWED, **{"lockstep": 4, "cores": 2, **options})


def test_a_job_of_a_few_seconds_is_the_loops_and_nothing_else_is_measured(timed, monkeypatch):
    timed(loop=1e-3, eager=1e-5)
    monkeypatch.setattr(chooser, "seconds_of", lambda *_: pytest.fail("the engine was measured"))
    found = chosen(600)  # 600 · 15 · 1 ms on 2 cores: 4.5 s
    assert (found.engine, found.width, found.step_seconds) == ("loop", 1, 1e-3)
    assert "a few seconds" in found.reason
    monkeypatch.undo()
    forced = choose(make_task(), contender(torch.optim.SGD), 600, loop_here(), lockstep=4, forced=True)
    assert (forced.engine, forced.compiled) == ("vectorized", False)


@pytest.mark.parametrize(
    ("trainings", "eager", "engine"),
    [
        (10_000, 0.5e-3, "vectorized"),  # 75 s by the loop, half of it saved
        (10_000, 0.95e-3, "loop"),  # too near to be sure of it
        (10_000, 1.5e-3, "loop"),
        (750, 0.5e-3, "loop"),  # 5.6 s by the loop: 2.8 s saved would go into the parity probe
    ],
)
def test_eager_steps_must_save_more_than_the_probe_takes(timed, trainings, eager, engine):
    timed(loop=1e-3, eager=eager)
    found = chosen(trainings)
    assert (found.engine, found.compiled) == (engine, False)
    if engine == "loop":
        assert f"{eager / 1e-3:.1f} times the loop's time" in found.reason


@pytest.mark.parametrize(
    ("trainings", "of_two", "compiled"),
    [
        (16_000, 0.75e-3, True),  # 120 s by the loop, a quarter of which is computing: up to 90 s less
        (16_000, 0.25e-3, False),  # three quarters: 30 s less, which compiling takes
        (4_000, 0.75e-3, False),  # 30 s by the loop
    ],
)
def test_compiling_must_save_more_than_it_takes(timed, trainings, of_two, compiled):
    timed(loop=1e-3, eager=2e-3, of_two=of_two)
    found = chosen(trainings)
    assert (found.engine, found.compiled) == (("vectorized", True) if compiled else ("loop", False))


def test_members_that_come_alone_make_a_chunk_dearer(timed):
    timed(loop=1e-3, eager=0.4e-3)
    assert chosen(10_000).engine == "vectorized"
    assert chosen(10_000, lone=5_000).engine == "loop"  # 0.4 ms · (1 + 3 / 2)


def test_nothing_is_compiled_where_it_cannot_be_kept(timed, monkeypatch, tmp_path):
    timed(loop=1e-3, eager=2e-3, of_two=0.75e-3)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path / "file"))
    found = chosen(16_000)
    assert (found.engine, found.compiled) == ("loop", False)
    assert "set ASSAY_CACHE" in found.reason


def test_what_a_step_gains_by_compiling_is_what_it_does_not_compute(timed, monkeypatch):
    timed(loop=1e-3, eager=1e-3, of_two=0.8e-3)
    arguments: Any = (make_task(), contender(torch.optim.SGD), None, ALLOWED, None)
    assert saved(100.0, 4.0) == 75.0
    monkeypatch.setattr(chooser, "PER_WEIGHT", 0.0)
    assert expected_gain(*arguments, plain=1e-3) == pytest.approx(5.0)
    monkeypatch.setattr(chooser, "PER_WEIGHT", 0.8e-3 / 53)  # of 6·5 + 5 + 5·3 + 3 weights: nothing is left
    assert expected_gain(*arguments, plain=1e-3) == pytest.approx(1.0)
    monkeypatch.setattr(chooser, "seconds_of_loop", lambda *_, **__: 1 / 0)  # a model that takes whole batches only
    assert expected_gain(*arguments, plain=1e-3) == 1.0


def test_the_parity_probe_has_the_last_word():
    class Fixed(torch.optim.SGD):
        """Takes its rate when it is made: no one sees it change, and each member's own is lost."""

        def __init__(self, params, lr):
            super().__init__(params, lr=lr)
            self.hidden = iter([lr] * 10**6)

    found = settle(
        make_task(),
        contender(Fixed),
        EngineOptions(engine="vectorized", compile="off"),
        100,
        4,
        lone=0,
        cores=2,
        split=0,
    )
    assert found.numerics.engine == "loop"
    assert "hidden" in found.numerics.reason
