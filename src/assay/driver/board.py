"""The board: well-known optimizers against tuned AdamW, on the whole suite, on one page.

Of the column of all tasks together no interval is wrong with 95 % probability (each at α divided by its candidates); of the
cells that say something 5 % are wrong at most, in the mean (`judge.coverage`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.contenders import contenders as resolve
from assay.contenders.registry import PACKAGED
from assay.core import Brought, BudgetOptions, Contender, EngineOptions, ProtocolOptions, TaskOptions
from assay.errors import UsageError
from assay.record.plan import NAME as PLAN
from assay.record.suite import is_suite
from assay.training.numerics import check

from .plan import Comparison, Warn, plan_suite

BASELINE = "adamw"
_REGISTERED = ("adam", "sgd-momentum", "nadam", "radam", "rmsprop", "adafactor")
CANDIDATES = {name: name for name in (*_REGISTERED, *PACKAGED, "gns-adam")}
SCHEDULE = "warmup5+cosine"
WITHOUT = ("schedule-free-adamw",)  # whose authors have them go without a schedule
REPLICATES, TRIALS, FINAL_SEEDS = 6, 20, 4  # where nobody says how many
TUNED = ("weight_decay",)  # besides the rate, where it is taken


def available(warn: Warn, more: Sequence[Brought] = (), schedule: str = SCHEDULE) -> tuple[Contender, ...]:
    """The baseline, those candidates whose packages are installed, and `more`; `warn` is told of each one that is skipped.

    Raises:
        UsageError: one of `more` can't be made.
    """
    found: list[Brought] = [BASELINE]
    for name, reference in CANDIDATES.items():
        own = f"{name}={reference}" + ("+constant" if name in WITHOUT and schedule != "none" else "")
        try:
            resolve([own])
        except UsageError as error:
            warn(f"{name} is skipped: {error} (pip install 'assay[board]' brings what the board needs)")
        else:
            found.append(own)
    return resolve([*found, *more], tune=TUNED)


def plan_board(
    *more: Brought,
    tasks: str = "suite",
    schedule: str = SCHEDULE,
    speedup: bool = False,
    budget: BudgetOptions = BudgetOptions(),
    engine: EngineOptions = EngineOptions(),
    out: str | Path | None = None,
    earlier: Path | None = None,
    warn: Warn = lambda line: None,
) -> Comparison:
    """The board's plan: fixed contenders, and `more`, on `tasks`.

    Args:
        schedule: of all who want one, as in `warmup5+cosine`; or `none`.
        speedup: whether the baseline's ladder is trained, too.
        earlier: the folder of a board of the same without `more`, whose trainings are taken over; by default where that
            would be.
    Raises:
        UsageError: as in `plan`.
    """
    protocol = ProtocolOptions(
        replicates=REPLICATES if budget.replicates is None else budget.replicates,
        trials=TRIALS if budget.trials is None else budget.trials,
        final_seeds=FINAL_SEEDS if budget.final_seeds is None else budget.final_seeds,
        seed=budget.seed,
        schedule=[schedule],
        speedup=speedup,
    )
    on, engine = TaskOptions(task=tasks), check(engine)
    contenders = available(warn, more, schedule)
    own = [c.name for c in contenders[len(contenders) - len(more) :]]
    asked = plan_suite(contenders, on, protocol, engine, out, warn, "board", wanted=lambda c: c.name in own)
    if earlier is not None and not (more and is_suite(earlier)):
        why = "it is the folder of no board" if more else "name the optimizers that come onto its page"
        raise UsageError(f"--from {earlier}: {why}")
    if not more:
        return asked
    without = plan_suite(
        contenders[: -len(more)], on, protocol, engine, None, lambda line: None, "board", wanted=lambda c: False
    )
    where = earlier or without.folder
    entries = without.suite.entries if without.suite else ()
    folders = {e.folder: where / e.folder for e in entries if (where / e.folder / PLAN).is_file()}
    if folders:
        warn(f"the trainings of {len(folders)} of {len(entries)} tasks are taken over from the board in {where}")
    jobs = (replace(job, earlier=folders.get(job.folder.name)) for job in asked.jobs)
    return replace(asked, jobs=tuple(jobs))
