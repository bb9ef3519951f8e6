"""On a device: nothing is read back within an epoch, and nothing meets a tensor of another device.

The device here is torch's `meta`: its tensors have shapes and no values, so that whatever waits for a value fails. What
a real GPU computes is tested by those marked `cuda`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from assay.engine import train as vectorized
from assay.engine.eager import batches as batches_module
from assay.engine.eager.batches import Batches
from assay.engine.eager.optimizer_mode import OptimizerMode
from assay.engine.eager.population import Population
from assay.engine.refusal import Again, NotVectorizable
from assay.engine.select.measure import evenly, fitting, size_on_gpu
from assay.engine.torch_private import batched, vmap_level
from assay.optim import GNSAdam
from assay.training import loop

from .small import assert_same, contender, make_task, members, numerics
from .test_counting import EveryFifth

NAMES = ("Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD")
OPTIMIZERS: dict[str, Any] = {
    **{name: getattr(torch.optim, name) for name in NAMES},
    "GNSAdam": GNSAdam,
    "EveryFifth": EveryFifth,
}
NOWHERE = numerics("float32", device="meta")


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The means that reach the end of each epoch, where the engine may wait for the device."""
    found: list[Tensor] = []
    monkeypatch.setattr(vectorized._Training, "_end_epoch", lambda self, epoch, means, finite: found.append(means))
    return found


def begin(name: str, **options: bool) -> vectorized._Training:
    """Before the first epoch one step is the loop's own: there an optimizer may read what it likes."""
    item = Tensor.item
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Tensor, "item", lambda self: 1.0 if self.is_meta else item(self))
        return vectorized._Training(Population, make_task(), contender(OPTIMIZERS[name]), members(), NOWHERE, options)


@pytest.mark.parametrize(("name", "share"), [(n, s) for n in OPTIMIZERS for s in (True, False) if s or n != "RAdam"])
def test_an_epoch_never_waits_for_the_device(name: str, share: bool, ends: list[Tensor]) -> None:
    """`share`: RAdam without it branches by a count that each member has for itself, and is refused."""
    training = begin(name, share=share, **({"warm": True} if name == "RAdam" else {}))
    for epoch in range(2):
        training.epoch(epoch)
    assert training.population.taken == 10
    assert [(m.device.type, tuple(m.shape)) for m in ends] == [("meta", (3, 3))] * 2


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_first_step_together_is_that_of_the_loop(name: str) -> None:
    """On a device no member steps alone: state is made for all at once. Here on the CPU, where it can be compared."""
    task, arm = make_task(), contender(OPTIMIZERS[name])

    def cold(*args: Any, **options: Any) -> Population:
        return Population(*args, warm=0, **options)

    found = vectorized.train_with(cold, task, arm, members(), numerics())
    assert_same(found, loop.train(task, arm, members(), numerics()), rtol=1e-6)


def test_who_must_step_alone_first_does(ends: list[Tensor]) -> None:
    """RAdam branches by its count, which is no device's to keep."""
    with pytest.raises(Again) as raised:
        begin("RAdam").epoch(0)
    assert raised.value.change == {"warm": True}


def test_a_scheduled_one_neither(ends: list[Tensor]) -> None:
    arm = contender(torch.optim.Adam, schedule=lambda fraction: 1 - fraction)
    training = vectorized._Training(Population, make_task(), arm, members(), NOWHERE, {})
    training.epoch(0)
    training.epoch(1)
    assert len(ends) == 2


def test_what_reads_a_value_back_is_refused() -> None:
    nowhere = torch.ones(2, 5, device="meta")
    with vmap_level(2) as level, OptimizerMode(2, level, {}, "meta"):
        norm = batched(nowhere, level).square().sum()
        with pytest.raises(NotVectorizable, match="reads a value back from the device"):
            bool(norm > 0)


def test_members_share_a_gpu_evenly_and_leave_room() -> None:
    gib = 1 << 30
    assert fitting(80 * gib, 3_000_000, processes=1) == int((0.7 * 80 * gib - 6e8) / 3e6)
    assert 16 * fitting(80 * gib, 3_000_000, processes=16) * 3_000_000 < 0.7 * 80 * gib
    assert fitting(1 * gib, 3_000_000, processes=16) == 2
    assert [evenly(w, 12) for w in (1, 2, 5, 8, 11, 12, 100)] == [1, 2, 4, 6, 6, 12, 12]


def test_chunks_on_a_gpu_are_shared_out_evenly_once_they_are_large() -> None:
    assert size_on_gpu(10_000, 20_000, processes=4) == 2_500
    assert size_on_gpu(10_000, 2_000, processes=4) == 1_250  # eight chunks, not five
    assert size_on_gpu(10_000, 20_000, processes=1) == 10_000
    assert size_on_gpu(900, 20_000, processes=4) == 900
    assert size_on_gpu(12, 2, processes=4) == 2


def test_neighbours_with_one_data_set_are_gathered_together(monkeypatch: pytest.MonkeyPatch) -> None:
    task, chunk = make_task(), [*members(), *members()]
    alone = Batches(task, chunk, numerics())
    monkeypatch.setattr(batches_module, "_runs", lambda data: pytest.fail("not on a CPU"))
    alone.shuffle()
    monkeypatch.undo()
    together = Batches(task, chunk, numerics())
    together.together = batches_module._runs(together.data)
    assert len(together.together) < len(chunk)
    together.shuffle()
    assert torch.equal(alone.x, together.x)
    assert torch.equal(alone.y, together.y)


# ------------------------------------------------------------------------------------------------- on a real GPU

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.cuda
@cuda
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gpu_gives_the_loops_numbers(name: str) -> None:
    task, arm = make_task(), contender(OPTIMIZERS[name])
    on_gpu = numerics(device="cuda")
    assert_same(vectorized.train(task, arm, members(), on_gpu), loop.train(task, arm, members(), on_gpu), rtol=1e-6)


@pytest.mark.cuda
@cuda
def test_an_epoch_on_a_gpu_has_no_synchronization(ends: list[Tensor]) -> None:
    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))

    task, arm = make_task(model), contender(torch.optim.Adam)
    training = vectorized._Training(Population, task, arm, members(), numerics("float32", device="cuda"), {})
    training.epoch(0)
    training.batches.shuffle()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(training.batches.steps):
            x, y = training.batches.at(step)
            training.population.step(x, y, training.dropout(x))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.cuda
@cuda
def test_what_was_measured_fits() -> None:
    from assay.engine.select.measure import largest_on_gpu

    task, arm = make_task(), contender(torch.optim.Adam)
    width = min(256, largest_on_gpu(task, arm, members(), numerics("float32", device="cuda"), 2))
    chunk = [members()[i % 3] for i in range(width)]
    curves = vectorized.train(task, arm, chunk, numerics("float32", device="cuda", chunk_size=width))
    assert np.isfinite(curves.train_loss).all()
