"""Torch's compiler run over a step, kept on disk, and loaded: once, for it takes a while."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import msgspec
import pytest
import torch

from assay.contenders import contenders
from assay.engine.compiled import cache as artifacts
from assay.engine.compiled.population import Compiled, Interpreted
from assay.engine.eager.batches import Batches
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


def test_compiled_steps_are_kept_loaded_and_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    task, arm = make_task(n=100), contender(torch.optim.Adam)
    chunk, plan = members(2), numerics(compiled=True)  # a chunk that isn't full
    expected = loop.train(task, arm, chunk, numerics())
    assert_same(train(task, arm, chunk, plan), expected)

    (kept,) = (tmp_path / "compiled").glob("*/variants.msgpack")
    monkeypatch.setattr(artifacts, "compile_main", lambda *_: pytest.fail("it was compiled again"))
    missed: list[int] = []

    class Watched(Compiled):
        def step(self, *batch):
            traces = super().step(*batch)
            missed.append(self.missed)
            return traces

    assert_same(train_with(Watched, task, arm, chunk, plan), expected)
    assert missed[-1] == 0

    document = msgspec.msgpack.decode(kept.read_bytes(), type=artifacts.Document)
    document.sources[next(iter(document.sources))] = "of another version"
    kept.write_bytes(msgspec.msgpack.encode(document))
    assert artifacts.load(kept.parent.name) is None


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

    found = train_with(Watched, task, arm, members(2), numerics(compiled=True, width=2))
    expected = loop.train(task, arm, members(2), numerics())
    assert_same(found, expected, rtol=1e-7)
    (kept,) = (tmp_path / "compiled").glob("*/variants.msgpack")
    assert (
        len(msgspec.msgpack.decode(kept.read_bytes(), type=artifacts.Document).variants) == 2
    )  # the fifth step, and the others
    assert (len(missed), missed[-1]) == (999, 0)  # the first step of all is the loop's
    lengths = expected.update_norm[0]  # the fifth is the longer one: what is compared does change by the count
    assert lengths[4] > 3 * lengths[3]
    assert lengths[9] > 3 * lengths[8]


def test_the_key_depends_on_what_the_step_depends_on() -> None:
    assert artifacts.key_of({"width": 3}) == artifacts.key_of({"width": 3})
    assert artifacts.key_of({"width": 3}) != artifacts.key_of({"width": 4})


@pytest.mark.parametrize("name", ["adam", "gns-adam", "torch.optim:NAdam"])
def test_the_key_can_be_told_of_a_contender_by_name(name: str) -> None:
    _, arm = contenders(["sgd", name])
    with torch.random.fork_rng(devices=[]):
        batches = Batches(make_task(), members(2), numerics())
        interpreted = Interpreted(make_task(), arm, members(2), numerics(), batches)
        assert len(artifacts.key_of(interpreted._facts(batches))) == 32
