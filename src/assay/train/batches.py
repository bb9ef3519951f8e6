"""Members' batches: each member's data in its own order, an epoch at a time, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from assay.core import Member, Numerics, Run, Task

from .data import Data, load
from .refusal import NotVectorizable


class Batches:
    """Batches of an epoch, inputs (members, n, …) and targets (members, n, …), in the order the loop would take them.

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
        self.steps = -(-self.samples // task.batch_size)
        self.run = Run(task.epochs * self.steps, task.epochs, self.steps, fused=False)
        self.orders = [torch.Generator().manual_seed(member.batches) for member in members]
        self.x = inputs.new_empty(len(members), *inputs.shape)
        self.y = targets.new_empty(len(members), *targets.shape)

    def shuffle(self) -> None:
        """Begin an epoch: gather it for all members at once, so that a batch is a slice."""
        orders = torch.stack([torch.randperm(self.samples, generator=order) for order in self.orders])
        for i, (data, order) in enumerate(zip(self.data, orders.to(self.x.device), strict=True)):
            torch.index_select(data.train[0], 0, order, out=self.x[i])
            torch.index_select(data.train[1], 0, order, out=self.y[i])

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """All members' batches of a step, (members, batch, …); the last of an epoch may be smaller."""
        chosen = slice(step * self.size, (step + 1) * self.size)
        return self.x[:, chosen], self.y[:, chosen]

    def of_member(self, i: int, step: int) -> tuple[Tensor, Tensor]:
        """One member's batch of a step, (batch, …)."""
        x, y = self.at(step)
        return x[i], y[i]
