"""`timings.json`: what was measured while a run or a suite was made. Part of no answer, shown in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from assay.errors import BrokenRecord
from assay.record.documents import DAMAGED, read_data

NAME = "timings.json"
Seconds = Annotated[float, Meta(ge=0)]
Moment = Annotated[str, Meta(pattern=r"^[0-9: -]{19} UTC\Z")]


Factor = Annotated[float, Meta(gt=0)]


class SpeedUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ratio of a step's times, candidate to baseline, the standard error of its logarithm, and the speed-up in seconds."""

    step_ratio: Factor
    step_ratio_log_se: Seconds
    speedup: Factor | None
    speedup_low: Factor | None
    speedup_high: Factor | None


class Timings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds; of a suite by task and contender, None for a target that was missed."""

    made: Moment | UnsetType = UNSET
    wall_seconds: Seconds | UnsetType = UNSET
    training_seconds: Seconds | UnsetType = UNSET
    controls_training_seconds: Seconds | UnsetType = UNSET
    ladder_training_seconds: Seconds | UnsetType = UNSET
    optimizer_step_seconds: dict[str, Seconds] | UnsetType = UNSET
    speedup: dict[str, SpeedUp] | UnsetType = UNSET
    seconds_to_target: dict[str, dict[str, Seconds | None]] | UnsetType = UNSET
    step_seconds: dict[str, dict[str, Seconds]] | UnsetType = UNSET


def read_timings(folder: Path) -> dict[str, Any]:
    """What was measured, as plain data; nothing where there is no such file. BrokenRecord where it says anything else."""
    path = folder / NAME
    try:
        content = read_data(path)
        msgspec.convert(content, Timings)
        return content
    except FileNotFoundError:
        return {}
    except (OSError, *DAMAGED) as error:
        raise BrokenRecord(f"{path} can't be read ({error}); delete it and run the command again") from error
