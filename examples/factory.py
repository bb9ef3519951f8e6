"""A contender with a schedule: AdamW that decays matrices only, one epoch of warm-up, then a cosine to zero.

    assay check examples/factory.py:adamw_cosine
    assay run adam examples/factory.py:adamw_cosine

A function of the model makes the optimizer; `assay.Contender` adds what is tuned and how the rate goes.
"""

from __future__ import annotations

import math

import torch
from torch import nn

import assay

WARM = 1 / 15  # of training: one epoch of fifteen


def make(model: nn.Module, run: assay.Run, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW in two groups. `run` tells the length of training, where that is needed."""
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)


def cosine(done: float) -> float:
    """The factor on each group's learning rate at a fraction of training."""
    if done < WARM:
        return (done + 0.01) / (WARM + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM) / (1 - WARM)))


adamw_cosine = assay.Contender(
    "adamw-cosine",
    make,
    space={"lr": assay.Float(1e-5, 1e-1, log=True), "weight_decay": assay.Float(0.0, 0.1)},
    schedule=cosine,
)
