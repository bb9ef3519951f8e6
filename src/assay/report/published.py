"""The figures of a published-protocol run, each with what to see in it."""

from __future__ import annotations

from assay.report.figures import Card, Series, lines
from assay.report.figures.scores import scores
from assay.report.norms import norms
from assay.report.panels import panels
from assay.report.reading import Reading
from assay.report.units import listed, settings


def cards(reading: Reading) -> list[Card]:
    """Accuracy by epoch, score by hyperparameter, norms by epoch."""
    return [_comparison(reading), _scores(reading), norms(reading)]


def _comparison(reading: Reading) -> Card:
    units = reading.units
    series = [
        Series(f"{arm.name} ({settings(arm.came['hyperparameters'])})", arm.look, units.scale * arm.curves("test"))
        for arm in reading.arms
    ]
    ends = [
        f"{v['candidate']} ends {units.difference(abs(v['difference']))} "
        f"{'ahead of' if v['difference'] >= 0 else 'behind'} {v['baseline']}"
        if v["difference"] is not None
        else f"{v['candidate']} and {v['baseline']} can't be compared: a final run diverged"
        for _, v in reading.pairs
    ]
    return Card(
        "comparison_plot",
        f"Test {units.metric} of the final runs",
        f"{'; '.join(ends)}. Each line is a single run: look at the shapes, not at the gap.",
        lines.learning(series, f"test {units.axis}"),
    )


def _scores(reading: Reading) -> Card:
    picked = listed([f"{settings(arm.came['hyperparameters'])} for {arm.name}" for arm in reading.arms])
    return Card(
        "score_by_lr",
        "Every trial of the tuning",
        f"The ringed trials were chosen: {picked}. A peak well inside the range is a tuning one can trust; "
        "a curve that still climbs at an edge is not.",
        scores(panels(reading), f"tuning {reading.units.axis}"),
    )
