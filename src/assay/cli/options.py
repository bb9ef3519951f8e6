"""The options as the command line takes them: those of `core.options`, and what is printed and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from assay.core import BudgetOptions, EngineOptions, ProtocolOptions, TaskOptions, WorkerOptions


@dataclass(frozen=True, kw_only=True)
class TaskText(TaskOptions):
    """What the contenders are compared on, as text: tasks by name, the margin in the unit that the report has."""

    task: str = "mnist1d-mlp"
    margin: Annotated[float | None, Parameter(parse=False)] = None
    margin_in_text: Annotated[float | None, Parameter(name="--margin")] = None
    """The smallest difference that matters, in the unit of the metric's text (points for accuracies)."""


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is printed, and where files go.

    Parameters
    ----------
    plan_only
        Say what the plan costs and can see, and stop there.
    out
        The folder; by default assay-runs/<task>-<candidate>-<hash>.
    fresh
        Train anew though there is a record: the earlier folder is set aside, renamed to <folder>.before-1.
    json
        Print result.json instead of text.
    quiet
        Print the conclusion only.
    """

    plan_only: bool = False
    out: Path | None = None
    fresh: bool = False
    json: bool = False
    quiet: bool = False


RunPath = Annotated[Path, Parameter(help="The run folder.")]
Flat = Parameter(name="*")  # the fields are options of the command
Tasks = Annotated[TaskText, Flat]
Protocol = Annotated[ProtocolOptions, Flat]
Budget = Annotated[BudgetOptions, Flat]
Engine = Annotated[EngineOptions, Flat]
Workers = Annotated[WorkerOptions, Flat]
Output = Annotated[OutputOptions, Flat]
