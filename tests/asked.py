"""A comparison as tests ask for it: options by their names, sorted into what they decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from assay import events
from assay.core import Contender, EngineOptions, Member, ProtocolOptions, TaskOptions, WorkerOptions
from assay.driver import plan as planning
from assay.driver import run as running
from assay.driver.compare import Result
from assay.driver.job import Job
from assay.driver.plan import Comparison
from assay.driver.scheduler import Calls
from assay.workers import jobs


def plan(
    *contenders: str | Contender,
    out: Path | None = None,
    warn: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> Comparison:
    """As `driver.plan.plan`. TypeError for an option that there isn't."""

    def taken(kind):
        return kind(**{f.name: options.pop(f.name) for f in fields(kind) if f.name in options})

    kinds = {"on": taken(TaskOptions), "protocol": taken(ProtocolOptions), "engine": taken(EngineOptions)}
    if options:
        raise TypeError(f"no such options: {options}")
    return planning.plan(*contenders, **kinds, out=out, warn=warn)


def job(*contenders: str | Contender, **options: Any) -> Job:
    """The one job of a plan."""
    (found,) = plan(*contenders, **options).jobs
    return found


def trained(monkeypatch: pytest.MonkeyPatch) -> list[Member]:
    """A list that the first member of each chunk comes to that workers are asked to train from now on."""
    found: list[Member] = []
    submit = Calls.submit

    def noted(self: Calls, purpose: Any, name: str, function: Any, *arguments: Any) -> None:
        if function is jobs.train_chunk:
            found.append(arguments[2][0])
        submit(self, purpose, name, function, *arguments)

    monkeypatch.setattr(Calls, "submit", noted)
    return found


def run(
    comparison: Comparison, workers: int | str = 1, on_event: events.OnEvent = events.ignore, fresh: bool = False
) -> Result:
    """What it comes to."""
    heard = events.Recorded(on_event)
    content = running.run(comparison, WorkerOptions(workers=workers), heard, fresh=fresh)
    return Result(comparison.folder, content, heard.sentence)


def small(
    trials: int = 1, replicates: int = 2, final_seeds: int = 1, engine: str = "loop", quiet: bool = True
) -> list[str]:
    """Arguments of a command that is soon over."""
    sizes = {"--trials": trials, "--replicates": replicates, "--final-seeds": final_seeds, "--workers": 1}
    words = [word for option, value in sizes.items() for word in (option, str(value))]
    return [*words, *(["--engine", engine] if engine else []), *(["--quiet"] if quiet else [])]
