"""The board: well-known optimizers against tuned Adam, on the whole suite, on one page.

Of the column of all tasks together no interval is wrong with 95 % probability (each at α divided by its candidates); of the
cells that say something 5 % are wrong at most, in the mean (`judge.coverage`).
"""

from __future__ import annotations

from pathlib import Path

from assay.contenders import contenders as resolve
from assay.contenders.registry import PACKAGED
from assay.core import BudgetOptions, Contender, EngineOptions, ProtocolOptions, TaskOptions
from assay.errors import UsageError
from assay.training.numerics import check

from .plan import Comparison, Warn, plan_suite

BASELINE = "adam"
_REGISTERED = ("sgd-momentum", "adamw", "nadam", "radam", "rmsprop", "adafactor")
CANDIDATES = {**{name: name for name in _REGISTERED}, **PACKAGED, "gns-adam": "gns-adam"}
REPLICATES, TRIALS, FINAL_SEEDS = 10, 10, 2  # where nobody says how many


def available(warn: Warn) -> tuple[Contender, ...]:
    """The baseline and those candidates whose packages are installed; `warn` is told of each other one, in a line."""
    found = [*resolve([BASELINE])]
    for name, reference in CANDIDATES.items():
        try:
            found += resolve([f"{name}={reference}"])
        except UsageError as error:
            warn(f"{name} is skipped: {error} (pip install 'assay[board]' brings what the board needs)")
    return tuple(found)


def plan_board(
    tasks: str = "suite",
    budget: BudgetOptions = BudgetOptions(),
    engine: EngineOptions = EngineOptions(),
    out: str | Path | None = None,
    warn: Warn = lambda line: None,
) -> Comparison:
    """The board's plan: fixed contenders on `tasks`.

    Raises:
        UsageError: as in `plan`.
    """
    protocol = ProtocolOptions(
        replicates=REPLICATES if budget.replicates is None else budget.replicates,
        trials=TRIALS if budget.trials is None else budget.trials,
        final_seeds=FINAL_SEEDS if budget.final_seeds is None else budget.final_seeds,
        seed=budget.seed,
    )
    return plan_suite(available(warn), TaskOptions(task=tasks), protocol, check(engine), out, warn, "board")
