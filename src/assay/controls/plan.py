"""Which controls a question has, as data: the plan of the record in `controls/`. Nothing here imports torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from assay.core import ContenderInfo, Science
from assay.core.result import ControlKind
from assay.space import Float, Space

FOLDER = "controls"
OWN = "assay.controls: "  # how references begin to what is altered here
MULTIPLIER, REPLICATE = "multiplier", "replicate"  # what a replay's members have beside the baseline's hyperparameters
REPLAY_SPACE: Space = {MULTIPLIER: Float(0.1, 10.0, log=True)}

Lengths = Mapping[int, "np.ndarray | str"]  # of each candidate's steps (K, T), by slot; or why there are none


class Control(NamedTuple):
    """A control and its slot in the controls' plan; `candidate` is the slot of the one that it is about."""

    kind: ControlKind
    slot: int
    candidate: int | None = None


def controls(contenders: int) -> list[Control]:
    """The controls of a question with so many contenders. The sceptic is the baseline itself, slot 0."""
    replays = [Control("replay", contenders + 1 + slot, slot) for slot in range(1, contenders)]
    return [Control("again", contenders), Control("sabotage", contenders + 1), Control("sceptic", 0), *replays]


def science_of(question: Science, lengths: Lengths) -> Science:
    """The science of the controls of a question, whose stages and pilots are over: K and ranges are what they came to."""
    asked = tuple(replace(info, pilot=UNSET) for info in question.contenders)
    baseline = asked[0]
    again = replace(baseline, name=f"{baseline.name} again", note="A/A: the baseline under another name")
    halted = replace(
        baseline,
        name=f"{baseline.name}, halted",
        reference=f"{OWN}halted {baseline.reference}",
        source=f"{baseline.source}; {code()}",
        note=f"{baseline.name} that stands still after a tenth of its steps",
    )
    replays = [_replay(baseline, info, lengths[slot]) for slot, info in enumerate(asked) if slot > 0]
    protocol = replace(question.protocol, stages=UNSET, pilot=UNSET)
    contenders = (*asked, again, halted, *replays)
    return replace(question, contenders=contenders, protocol=protocol)


def _replay(baseline: ContenderInfo, candidate: ContenderInfo, lengths: np.ndarray | str) -> ContenderInfo:
    skipped = isinstance(lengths, str)
    return replace(
        baseline,
        name=f"{baseline.name} at {candidate.name}'s step lengths",
        reference=f"{OWN}replayed {baseline.reference}",
        source=f"{baseline.source}; {code()}" + ("" if skipped else f"; lengths {digest(lengths)}"),
        space=dict(REPLAY_SPACE),
        note=f"each update of {baseline.name} rescaled to {candidate.name}'s mean length",
        skipped=lengths if skipped else UNSET,
    )


def skipped(info: ContenderInfo) -> str | None:
    """Why a control is not trained, or None where it is. Records of an earlier layout say it as its source."""
    earlier = info.note == "skipped" and info.reference.startswith(OWN)
    return info.skipped or (info.source if earlier else None)


def is_the_baseline(candidate: ContenderInfo, baseline: ContenderInfo) -> bool:
    """Whether a candidate is the baseline under another name. What was made in Python can't be told.

    Of two that nobody gave a range it doesn't matter where their pilots found it.
    """
    space = baseline.space if candidate.pilot and baseline.pilot else candidate.space
    named = replace(candidate, name=baseline.name, note=baseline.note, space=space)
    return bool(baseline.reference) and named == baseline


def digest(lengths: np.ndarray) -> str:
    """A hash of step lengths, to the bit."""
    return "sha256:" + hashlib.sha256(np.ascontiguousarray(lengths, dtype="<f8").tobytes()).hexdigest()


def code() -> str:
    """A hash of what alters the baseline."""
    return "sha256:" + hashlib.sha256(Path(__file__).with_name("altered.py").read_bytes()).hexdigest()
