"""The population engine: a chunk of members trains as one, with unmodified optimizers. Its twin is `loop`.

Equal to the loop to rounding: same weights, same batches, same counts. Dropout is equal in distribution only, for the
loop draws its masks from the global generator and here each member has a generator of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from assay.core import Contender, Curves, Member, Numerics, Task
from assay.engine.eager.batches import Batches
from assay.engine.eager.model_mode import Dropout
from assay.engine.eager.population import Population
from assay.engine.refusal import NotVectorizable, made_with_options
from assay.training.step import own_randomness


def train(task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics) -> Curves:
    """As `train_with`, with the kind of population that the numerics ask for."""
    kind = Population
    if numerics.compiled:
        from assay.engine.compiled.population import Compiled as kind  # loads torch's compiler
    return train_with(kind, task, contender, members, numerics)


def train_with(
    kind: Callable[..., Population], task: Task, contender: Contender, members: Sequence[Member], numerics: Numerics
) -> Curves:
    """Train the members together and return what each left over the epochs, as `loop.train` does.

    `kind`: the population that takes the steps, eager or compiled.

    Raises:
        NotVectorizable: the reason in one line; nothing is kept, the loop can train the same members.
    """
    started = time.perf_counter()
    if not members:
        raise NotVectorizable("there are no members")
    if len({m.phase for m in members}) > 1:
        raise NotVectorizable("members that tune and members that are final don't share a chunk")
    wanted = len(members)
    if numerics.compiled:  # a compiled step has one width
        members = [*members, *[members[-1]] * (numerics.chunk_size - wanted)]

    def trained(**options: int) -> Curves:
        with own_randomness():
            training = _Training(kind, task, contender, members, numerics, options)
            for epoch in range(task.epochs):
                if not training.epoch(epoch):
                    break
        return training.curves(wanted, time.perf_counter() - started)

    return made_with_options(trained)


class _Training:
    def __init__(
        self,
        kind: Callable[..., Population],
        task: Task,
        contender: Contender,
        members: Sequence[Member],
        numerics: Numerics,
        options: Mapping[str, int],
    ) -> None:
        self.task, self.final = task, members[0].phase == "final"
        self.batches = Batches(task, members, numerics)
        self.population = kind(task, contender, members, numerics, self.batches, **options)
        self.dropout = Dropout(self.population.model, [member.noise for member in members])
        self.keeps_weights = members[0].phase == "tune" and self.batches.data[0].tests_later
        # validation, test, loss, gradient norm, update norm
        self.traces = np.full((5, len(members), task.epochs), np.nan)
        self.diverged, self.evaluations = np.zeros((2, len(members)), dtype=np.int64)
        self.lengths = np.full((len(members), self.batches.run.total_steps), np.nan, dtype=np.float32)
        self.weights: np.ndarray | None = None

    def epoch(self, epoch: int) -> bool:
        """Train and score one epoch; False when nobody is left."""
        population, batches = self.population, self.batches
        kept: list[Tensor] = []
        if epoch == 0:
            kept.extend(population.warm_traces)
        else:
            batches.shuffle()
            population.switch(training=True)
        for step in range(len(kept), batches.steps):
            x, y = batches.at(step)
            kept.append(population.step(x, y, self.dropout(x)))
        batches.given.see_unwritten(f"task {self.task.name}: its model or its loss")
        population.switch(training=False)
        if self.final:
            alive = self.diverged == 0
            places = slice(epoch * batches.steps, (epoch + 1) * batches.steps)
            self.lengths[alive, places] = torch.stack([k[2] for k in kept]).float().cpu().numpy().T[alive]
        if self._watched(epoch):
            population.see_steady()
        means = torch.stack(kept).mean(0).double()
        self._end_epoch(epoch, means, population.finite())
        return bool((self.diverged == 0).any())

    def _watched(self, epoch: int) -> bool:
        """Whether it is seen to after this epoch that nothing but the members has changed: early, and at the end."""
        return epoch in (0, self.task.epochs - 1)

    def _end_epoch(self, epoch: int, means: Tensor, finite: Tensor) -> None:
        """Note who diverged, and the scores of who did not: the one place where an epoch waits for the device."""
        values = torch.cat([means, torch.stack([finite, self.population.sound]).double()]).cpu().numpy()
        if ((values[4] == 0) & (self.diverged == 0)).any():
            raise NotVectorizable(self.population.unsound)
        self.evaluations = np.where(self.diverged == 0, self.population.evaluations, self.evaluations)
        sound = np.isfinite(values[:3]).all(0) & (values[3] > 0)
        lost = ~sound & (self.diverged == 0)
        self.diverged[lost] = epoch + 1
        if self.keeps_weights and (lost.any() or epoch == self.task.epochs - 1):
            flat = self.population.flat_weights().numpy()
            earlier = (self.diverged > 0) & ~lost  # who keeps the weights it diverged with
            self.weights = flat if self.weights is None else np.where(earlier[:, None], self.weights, flat)
        going = self.diverged == 0
        self.population.alive = None if going.all() else torch.from_numpy(going)
        self.traces[2:, going, epoch] = values[:3, going]
        if going.any():
            data, watched = self.batches.data, self._watched(epoch)
            self.traces[0, going, epoch] = self.population.scores([d.validation for d in data], going, watched)
            if self.final:
                self.traces[1, going, epoch] = self.population.scores([d.test for d in data], going, watched)

    def curves(self, wanted: int, seconds: float) -> Curves:
        """What the first `wanted` members left."""
        validation, test, loss, grad_norm, update_norm = self.traces[:, :wanted]
        return Curves(
            validation=validation,
            test=test if self.final else None,
            train_loss=loss,
            grad_norm=grad_norm,
            update_norm=update_norm,
            diverged=self.diverged[:wanted],
            gradient_evaluations=self.evaluations[:wanted],
            seconds=np.full(wanted, seconds / wanted),
            data=tuple(d.facts for d in self.batches.data[:wanted]),
            weights=None if self.weights is None else self.weights[:wanted],
            step_norms=self.lengths[:wanted] if self.final else None,
        )
