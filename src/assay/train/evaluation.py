"""Scores of all members of a population on their own splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from assay.core import Task

from .forward import outputs_of
from .population import Population


@torch.no_grad()
def scores(
    task: Task, population: Population, splits: Sequence[tuple[Tensor, Tensor]], wanted: np.ndarray
) -> np.ndarray:
    """The metric of the `wanted` members (members,) bool, in evaluation mode, each on its own split.

    On a CPU one member after the other, whose activations then stay in cache; elsewhere all at once.
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
        outputs = outputs_of(model, population.weights, torch.stack([s[0] for s in splits]))
        every = torch.stack([task.metric.score(o, s[1]) for o, s in zip(outputs, splits, strict=True)])
        return every.double().cpu().numpy()[wanted]
    finally:
        model.train()
