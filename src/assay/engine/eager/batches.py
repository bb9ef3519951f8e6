"""Members' batches: each member's data in its own order, an epoch at a time, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from assay.core import Member, Numerics, Run, Task, steps_per_epoch
from assay.engine.refusal import NotVectorizable
from assay.training.data import Data, Given, load


class Batches:
    """Batches of an epoch, the first at first: inputs and targets (members, n, …), in the order the loop would take them.

    Raises:
        NotVectorizable: data sets of different shapes.
    """

    def __init__(self, task: Task, members: Sequence[Member], numerics: Numerics) -> None:
        self.data: list[Data] = [load(task, member.split, numerics.dtype, numerics.device) for member in members]
        self.size = task.batch_size
        inputs, targets = self.data[0].train
        for data in self.data:
            if data.loader is not None:
                raise NotVectorizable("its batches come from a DataLoader, one model's at a time")
            if data.train[0].shape != inputs.shape or data.train[1].shape != targets.shape:
                raise NotVectorizable("the members' data sets have different shapes")
        self.samples = len(inputs)
        self.steps = steps_per_epoch(self.samples, task.batch_size)
        self.run = Run(task.epochs * self.steps, task.epochs, self.steps, fused=False)
        self.orders = [torch.Generator().manual_seed(member.batches) for member in members]
        self.x = inputs.new_empty(len(members), *inputs.shape)
        self.y = targets.new_empty(len(members), *targets.shape)
        on_cpu = self.x.device.type == "cpu"
        self.together = [slice(i, i + 1) for i in range(len(members))] if on_cpu else _runs(self.data)
        self.narrow = torch.int16 if self.samples < 2**15 else torch.int32  # what goes to a device should be small
        # Orders are drawn on the CPU; while a device is busy with one epoch, those of the next
        self.ahead = None if on_cpu else ThreadPoolExecutor(1)
        self.drawn: Future[Tensor] | None = None
        self.shuffle()

    def shuffle(self) -> None:
        """Begin the next epoch: gather it for all members at once, so that a batch is a slice."""
        orders = self.drawn.result() if self.drawn is not None else self._orders()
        if self.ahead is not None:
            self.drawn = self.ahead.submit(self._orders)
        for rows in self.together:
            data, order = self.data[rows.start].train, orders[rows].to(self.x.device).int().flatten()
            for values, out in zip(data, (self.x, self.y), strict=True):
                torch.index_select(values, 0, order, out=out[rows].flatten(0, 1))
        self.given = Given(self.x, self.y)

    def _orders(self) -> Tensor:
        """The next epoch's, (members, samples)."""
        orders = torch.empty(len(self.orders), self.samples, dtype=self.narrow)
        for row, generator in zip(orders, self.orders, strict=True):
            row.copy_(torch.randperm(self.samples, generator=generator))
        return orders

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """All members' batches of a step, (members, batch, …); the last of an epoch may be smaller."""
        chosen = slice(step * self.size, (step + 1) * self.size)
        return self.x[:, chosen], self.y[:, chosen]

    def of_member(self, i: int, step: int) -> tuple[Tensor, Tensor]:
        """One member's batch of a step, (batch, …)."""
        x, y = self.at(step)
        return x[i], y[i]


def _runs(data: Sequence[Data]) -> list[slice]:
    """Neighbours with the same data set, which is gathered for all of them at once."""
    starts = [i for i in range(len(data)) if i == 0 or data[i] is not data[i - 1]]
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
