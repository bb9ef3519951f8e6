"""From what the user asked for to a frozen plan: a job a task, and what holds them together where there are several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from assay.contenders import contenders as resolve
from assay.core import Contender, EngineOptions, ProtocolOptions, TaskOptions
from assay.record.extend import folder_for
from assay.training.numerics import check

from .job import default_folder, job_of
from .suite import Comparison, Warn, plan_suite, settings, several, task_at


def plan(
    baseline: str | Contender,
    *candidates: str | Contender,
    on: TaskOptions | None = None,
    protocol: ProtocolOptions | None = None,
    engine: EngineOptions | None = None,
    out: str | Path | None = None,
    warn: Warn = lambda line: None,
) -> Comparison:
    """Settle what is asked before anything is trained.

    `warn` is told, in a line, of what is left out on a task of several: a candidate that can't be made for it, or a stress
    axis that it doesn't take.

    Raises:
        UsageError: as in `compare`.
    """
    on, protocol, engine = on or TaskOptions(), protocol or ProtocolOptions(), check(engine or EngineOptions())
    found = resolve([baseline, *candidates], protocol.space)
    if several(on):
        return plan_suite(found, on, protocol, engine, out, warn)
    ((name, setting),) = settings(on, warn)
    job = job_of(task_at(name, setting), found, replace(on, epochs=setting.get("epochs")), protocol, engine)
    folder = Path(out) if out else folder_for(default_folder(job.science), job.science)
    return Comparison((replace(job, folder=folder),), folder)
