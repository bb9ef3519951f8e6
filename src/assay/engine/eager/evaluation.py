"""Scores of all members of a population on their own splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from assay.core import Task
from assay.engine.eager.model_mode import outputs_of
from assay.engine.eager.population import Population

BLOCK_BYTES = 1 << 28  # inputs of the members that a device scores at once


@torch.no_grad()
def scores(
    task: Task, population: Population, splits: Sequence[tuple[Tensor, Tensor]], wanted: np.ndarray
) -> np.ndarray:
    """The metric of the `wanted` members (members,) bool, in evaluation mode, each on its own split.

    On a CPU one member after the other, whose activations then stay in cache; elsewhere many at once.
    """
    model = population.model
    model.eval()
    try:
        if splits[0][0].device.type == "cpu" or len({s[0].shape for s in splits}) > 1:
            chosen = [
                task.metric.score(
                    functional_call(model, {n: t[i] for n, t in population.weights.items()}, (splits[i][0],)),
                    splits[i][1],
                )
                for i in np.flatnonzero(wanted).tolist()
            ]
            return torch.stack(chosen).double().cpu().numpy()
        block = max(1, BLOCK_BYTES // max(1, splits[0][0].nbytes))
        every: list[Tensor] = []
        for start in range(0, len(splits), block):
            some = slice(start, start + block)
            weights = {name: tensor[some] for name, tensor in population.weights.items()}
            outputs = outputs_of(model, weights, torch.stack([s[0] for s in splits[some]]))
            every.append(_each(task, outputs, torch.stack([s[1] for s in splits[some]])))
        return torch.cat(every).double().cpu().numpy()[wanted]
    finally:
        model.train()


def _each(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """Each member's metric (members,), of all at once where the metric allows it."""
    try:
        return torch.vmap(task.metric.score)(outputs, targets)
    except Exception:
        return torch.stack([task.metric.score(o, t) for o, t in zip(outputs, targets, strict=True)])
