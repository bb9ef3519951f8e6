"""Runs for Weights & Biases, made offline: nothing leaves this machine until `wandb sync`."""

from __future__ import annotations

import os
from pathlib import Path

from assay.export.members import members, needed, records, refused, see_that_it_is_empty, writing


def write(path: Path, to: Path) -> Path:
    """Write each member as an offline run into `to/wandb`, in a project called as its record's folder.

    Its group is its replicate, its job type its phase, its tag its contender; a step is an epoch, counted from 1. A run's id is
    the member's own, so that what is synchronized twice is there once.

    Raises:
        UsageError: wandb isn't installed, or fails, or `to` isn't empty; else as in `tables.csv`.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read as it is imported
    wandb = needed("--wandb", "wandb", "'assay[wandb]'")
    found = records(path, to)
    see_that_it_is_empty(to, "wandb")
    quiet = {"silent": True, "console": "off", "disable_git": True, "disable_code": True, "x_disable_stats": True}
    for _, folder in found:
        with writing(to):
            for member in members(folder):
                row = member.row
                try:
                    run = wandb.init(
                        mode="offline",
                        dir=str(to),
                        project=folder.path.resolve().name[:128],
                        id=member.identity,
                        name=member.name,
                        group=member.group,
                        job_type=row["phase"],
                        tags=[row["contender"][:64]],
                        config={"contender": row["contender"], "plan": member.plan_hash, **member.hyperparameters},
                        settings=wandb.Settings(**quiet),
                        reinit="create_new",
                    )
                    for epoch, _, values in member.epochs:
                        run.log({"epoch": epoch, **values}, step=epoch)
                    run.summary.update(member.summary)
                    run.finish()
                except wandb.Error as error:
                    raise refused("--wandb", to, error) from error
    return to
