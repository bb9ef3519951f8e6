"""Torch's compiler run over a step, kept on disk, and loaded: once, for it takes a while."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
import torch
import torch._inductor.config

from assay.engine.compiled import cache as artifacts
from assay.engine.compiled import population
from assay.engine.compiled.build import Building
from assay.engine.compiled.population import Compiled, Interpreted
from assay.engine.eager.batches import Batches
from assay.engine.refusal import NotCompilable
from assay.engine.torch_private import loads_graphs
from assay.engine.train import train, train_with
from assay.training import loop

from .small import assert_same, contender, make_task, members, numerics
from .test_counting import EveryFifth

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or not loads_graphs,
    reason="needs a C++ compiler and torch's runtime for it",
)


def test_a_full_disk_is_no_fault_of_the_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts, "compile_graph", full)
    with pytest.raises(OSError, match="No space left"):
        artifacts.compile_main(torch.fx.GraphModule({}, torch.fx.Graph()), [], tmp_path / "0.so")


class Turning(torch.optim.SGD):
    """Its rule decomposes matrices, for which the compiler has no code of its own: the library calls torch's."""

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in self.param_groups[0]["params"]:
            turned = torch.linalg.qr(p.mT)[0].mT if p.ndim == 2 else p
            p.sub_(self.param_groups[0]["lr"] * (p.grad + turned))


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, Turning])
def test_compiled_steps_are_kept_loaded_and_right(
    optimizer: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    task, arm = make_task(n=100), contender(optimizer)
    chunk, plan = members(2), numerics(compiled=True)  # a chunk that isn't full
    expected = loop.train(task, arm, chunk, numerics())
    assert_same(train(task, arm, chunk, plan), expected)

    assert len(list((tmp_path / "compiled").glob("*.so"))) == 1
    monkeypatch.setattr(artifacts, "_loaded", {})  # as another process finds it
    population._kept.clear()
    monkeypatch.setattr(artifacts, "compile_main", lambda *_: pytest.fail("it was compiled again"))
    missed: list[int] = []

    class Watched(Compiled):
        def step(self, *batch):
            traces = super().step(*batch)
            missed.append(self.missed)
            return traces

    assert_same(train_with(Watched, task, arm, chunk, plan), expected)
    assert missed[-1] == 0


def test_a_class_that_counts_its_own_steps_is_right_at_each_of_a_thousand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An epoch is one step here, so that the curves tell of every step: 7, 10, 1,000 and those between."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    task, arm = make_task(n=8, batch=8, epochs=1000), contender(EveryFifth)
    missed: list[int] = []

    class Watched(Compiled):
        def step(self, *batch):
            traces = super().step(*batch)
            missed.append(self.missed)
            return traces

    found = train_with(Watched, task, arm, members(2), numerics(compiled=True, chunk_size=2))
    expected = loop.train(task, arm, members(2), numerics())
    assert_same(found, expected, rtol=1e-7)
    assert len(list((tmp_path / "compiled").glob("*.so"))) == 2  # the fifth step, and the others
    assert (len(missed), missed[-1]) == (999, 0)  # the first step of all is the loop's
    lengths = expected.update_norm[0]  # the fifth is the longer one: what is compared does change by the count
    assert lengths[4] > 3 * lengths[3]
    assert lengths[9] > 3 * lengths[8]


class Scaled(torch.optim.SGD):
    """Its rule holds a number where no file and no instance shows it."""

    BETA = 0.5

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for p in self.param_groups[0]["params"]:
            p.sub_(self.param_groups[0]["lr"] * (self.BETA * p.grad))


def traced(optimizer: type) -> list[str]:
    """The names of a contender's compiled graphs; nothing is compiled."""
    with torch.random.fork_rng(devices=[]):
        batches = Batches(make_task(), members(2), numerics())
        steps = Interpreted(make_task(), contender(optimizer), members(2), numerics(), batches)
        made, _ = Building(steps, steps.external, batches).variants()
    return [artifacts.key_of(t.main, t.inputs) for t in made]


def test_a_compiled_graph_is_named_by_what_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = traced(Scaled)
    assert traced(Scaled) == before
    with torch._inductor.config.patch({"cpp.simdlen": 1}):
        assert traced(Scaled) != before
    monkeypatch.setattr(Scaled, "BETA", 0.25)
    assert traced(Scaled) != before


def test_a_constant_of_a_class_that_changes_in_a_process_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    task, arm = make_task(), contender(Scaled)
    for beta in (0.5, 0.25):
        monkeypatch.setattr(Scaled, "BETA", beta)
        found = train_with(Interpreted, task, arm, members(), numerics())
        assert_same(found, loop.train(task, arm, members(), numerics()))


def test_a_graph_that_cant_be_compiled_is_tried_once_and_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tries: list[int] = []

    def fails(*_: object) -> None:
        tries.append(1)
        raise AssertionError

    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setattr(artifacts, "compile_graph", fails)
    task, arm = make_task(n=100), contender(torch.optim.Adagrad)
    for _ in range(2):
        population._kept.clear()
        with pytest.raises(NotCompilable, match="torch can't compile its step: AssertionError"):
            train(task, arm, members(2), numerics(compiled=True))
    assert len(tries) == 1
