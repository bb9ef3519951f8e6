"""The options as the command line takes them: those of `core.options`, and what is printed and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from cyclopts import ArgumentCollection, Group, Parameter

from assay.core import BudgetOptions, EngineOptions, ProtocolOptions, TaskOptions, WorkerOptions
from assay.errors import UsageError


def _see_that_none_was_rounded(arguments: ArgumentCollection) -> None:
    """UsageError where a whole number was read from one with a fraction, as in --trials 2.5: the parser would round it."""
    for argument in arguments:
        found = argument.value if argument.has_tokens else None
        for value, token in zip(found if isinstance(found, list) else [found], argument.tokens, strict=False):
            if isinstance(value, int) and "." in token.value and Decimal(token.value) != value:
                raise UsageError(f"{argument.name} must be a whole number, not {token.value}")


PARAMETERS = Group("Parameters", validator=_see_that_none_was_rounded)  # by the parser's own name for them


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
