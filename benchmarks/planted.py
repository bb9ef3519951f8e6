"""Adam with a handicap of any size, for planting a known difference in real trainings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from assay.contenders.adapt import adapt
from assay.contenders.load import source_of
from assay.core import Contender
from assay.space import Space


class OffCentre(torch.optim.Adam):
    """Adam that adds `strength` to the gradient of the first class's bias.

    Training then ends where that class is predicted too rarely, by `strength` of all samples: no learning rate mends it,
    and accuracy falls about with its square.
    """

    def __init__(self, params: Any, lr: float, strength: torch.Tensor) -> None:
        super().__init__(params, lr=lr)
        self.strength = strength  # a tensor: one compiled step serves every strength

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim == 1:
                    p.grad[0] += self.strength
        super().step(closure)


def off_centre(name: str, strength: float, space: Space) -> Contender:
    """A contender with this handicap, tuned in that range: no pilot looks for another."""
    made = adapt(OffCentre, name, space=space, fixed={"strength": torch.tensor(float(strength))})
    return replace(made, source=source_of(OffCentre), pilot=None)
