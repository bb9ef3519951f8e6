"""A run's tuning as Optuna knows it: ranges as distributions, studies as a database for optuna-dashboard."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.record import RunFolder, files
from assay.space import Choice, Dimension, Float, Int

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

NAME = "studies.db"


def studies(path: Path) -> None:
    """Write a run folder's studies as an Optuna SQLite database, for optuna-dashboard: `contender, replicate k`.

    A trial's value is its raw validation score, metric units; a diverged trial has failed.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = RunFolder.open(path)
    frame = folder.frame()
    arrays = RecordArrays(reached(folder.plan, frame), frame)
    science = arrays.plan.science

    def write(temporary: Path) -> None:
        temporary.unlink()  # SQLite wants to make the file itself
        engine = {"creator": partial(_opened, temporary), "execution_options": {"isolation_level": "AUTOCOMMIT"}}
        storage = optuna.storages.RDBStorage(f"sqlite:///{temporary}", engine_kwargs=engine)
        for slot, info in enumerate(science.contenders):
            distributions = {name: distribution(dimension) for name, dimension in info.space.items()}
            for replicate in range(science.protocol.replicates):
                found = arrays.study(slot, replicate)
                study = optuna.create_study(
                    storage=storage,
                    study_name=f"{info.name}, replicate {replicate}",
                    direction="maximize" if science.task.sign > 0 else "minimize",
                )
                study.add_trials(
                    create_trial(
                        params=hyperparameters,
                        distributions=distributions,
                        value=float(score) if np.isfinite(score) else None,
                        state=TrialState.COMPLETE if np.isfinite(score) else TrialState.FAIL,
                    )
                    for hyperparameters, score in zip(found.hyperparameters, found.validation, strict=True)
                )
        storage.engine.dispose()

    files.write_atomically(path / NAME, write)


def _opened(path: Path) -> sqlite3.Connection:
    """A database that is made in one go, and that nobody looks at before it is whole and on the disk: none of its parts waits
    for the disk, where each trial did (120 ms on a busy one).
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("synchronous", "journal_mode"):
        connection.execute(f"PRAGMA {pragma} = OFF")
    return connection


def distribution(dimension: Dimension) -> BaseDistribution:
    """The dimension as Optuna knows it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match dimension:
        case Float(low, high, log):
            return FloatDistribution(low, high, log=log)
        case Int(low, high, log):
            return IntDistribution(low, high, log=log)
        case Choice(options):
            return CategoricalDistribution(options)
