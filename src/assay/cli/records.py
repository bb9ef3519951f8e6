"""The commands that look at a record: draw, verify, export, say how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.errors import UsageError
from assay.events.text import say

from . import printed
from .app import app
from .options import RunPath


@app.command
def report(
    folder: RunPath,
    *others: Annotated[
        Path, Parameter(help="More run folders, whose reports are set beside the first's in the page --out.")
    ],
    latex: bool = False,
    out: Path | None = None,
) -> int:
    """Draw the report of a run folder again; or set several side by side, or write one for a paper.

    Parameters
    ----------
    latex
        For a paper: paper.tex (sentence, table, methods, figures), assay.bib, each figure as PDF and SVG at a column's width,
        and the numbers behind it as CSV, in the folder --out; by default <run folder>-paper.
    out
        Where the page of several goes, or the folder for a paper.
    """
    from .reported import again, beside, paper

    if latex:
        if others:
            raise UsageError("assay report --latex writes one record's; give it one folder at a time")
        say(str(paper(folder, out or folder.with_name(f"{folder.resolve().name}-paper"))))
    elif others:
        if out is None:
            raise UsageError("several reports side by side: into which page? --out page.html")
        say(str(beside([folder, *others], out)))
    elif out is not None:
        raise UsageError(
            f"a run's own report goes into its folder; --out is for --latex, or for several side by side ({out})"
        )
    else:
        say(str(again(folder)))
    return 0


@app.command
def verify(
    folder: RunPath,
    *,
    root: str | None = None,
    retrain: int | None = None,
    workers: int | None = None,
    json: bool = False,
) -> int:
    """Compute the verdict again from the members on record, and name whatever doesn't fit (docs/record.md).

    Parameters
    ----------
    root
        The root that was published with the verdict: a record that was forged since has another.
    retrain
        Also train so many members, drawn at random, once more, by their engine and by the loop, and compare their curves.
    workers
        Processes for that; one a core by default.
    json
        Print what was found as JSON.
    """
    from assay.driver.verify import faults, made_by_others, other_root
    from assay.record.inspection import reading

    with reading(folder):
        found, again = [*faults(folder), *other_root(folder, root)], []
        others = [] if found else made_by_others(folder)
    if retrain is not None and not found:
        from assay.driver.retrain import retrain as retrained  # imports torch

        again = retrained(folder, retrain, workers)
    return printed.verified(folder, found, again, others, json=json)


@app.command
def export(
    folder: RunPath,
    *,
    csv: Path | None = None,
    tensorboard: Path | None = None,
    wandb: Path | None = None,
    mlflow: Path | None = None,
) -> int:
    """The members of a run folder in other tools' formats.

    Parameters
    ----------
    csv
        Where members.csv (a row a member) and curves.csv (a row an epoch) go.
    tensorboard
        Where TensorBoard's event files go, a run a member (needs: pip install 'assay[tensorboard]').
    wandb
        Where offline runs for Weights & Biases go, a run a member, grouped by replicate; wandb sync sends them (needs: pip
        install 'assay[wandb]').
    mlflow
        Where mlflow.db goes, a run a member below its replicate; mlflow server --backend-store-uri shows it (needs: pip install
        'assay[mlflow]').
    """
    from importlib import import_module

    from assay.export import tables
    from assay.record.inspection import inspect, reading

    trackers = {"tensorboard": tensorboard, "wandb": wandb, "mlflow": mlflow}
    asked = {name: to for name, to in trackers.items() if to is not None}
    if csv is None and not asked:
        options = ", ".join(f"--{name} FOLDER" for name in ("csv", *trackers))
        raise UsageError(f"assay export: say what to write: {options}, or several")
    with reading(folder):
        inspect(folder, ("members", "scores"))
        if csv is not None:
            say(str(tables.csv(folder, csv)))
        for name, to in asked.items():
            say(str(import_module(f"assay.export.{name}").write(folder, to)))
    return 0


@app.command
def status(folder: RunPath) -> int:
    """How far a run is, while it runs and after."""
    from assay.record.inspection import reading

    from .status import status as print_status

    with reading(folder):
        print_status(folder)
    return 0
