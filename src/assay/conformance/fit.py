"""Fits a known optimizer's learning rate and settings to the path that another one took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from assay.conformance.known import Known, Settings, Walk, from_line, to_line
from assay.conformance.lab import Training, flat

_NEAR = 0.8  # a misfit above this, root mean square, is not worth fitting settings for
_CLOSE = 0.15  # nor is one that a first fit leaves above this, root mean square
EQUAL = 2e-7
PARALLEL = 5e-3  # where an eps is scaled with the rest, small elements turn a little


@dataclass(frozen=True)
class Fitted:
    """A known optimizer at settings, its learning rate times the `factor` that suits best.

    `misfit`: the worst element's share of its path that is missed; `residual` (elements, steps): all of them.
    """

    candidate: Known
    settings: Settings
    misfit: float
    factor: float
    residual: Tensor

    def walk(self, start: Sequence[Tensor], lr: float) -> Walk:
        """It from `start`, where the other one's learning rate is `lr`."""
        return Walk(self.candidate, start, self.factor * lr, self.settings)


class Fit:
    """One known optimizer, to be fitted to a path.

    Args:
        start: where the parameters were.
        rows: the gradients of each step.
        path: how far another optimizer went on them, (elements, steps).
        lr: that optimizer's learning rate.
    """

    def __init__(self, candidate: Known, start: Sequence[Tensor], rows: Any, path: Tensor, lr: float) -> None:
        self.candidate, self.start, self.rows, self.path, self.lr = candidate, start, rows, path, lr
        self.scale = path.norm(dim=1).clamp_min(1e-9 * float(path.norm()))[:, None]  # each element counts alike

    def _walk(self, lr: float, settings: Settings) -> Tensor | None:
        """The candidate's displacements (elements, steps); None where it refuses the settings."""
        try:
            path = path_of(Walk(self.candidate, self.start, lr, settings), self.rows)
        except (ValueError, RuntimeError, OverflowError):
            return None
        return path if bool(torch.isfinite(path).all()) else None

    def at(self, settings: Settings) -> Fitted:
        """The best factor on the learning rate for these settings."""
        nothing = Fitted(self.candidate, settings, math.inf, 1.0, torch.ones_like(self.path))
        factor, residual = 1.0, nothing.residual
        for attempt in range(3):  # where steps aren't proportional to lr (weight decay), once or twice more
            walked = self._walk(self.lr * factor, settings)
            if walked is None:
                return nothing
            a, b = walked / self.scale, self.path / self.scale
            more = float((a * b).sum() / (a * a).sum())
            if not math.isfinite(more) or more <= 0:
                return nothing
            residual = a * more - b
            if attempt and abs(more - 1) < 1e-10:
                break
            factor *= more
            if "weight_decay" not in settings:
                break
        return Fitted(self.candidate, settings, float(residual.norm(dim=1).max()), factor, residual)

    def factors(self, settings: Settings) -> Tensor | None:
        """Factors (steps,) that make each of the candidate's steps the path's; None where directions differ."""
        walked = self._walk(self.lr, settings)
        if walked is None:
            return None
        nowhere = torch.zeros_like(walked[:, :1])
        own, other = (torch.diff(path, dim=1, prepend=nowhere) / self.scale for path in (self.path, walked))
        square = (other * other).sum(0)
        factors = (own * other).sum(0) / square
        if not bool((square > 0).all()) or not bool((factors > 0).all()):
            return None
        rest = (own - factors * other).norm(dim=1) / own.norm(dim=1).clamp_min(1e-12)
        return factors if float(rest.max()) < PARALLEL else None

    def best(self, hints: Settings) -> Fitted:
        """The settings that fit best, sought where the defaults or hints come near."""
        fitted = dict(self.candidate.fitted)
        hints = {k: v for k, v in hints.items() if k != "weight_decay" or v}
        starts = [{**fitted, **hints}, *([fitted] if hints else [])]
        if "beta2" in fitted:
            starts += [{**starts[0], "beta1": a, "beta2": b} for a, b in ((0.9, 0.99), (0.5, 0.9), (0.95, 0.95))]
        for name in ("momentum", "alpha", "rho"):
            if name in fitted:
                starts += [{**starts[0], name: v} for v in (0.5, 0.8, 0.9, 0.95, 0.99)]
        if (start := "initial_accumulator_value") in fitted:
            starts += [{**starts[0], start: v} for v in (1e-3, 1e-1, 1.0)]
        if "dampening" in fitted:  # an average rather than a sum
            starts += [{**s, "dampening": s["momentum"]} for s in list(starts)]
        best = self._best_of(starts, list(fitted))
        if best.misfit >= EQUAL and self.candidate.decays and not starts[0].get("weight_decay"):
            decaying = [{**starts[0], "weight_decay": decay} for decay in (1e-4, 1e-3, 1e-2, 1e-1)]
            best = min(best, self._best_of(decaying, [*fitted, "weight_decay"]), key=lambda found: found.misfit)
        return best

    def _best_of(self, starts: Sequence[Settings], names: list[str]) -> Fitted:
        """From the start that comes nearest; the named settings are refined where it comes near."""
        nearest = min(map(self.at, starts), key=lambda found: float(found.residual.norm()))
        near = float(nearest.residual.norm()) / math.sqrt(len(self.path)) < _NEAR
        return self._refined(nearest, names) if nearest.misfit >= EQUAL and near and names else nearest

    def _refined(self, nearest: Fitted, names: list[str]) -> Fitted:
        from scipy.optimize import least_squares

        def of(places: Any) -> Settings:
            return {**nearest.settings, **{n: from_line(n, float(x)) for n, x in zip(names, places, strict=True)}}

        def residual(places: Any) -> Any:
            return self.at(of(places)).residual.flatten().numpy()

        places = [to_line(n, nearest.settings[n]) for n in names]
        for evaluations in (10, 30):
            try:
                fit = least_squares(residual, places, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=evaluations)
            except ValueError:
                break
            places = list(fit.x)
            if math.sqrt(2 * fit.cost / len(self.path)) > _CLOSE:
                break
        best = nearest
        for settings in (of(places), {n: _rounded(v) for n, v in of(places).items()}):
            found = self.at(settings)
            if found.misfit < best.misfit or found.misfit < EQUAL:
                best = found
        return best


def _rounded(value: float) -> float:
    """To three digits of the value or of its distance from 1, as people write settings."""
    if abs(value) < 1e-6:
        return value if value >= 1e-12 else 0.0
    if 0.9 < value < 1:
        return 1 - float(f"{1 - value:.3g}")
    return float(f"{value:.3g}")


def path_of(walker: Walk | Training, rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """How far what is fed these gradients has come at each (elements, steps)."""
    path = []
    for row in rows:
        walker.feed(row)
        path.append(flat(walker.moved()))
    return torch.stack(path, 1)
