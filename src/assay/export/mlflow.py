"""Runs for MLflow, in a database of their own: a file, as `mlflow server --backend-store-uri` takes it."""

from __future__ import annotations

import itertools
import logging
import os
import time
from pathlib import Path
from urllib.parse import quote

from assay.export.members import members, needed, records, refused, see_that_it_is_empty, writing

INSTALL = "'assay[mlflow]'"
NAME = "mlflow.db"
AT_ONCE = 1000  # metrics that MLflow takes in one call
LONGEST = 6000  # characters of a parameter that it takes


def write(path: Path, to: Path) -> Path:
    """Write each member as a run into the database `to/mlflow.db`, an experiment a record, called as its folder.

    A replicate is a run that has its members below it. A metric's step is an epoch, counted from 1, its time the share of the
    member's seconds. (SQLite, for MLflow refuses folders of files since 3.7.)

    Raises:
        UsageError: MLflow isn't installed, or fails, or `to` isn't empty; else as in `tables.csv`.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read as it is imported
    client_of = needed("--mlflow", "mlflow.tracking", INSTALL).MlflowClient
    entities = needed("--mlflow", "mlflow.entities", INSTALL)
    Fault = needed("--mlflow", "mlflow.exceptions", INSTALL).MlflowException
    for name in ("mlflow", "alembic"):  # which tell of each table that they make
        logging.getLogger(name).setLevel(logging.WARNING)
    found = records(path, to)
    see_that_it_is_empty(to, "MLflow")
    with writing(to):
        try:
            client = client_of(f"sqlite:///{quote(str(to.resolve() / NAME))}")
            begun = int(1000 * time.time())
            for place, folder in found:
                named = f"{folder.path.resolve().name} ({folder.plan.science.plan_hash[:8]})"
                experiment = client.create_experiment(named, artifact_location=(place / "artifacts").resolve().as_uri())
                for group, own in itertools.groupby(members(folder), key=lambda member: member.group):
                    above = client.create_run(experiment, start_time=begun, run_name=group).info.run_id
                    for member in own:
                        below = {
                            "mlflow.parentRunId": above,
                            "phase": member.row["phase"],
                            "assay.member": member.identity,
                        }
                        run = client.create_run(
                            experiment, start_time=begun, run_name=member.name, tags=below
                        ).info.run_id
                        given = {"contender": member.row["contender"], **member.hyperparameters}
                        params = [entities.Param(name, str(value)[:LONGEST]) for name, value in given.items()]
                        metrics = [
                            entities.Metric(name, x, begun + int(1000 * seconds), epoch)
                            for epoch, seconds, values in member.epochs
                            for name, x in values.items()
                        ]
                        last = begun + int(1000 * member.row["seconds"])
                        metrics += [entities.Metric(name, float(x), last, 0) for name, x in member.summary.items()]
                        client.log_batch(run, params=params)
                        for start in range(0, len(metrics), AT_ONCE):
                            client.log_batch(run, metrics=metrics[start : start + AT_ONCE])
                        client.set_terminated(run, "FINISHED", last)
                    client.set_terminated(above, "FINISHED")
        except Fault as error:
            raise refused("--mlflow", to, error) from error
    return to
