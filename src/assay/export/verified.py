"""Does `studies.db` hold the trials on record, and nothing else? Read by SQLite itself, and never run: Optuna isn't needed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from assay.answer.arrays import RecordArrays
from assay.export.optuna import NAME
from assay.space import Choice, Dimension, Float

FILLED = {"studies", "study_directions", "trials", "trial_params", "trial_values", "version_info", "alembic_version"}
LONGEST = 2**20  # bytes of a value
STEPS, ROUNDS = 100_000, 2_000  # of SQLite's machine: so many at a time, and times, before it is stopped

Study = tuple[str, str, list[Any]]  # name, direction, trials


def faults(path: Path, arrays: RecordArrays) -> Iterator[str]:
    """What is wrong with the studies of a run folder, a line each; nothing where it has none."""
    file = path / NAME
    if not file.exists():
        return
    try:
        with closing(_opened(file)) as connection:
            tables = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            others = [n for n in tables if n not in FILLED and not n.startswith("sqlite_")]
            quoted = [name.replace('"', '""') for name in others]
            if any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in quoted):
                yield f"{NAME} holds more than the trials"
            found = list(_studies(connection))
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
        yield f"{NAME} can't be read ({error})"
        return
    if found != list(_expected(arrays)):
        yield f"{NAME} doesn't hold the trials on record"


def _opened(file: Path) -> sqlite3.Connection:
    """The database, to be read only, with an end to what it may take."""
    connection = sqlite3.connect(f"file:{quote(str(file.resolve()))}?mode=ro&immutable=1", uri=True)
    left = iter(range(ROUNDS))
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)
    connection.set_progress_handler(lambda: next(left, None) is None, STEPS)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def _studies(connection: sqlite3.Connection) -> Iterator[Study]:
    parameters: dict[int, list[Any]] = {}
    for trial, name, value, kind in connection.execute(
        "SELECT trial_id, param_name, param_value, distribution_json FROM trial_params"
    ):
        parameters.setdefault(trial, []).append([name, value, json.loads(kind)])
    values: dict[int, list[Any]] = {}
    for trial, objective, value, kind in connection.execute(
        "SELECT trial_id, objective, value, value_type FROM trial_values"
    ):
        values.setdefault(trial, []).append([objective, value, kind])
    trials: dict[int, list[Any]] = {}
    for study, trial, number, state in connection.execute(
        "SELECT study_id, trial_id, number, state FROM trials ORDER BY study_id, number"
    ):
        own = sorted(parameters.pop(trial, []), key=lambda parameter: str(parameter[0]))
        trials.setdefault(study, []).append([number, state, values.pop(trial, []), own])
    for study, name, direction in connection.execute(
        "SELECT s.study_id, s.study_name, d.direction FROM studies s LEFT JOIN study_directions d USING (study_id) "
        "ORDER BY s.study_id"
    ):
        yield name, direction, trials.pop(study, [])
    if parameters or values or trials:
        raise ValueError("it has trials of no study")


def _expected(arrays: RecordArrays) -> Iterator[Study]:
    science = arrays.plan.science
    direction = "MAXIMIZE" if science.task.sign > 0 else "MINIMIZE"
    for slot, info in enumerate(science.contenders):
        for replicate in range(science.protocol.replicates):
            study = arrays.study(slot, replicate)
            trials: list[Any] = []
            for number, (chosen, score) in enumerate(
                zip(study.hyperparameters, study.validation.tolist(), strict=True)
            ):
                alive = bool(np.isfinite(score))
                own = [[name, _internal(d, chosen[name]), _described(d)] for name, d in sorted(info.space.items())]
                trials.append([number, "COMPLETE" if alive else "FAIL", [[0, score, "FINITE"]] if alive else [], own])
            yield f"{info.name}, replicate {replicate}", direction, trials


def _internal(dimension: Dimension, value: Any) -> float:
    """A value as Optuna keeps it: of a choice, its number."""
    return dimension.to_unit(value) if isinstance(dimension, Choice) else float(value)


def _described(dimension: Dimension) -> dict[str, Any]:
    """A range as Optuna describes it."""
    if isinstance(dimension, Choice):
        return {"name": "CategoricalDistribution", "attributes": {"choices": list(dimension.options)}}
    real = isinstance(dimension, Float)
    ends = {"low": dimension.low, "high": dimension.high, "log": dimension.log, "step": None if real else 1}
    return {"name": "FloatDistribution" if real else "IntDistribution", "attributes": ends}
