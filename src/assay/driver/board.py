"""The board: well-known optimizers against tuned Adam, on the whole suite, on one page.

Errors are controlled over the whole page: half of α goes to the column of all tasks together, divided by its candidates,
half to the cells, divided by their number (Bonferroni), so that with 95 % probability no interval on it is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.contenders import contenders as resolve
from assay.core import Contender
from assay.driver import suite as across
from assay.errors import UsageError

ALPHA = 0.05
BASELINE = "adam"
CANDIDATES = {
    "sgd-momentum": "sgd-momentum",
    "adamw": "adamw",
    "nadam": "nadam",
    "radam": "radam",
    "rmsprop": "rmsprop",
    "adafactor": "adafactor",
    "muon": "assay.contenders.muon:muon",
    "lion": "lion_pytorch:Lion",
    "schedule-free-adamw": "schedulefree:AdamWScheduleFree",
    "gns-adam": "gns-adam",
}
BUDGET = {"replicates": 10, "trials": 10, "final_seeds": 2}


def available(warn: Callable[[str], None]) -> list[Contender]:
    """The baseline and those candidates whose packages are installed; `warn` is told of each other one, in a line."""
    found = [*resolve([BASELINE])]
    for name, reference in CANDIDATES.items():
        try:
            found += resolve([f"{name}={reference}" if name != reference else name])
        except UsageError as error:
            warn(f"{name} is skipped: {error} (pip install 'assay[board]' brings what the board needs)")
    return found


def plan(
    tasks: str = "suite",
    warn: Callable[[str], None] = lambda line: None,
    out: str | Path | None = None,
    **options: Any,
) -> across.Jobs:
    """The board's plan: `across.plan` with its fixed contenders, and α shared out as the head of this file says.

    Raises:
        UsageError: as in `across.plan`.
    """
    given = {k: v for k, v in options.items() if v is not None}
    shares = {"alpha": ALPHA / 2, "cells_alpha": ALPHA / 2}
    contenders = available(warn)
    return across.plan(*contenders, tasks=tasks, out=out, title="board", warn=warn, **shares, **{**BUDGET, **given})
