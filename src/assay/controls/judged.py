"""What the controls came to, from their record and the question's: an interval and a sentence each. None decides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from msgspec import UNSET
from msgspec.structs import replace

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.controls import plan
from assay.controls.plan import Control
from assay.core import Hyperparameters, TaskInfo, plain
from assay.core.result import Comparison
from assay.judge import outcome
from assay.judge.decide import resolution
from assay.judge.digits import printed
from assay.judge.power import detectable_difference
from assay.judge.sentence import amount, counted, difference_text
from assay.record import RunFolder

ALARM = 0.001  # below this p value two copies of one optimizer differ by more than luck explains


def has_controls(folder: RunFolder) -> bool:
    """Whether a record has controls, finished or not."""
    return (folder.path / plan.FOLDER / "plan.json").exists()


def controls_record(folder: RunFolder) -> RunFolder:
    """The record of its controls."""
    return RunFolder.open(folder.path / plan.FOLDER)


class Trained:
    """The controls' record beside that of the question."""

    def __init__(self, arrays: RecordArrays, folder: RunFolder) -> None:
        self.question, self.folder = arrays, folder
        self.science = folder.plan.science
        self.frame = folder.frame()
        self.controls = plan.controls(len(arrays.plan.science.contenders))

    def skipped(self, control: Control) -> str | None:
        """Why it was not trained."""
        return plan.skipped(self.science.contenders[control.slot])

    def first_seed(self, control: Control) -> int:
        """The first of its final seeds: A/A has some of its own, after the question's."""
        return self.question.protocol.final_seeds if control.kind == "again" else 0

    def arrays(self, control: Control) -> RecordArrays:
        """Its members as arrays; final seeds count from 0.

        The sceptic's first n trials are the question's, and so are final runs at the hyperparameters chosen there too.
        """
        whole, rows = self.folder.plan, self.frame.filter(pl.col("slot") == control.slot)
        if control.kind == "sceptic":
            protocol = replace(self.science.protocol, trials=2 * self.science.protocol.trials)
            whole = replace(whole, science=replace(self.science, protocol=protocol))
            place = ["slot", "phase", "replicate", "index"]
            others = self.question.frame.filter(pl.col("slot") == 0).join(rows, on=place, how="anti")
            rows = pl.concat([others, rows])
        shift = pl.when(pl.col("phase") == "final").then(self.first_seed(control)).otherwise(0)
        return RecordArrays(whole, rows.with_columns(index=(pl.col("index") - shift).cast(pl.Int32)))

    def chosen(self, control: Control) -> dict[int, Hyperparameters]:
        """The hyperparameters that its trials choose, by replicate. BrokenRecord where trials are missing."""
        arrays = self.arrays(control)
        return {k: arrays.chosen(control.slot, k) for k in range(arrays.protocol.replicates)}

    def scores(self, control: Control) -> np.ndarray:
        """Test scores of its final runs (K, r), turned, diverged ones at the floor."""
        return self.question.scores_of(self.arrays(control).curves(control.slot, "test")[:, :, -1])


def replayed_at(arrays: RecordArrays) -> dict[int, Hyperparameters]:
    """What a replay's members have in each replicate beside their multiplier: what the baseline was tuned to there."""
    replicates = range(arrays.protocol.replicates)
    return {k: {**arrays.chosen(0, k), plan.REPLICATE: k} for k in replicates}


def judged(folder: RunFolder) -> list[dict[str, Any]]:
    """The `controls` of `result.json`: a `Comparison` each, from a record that has controls.

    Raises:
        BrokenRecord: members are missing.
    """
    frame = folder.frame()
    arrays = RecordArrays(reached(folder.plan, frame), frame)
    trained = Trained(arrays, controls_record(folder))
    return [plain(entry) for control in trained.controls for entry in _entries(trained, control)]


def _entries(trained: Trained, control: Control) -> Iterator[Comparison]:
    names = [info.name for info in trained.science.contenders]
    arrays, reason, slot = trained.question, trained.skipped(control), control.candidate or 0
    if reason:
        said = f"Schedule replay: skipped for {names[slot]}, for {reason}."
        yield Comparison(control=control.kind, first=names[slot], second=names[0], skipped=reason, sentence=said)
        return
    base, own = (names[0], arrays.scores(0)), (names[control.slot], trained.scores(control))
    if control.kind == "again":
        found = _compared(arrays, control, own, base)
        passed = not found.p_value < ALARM
        end = (
            f"no alarm (p = {found.p_value:.2g}; an alarm is p below {ALARM:g}{_seen(arrays, found)})"
            if passed
            else f"alarm, p = {found.p_value:.1g}: two copies of one optimizer should not differ, so find out why before "
            "trusting a verdict"
        )
        said = f"A/A: {found.first}, with a sampler and final seeds of its own, scores {_scored(found, arrays.task)}: {end}."
        yield replace(found, passed=passed, sentence=said)
    elif control.kind == "sabotage":
        found = _compared(arrays, control, own, base)
        passed = found.ci_high < 0
        end = (
            "it loses, as it must"
            if passed
            else "warning, it does not lose: this task and budget can't tell a crippled optimizer from a sound one"
        )
        who = f"Sabotage: {found.first} after a tenth of its steps, tuned as carefully"
        yield replace(found, passed=passed, sentence=f"{who}, scores {_scored(found, arrays.task)}: {end}.")
    elif control.kind == "sceptic":
        n = arrays.protocol.trials
        for other in range(1, len(arrays.plan.science.contenders)):
            found = _compared(arrays, control, (names[other], arrays.scores(other)), own)
            said = f"Sceptic: {found.first} tuned with {counted(n, 'trial')} scores "
            said += f"{_scored(found, arrays.task, f' tuned with {2 * n}')}: {found.outcome}."
            yield replace(found, sentence=said)
    else:
        candidate = names[slot], arrays.scores(slot)
        which = ", which has its schedule and not its rule"
        for part, ours, theirs, more in (("rule", candidate, own, which), ("schedule", own, base, "")):
            found = _compared(arrays, control, ours, theirs)
            said = f"Schedule replay, the {part}: {found.first} scores {_scored(found, arrays.task, more)}: {found.outcome}."
            yield replace(found, part=part, about=names[slot], sentence=said)


def _compared(
    arrays: RecordArrays, control: Control, ours: tuple[str, np.ndarray], theirs: tuple[str, np.ndarray]
) -> Comparison:
    """Two arms, name and scores (K, r) each, with the interval that the question's own rule gives one pair.

    Its spread is not taken to be smaller than rounding makes it, as in the verdict: else two equal differences of a copy
    would be a false alarm. What a score is rounded to is seen in all that are known, the question's and the control's.
    """
    asked = [arrays.scores(slot) for slot in range(len(arrays.plan.science.contenders))]
    differences = (ours[1] - theirs[1]).mean(axis=1)
    question = dataclasses.replace(
        arrays.deciding,
        protocol=replace(arrays.protocol, looks=UNSET),  # they are looked at once
        candidates=1,
        resolution=resolution([*asked, ours[1], theirs[1]], arrays.step),
    )
    found = question.interval(differences)
    return Comparison(
        control=control.kind,
        first=ours[0],
        second=theirs[0],
        difference=found.mean,
        ci_low=found.low,
        ci_high=found.high,
        p_value=found.p_value,
        level=found.level,
        outcome=outcome(found.low, found.high, arrays.task.margin),
        differences=differences.tolist(),
    )


def _seen(arrays: RecordArrays, found: Comparison) -> str:
    """What such an alarm can see, which is little."""
    if not arrays.protocol.second or not math.isfinite(found.ci_low):
        return ""
    task, spread = arrays.task, float(np.std(found.differences, ddof=1))
    seen = amount(f"{task.scale * detectable_difference(spread, len(found.differences), ALARM):.2g}", task.unit)
    return f", which a true difference of {seen} would set off 4 times in 5"


def _scored(found: Comparison, task: TaskInfo, which: str = "") -> str:
    text = printed(found.difference, found.ci_low, found.ci_high, task.margin, task.scale)
    much = difference_text(found.difference, text.mean, text.digits, task, found.second)
    return f"{much}{which} ({100 * found.level:.4g} % interval {text.low} to {text.high})"
