"""A wrapper around another optimizer: Lookahead (Zhang et al. 2019, arXiv:1907.08610).

    assay check examples/wrapper.py:Lookahead
    assay run adam examples/wrapper.py:Lookahead

The first parameter is called `optimizer`, so assay gives it a fresh instance of the baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Lookahead:
    """Every k steps the slow weights go a part of the way to the fast ones, which go on from there."""

    def __init__(self, optimizer: torch.optim.Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        self.inner, self.k, self.alpha, self.steps = optimizer, k, alpha, 0
        self.slow = [p.detach().clone() for p in self._params()]

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The inner optimizer's own, so that a learning rate written there is the one that is used."""
        return self.inner.param_groups

    def _params(self) -> list[Tensor]:
        return [p for group in self.inner.param_groups for p in group["params"]]

    def step(self, closure: Callable[[], Tensor] | None = None) -> Any:
        """One step of the inner optimizer; every k-th one also meets the slow weights."""
        loss = self.inner.step(closure)  # type: ignore[arg-type]
        self.steps += 1
        if self.steps % self.k == 0:
            with torch.no_grad():
                for slow, p in zip(self.slow, self._params(), strict=True):
                    p.copy_(slow.lerp_(p, self.alpha))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """All it needs to go on: the inner state, the slow weights, and the count."""
        return {"inner": self.inner.state_dict(), "slow": [s.clone() for s in self.slow], "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`."""
        self.inner.load_state_dict(state["inner"])
        self.slow = [s.clone() for s in state["slow"]]
        self.steps = state["steps"]
