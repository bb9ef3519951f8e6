"""The numbers behind a figure as rows, a dict each, for a CSV file: what is drawn, in the units that it is drawn in."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from assay.export.tables import no_formula
from assay.report.figures import Series
from assay.report.figures.ladder import Growing, Level, Rungs
from assay.report.figures.scores import Panel

Row = dict[str, Any]


def curves(series: Sequence[Series], x: str, y: str) -> list[Row]:
    """A row a run and epoch, or what else is counted from 1, of values (n, E)."""
    return [
        {"contender": s.label, "run": run, x: place, y: value}
        for s in series
        for run, values in enumerate(s.values)
        for place, value in enumerate(values, start=1)
    ]


def arrivals(series: Sequence[Series], y: str) -> list[Row]:
    """A row a run; empty where it never got there."""
    return [{"contender": s.label, "run": run, y: value} for s in series for run, value in enumerate(s.values)]


def marked(series: Sequence[Series], dot: str, y: str) -> list[Row]:
    """A row a dot, and one with the mark and its interval, where there are any."""
    found: list[Row] = []
    for s in series:
        found += [{"row": s.label, dot: place, y: value} for place, value in enumerate(s.values)]
        if s.mark is not None:
            low, high = s.interval or (None, None)
            found.append({"row": s.label, dot: "all", y: s.mark, "low": low, "high": high})
    return found


def shares(series: Sequence[Series], thresholds: np.ndarray, x: str) -> list[Row]:
    """A row a threshold, with the share as a fraction."""
    return [
        {"contender": s.label, x: at, "share": value}
        for s in series
        for at, value in zip(thresholds, s.values, strict=True)
    ]


def trials(panels: Sequence[Panel], y: str) -> list[Row]:
    """A row a trial, a choice, and a point of the curve that was read out of them, a hyperparameter after the other."""
    found: list[Row] = []
    for panel in panels:
        for t in panel.trials:
            said = {"hyperparameter": panel.hyperparameter, "contender": t.label}
            found += [
                {**said, "is": kind, "value": x, y: value}
                for kind, at, scores in (("trial", t.values, t.scores), ("chosen", t.chosen, t.chosen_scores))
                for x, value in zip(at, scores, strict=True)
            ]
            if t.fitted is not None:
                points = zip(*t.fitted, strict=True)
                found += [
                    {**said, "is": "curve", "value": x, y: m, "low": low, "high": high} for x, m, low, high in points
                ]
    return found


def laddered(base: Rungs, candidates: Sequence[Level], y: str) -> list[Row]:
    """A row a rung and replicate of the baseline, and one a candidate: its level, and what that is worth."""
    dots = [
        {"contender": base.label, "length": factor, "replicate": replicate, y: score}
        for factor, scores in zip(base.factors, base.scores.T, strict=True)
        for replicate, score in enumerate(scores)
    ]
    levels = [
        {"contender": c.label, "length": 1.0, "replicate": "all", y: c.score, "low": c.band[0], "high": c.band[1],
         "worth": c.factor, "worth in": " or ".join(f"{low:.4g} to {high:.4g}" for low, high in c.pieces)}
        for c in candidates
    ]  # fmt: skip
    return [*dots, *levels]


def growing(candidates: Sequence[Growing], y: str) -> list[Row]:
    """A row a size."""
    return [
        {"contender": c.label, "size": size, y: value, "low": low, "high": high, "line": line}
        for c in candidates
        for size, value, (low, high), line in zip(c.sizes, c.values, c.ends, c.line, strict=True)
    ]


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A CSV file. Cells are empty for None, NaN and infinity; text that a spreadsheet would compute has a ' in front."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return no_formula(value)
    if isinstance(value, float | np.floating):
        return repr(float(value)) if math.isfinite(value) else None
    return value
