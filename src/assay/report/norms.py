"""The figure of gradient and update norms, the same under both protocols."""

from __future__ import annotations

import numpy as np

from assay.report.figures import Card, Series, lines
from assay.report.reading import Reading


def norms(reading: Reading) -> Card:
    """Gradient and update norms of the final runs, by epoch."""
    gradient, update = (
        [Series(arm.name, arm.look, arm.curves(name)) for arm in reading.arms] for name in ("grad_norm", "update_norm")
    )
    said = [
        f"{arm.name}'s gradients {_change(g.values)} and its updates {_change(u.values)}"
        for arm, g, u in zip(reading.arms, gradient, update, strict=True)
    ]
    return Card(
        "norms",
        "Gradient norm and update norm",
        f"From the first epoch to the last {'; '.join(said)}.",
        lines.norms(gradient, update),
    )


def _change(values: np.ndarray) -> str:
    """How the mean curve's last value compares with its first."""
    mean = lines.band(values, logarithmic=True)[0]
    alive = mean[np.isfinite(mean)]
    if len(alive) < 2:
        return "can't be followed"
    factor = alive[-1] / alive[0]
    if factor > 1.15:
        return f"grow {factor:.1f}-fold"
    return f"shrink to {100 * factor:.0f} %" if factor < 0.87 else "keep their size"
