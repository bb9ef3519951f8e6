"""What the controls came to, from their record and the question's: an interval and a sentence each. None decides."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.controls import plan
from assay.controls.plan import Control
from assay.core import Hyperparameters, Stages, TaskInfo, plain
from assay.judge import outcome, paired_interval
from assay.judge.decide import resolution
from assay.judge.digits import printed
from assay.judge.sentence import counted, difference_text
from assay.judge.two_stage import two_stage_interval
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
            protocol = msgspec.structs.replace(self.science.protocol, trials=2 * self.science.protocol.trials)
            whole = msgspec.structs.replace(whole, science=msgspec.structs.replace(self.science, protocol=protocol))
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
    """The `controls` of `result.json`: an entry a comparison, from a record that has controls.

    `first` − `second` is what is compared, positive is better, in the metric's unit, at 1 − α each, whatever the number
    of candidates; `passed` is None where a control can't fail, `skipped` says why one was not trained.

    Raises:
        BrokenRecord: members are missing.
    """
    frame = folder.frame()
    arrays = RecordArrays(reached(folder.plan, frame), frame)
    trained = Trained(arrays, controls_record(folder))
    return [plain(entry) for control in trained.controls for entry in _entries(trained, control)]


def _entries(trained: Trained, control: Control) -> list[dict[str, Any]]:
    names = [info.name for info in trained.science.contenders]
    baseline, reason = names[0], trained.skipped(control)
    if reason:
        about = names[control.candidate or 0]
        said = f"Schedule replay: skipped for {about}, for {reason}."
        return [{**_blank(control.kind, about, baseline), "skipped": reason, "sentence": said}]
    arrays = trained.question
    base, ours = arrays.scores(0), trained.scores(control)
    if control.kind == "again":
        return [_again(_compared(arrays, control.kind, names[control.slot], ours, baseline, base), arrays.task)]
    if control.kind == "sabotage":
        return [_sabotage(_compared(arrays, control.kind, names[control.slot], ours, baseline, base), arrays.task)]
    if control.kind == "sceptic":
        return [
            _sceptic(_compared(arrays, control.kind, names[slot], arrays.scores(slot), baseline, ours), arrays)
            for slot in range(1, len(arrays.plan.science.contenders))
        ]
    slot, replay = control.candidate or 0, names[control.slot]
    rule = _compared(arrays, control.kind, names[slot], arrays.scores(slot), replay, ours)
    schedule = _compared(arrays, control.kind, replay, ours, baseline, base)
    return [{**entry, "about": names[slot]} for entry in (_rule(rule, arrays.task), _schedule(schedule, arrays.task))]


def _blank(kind: str, first: str, second: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("difference", "ci_low", "ci_high", "p_value", "level", "outcome", "passed", "skipped"))
    return {"control": kind, "first": first, "second": second, **nothing, "differences": []}


def _compared(
    arrays: RecordArrays, kind: str, first: str, ours: np.ndarray, second: str, theirs: np.ndarray
) -> dict[str, Any]:
    """Two arms' scores (K, r), with the interval that the question's own rule gives one pair.

    Its spread is not taken to be smaller than rounding makes it, as in the verdict: else two equal differences of a copy
    would be a false alarm. What a score is rounded to is seen in all that are known, the question's and the control's.
    """
    task, p = arrays.task, arrays.protocol
    asked = [arrays.scores(slot) for slot in range(len(arrays.plan.science.contenders))]
    step = resolution([*asked, ours, theirs])
    differences = (ours - theirs).mean(axis=1)
    fraction = arrays.test_fraction
    if isinstance(p.stages, Stages):
        found = two_stage_interval(differences, p.stages.first, p.alpha, 1, fraction, step)
    else:
        found = paired_interval(differences, p.alpha, 1, fraction, step)
    return {
        **_blank(kind, first, second),
        "difference": found.mean,
        "ci_low": found.low,
        "ci_high": found.high,
        "p_value": found.p_value,
        "level": found.level,
        "outcome": outcome(found.low, found.high, task.margin),
        "differences": differences,
    }


def _again(entry: dict[str, Any], task: TaskInfo) -> dict[str, Any]:
    p = entry["p_value"]
    passed = not p < ALARM
    end = (
        f"no alarm (p = {p:.2g}; an alarm is p below {ALARM:g})"
        if passed
        else f"alarm, p = {p:.1g}: two copies of one optimizer should not differ, so find out why before trusting a verdict"
    )
    said = f"A/A: {entry['first']}, with a sampler and final seeds of its own, scores {_scored(entry, task)}: {end}."
    return {**entry, "passed": passed, "sentence": said}


def _sabotage(entry: dict[str, Any], task: TaskInfo) -> dict[str, Any]:
    passed = bool(entry["ci_high"] < 0)
    end = (
        "it loses, as it must"
        if passed
        else "warning, it does not lose: this task and budget can't tell a crippled optimizer from a sound one"
    )
    said = f"Sabotage: {entry['first']} after a tenth of its steps, tuned as carefully, scores {_scored(entry, task)}: {end}."
    return {**entry, "passed": passed, "sentence": said}


def _sceptic(entry: dict[str, Any], arrays: RecordArrays) -> dict[str, Any]:
    n = arrays.protocol.trials
    said = (
        f"Sceptic: {entry['first']} tuned with {counted(n, 'trial')} scores "
        f"{_scored(entry, arrays.task, f' tuned with {2 * n}')}: {entry['outcome']}."
    )
    return {**entry, "sentence": said}


def _rule(entry: dict[str, Any], task: TaskInfo) -> dict[str, Any]:
    said = (
        f"Schedule replay, the rule: {entry['first']} scores "
        f"{_scored(entry, task, ', which has its schedule and not its rule')}: {entry['outcome']}."
    )
    return {**entry, "part": "rule", "sentence": said}


def _schedule(entry: dict[str, Any], task: TaskInfo) -> dict[str, Any]:
    said = f"Schedule replay, the schedule: {entry['first']} scores {_scored(entry, task)}: {entry['outcome']}."
    return {**entry, "part": "schedule", "sentence": said}


def _scored(entry: dict[str, Any], task: TaskInfo, which: str = "") -> str:
    text = printed(entry["difference"], entry["ci_low"], entry["ci_high"], task.margin, task.scale)
    much = difference_text(entry["difference"], text.mean, text.digits, task, entry["second"])
    return f"{much}{which} ({100 * entry['level']:.4g} % interval {text.low} to {text.high})"
