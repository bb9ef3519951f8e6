"""The commands that ask, or check: one thin function a command. Nothing here imports torch before it must."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from assay import events
from assay.core import BudgetOptions, EngineOptions, ProtocolOptions, WorkerOptions
from assay.errors import UsageError
from assay.events.text import line, say, tell
from assay.events.view import view

from . import printed
from .app import app
from .options import Budget, Engine, Output, OutputOptions, Protocol, Tasks, TaskText, Workers
from .submitted import holds_submissions, open_board

if TYPE_CHECKING:
    from assay.driver.plan import Comparison


@app.command
def run(
    baseline: str,
    /,
    *candidates: str,
    on: Tasks = TaskText(),
    protocol: Protocol = ProtocolOptions(),
    engine: Engine = EngineOptions(),
    workers: Workers = WorkerOptions(),
    output: Output = OutputOptions(),
    plan: Path | None = None,
) -> int:
    """Compare candidates with a tuned baseline and say which is better, by how much, and how sure that is.

    Parameters
    ----------
    baseline
        The optimizer to beat: a name (see assay list), pkg.mod:Name, or path/file.py:Name; ALIAS= in front renames it.
    candidates
        The optimizers under test, named the same way.
    plan
        A file with the question, as assay plan writes one; options on the command line go before its own.
    """
    del plan  # `call` has put in what it says

    def settled(told: Callable[[str], None]) -> Comparison:
        from assay.driver.plan import plan

        given = (baseline, *candidates)
        return plan(*given, on=on, protocol=protocol, engine=engine, out=output.out, fresh=output.fresh, warn=told)

    return _carried_out(settled, workers, output)


@app.command(name="plan")
def plan_(
    baseline: str,
    /,
    *candidates: str,
    on: Tasks = TaskText(),
    protocol: Protocol = ProtocolOptions(),
    engine: Engine = EngineOptions(),
    workers: Workers = WorkerOptions(),
    output: Output = OutputOptions(),
) -> int:
    """Print the question as a YAML file, for assay run --plan FILE. Arguments and options are those of assay run.

    Parameters
    ----------
    baseline
        The optimizer to beat.
    candidates
        The optimizers under test.
    """
    from .plan_file import written

    say(written(baseline, candidates, on, protocol, engine, workers, output).rstrip())
    return 0


@app.command
def board(
    *candidates: str,
    task: str = "suite",
    schedule: str = "warmup5+cosine",
    speedup: bool = False,
    earlier: Annotated[Path | None, Parameter(name="--from")] = None,
    retrain: int = 0,
    rerun: int = 0,
    budget: Budget = BudgetOptions(),
    engine: Engine = EngineOptions(),
    workers: Workers = WorkerOptions(),
    output: Output = OutputOptions(),
) -> int:
    """Well-known optimizers against tuned AdamW: who beats it, where, by how much, at which cost, on one page.

    Each tunes its learning rate and, where it has one, its weight decay. Trials are 20 by default, replicates 6, final seeds 4.

    Parameters
    ----------
    candidates
        Your optimizers, named as in assay run: they come onto the page, and of what a board without them has trained
        nothing is trained again.
    schedule
        Of the learning rate, for all that want one, as in adam+warmup5+cosine; or none.
    speedup
        Also say how many of the baseline's steps each is worth.
    earlier
        The folder of that board; by default where assay board would have put it. Or a folder of submissions (assay submit):
        they are judged anew, nothing is trained but what the next two ask for, and a page is made of them (docs/open_board.md).
    retrain
        Of each submission so many members, drawn at random, are trained again by its own code; where they don't fit, it goes.
    rerun
        Each question that only one submission answers is asked again with so many replicates, at a seed drawn here.
    task
        The tasks, parted by commas; all of them by default.
    """

    if earlier is not None and holds_submissions(earlier):
        if candidates:
            raise UsageError(
                f"{earlier} holds submissions: a board of them takes no candidates; hand yours in with assay submit"
            )
        return open_board(earlier, output, retrain, rerun)
    if retrain or rerun:
        raise UsageError("--retrain and --rerun are for a board of submissions: assay board --from FOLDER")

    def settled(told: Callable[[str], None]) -> Comparison:
        from assay.driver.board import plan_board

        return plan_board(
            *candidates,
            tasks=task,
            schedule=schedule,
            speedup=speedup,
            budget=budget,
            engine=engine,
            out=output.out,
            earlier=earlier,
            warn=told,
        )

    return _carried_out(settled, workers, output)


def _carried_out(
    settled: Callable[[Callable[[str], None]], Comparison], workers: WorkerOptions, output: OutputOptions
) -> int:
    """Plan it, do it or say what it would cost, and print what came of that."""
    from assay.workers.choose import begin

    begin(workers)
    with view(quiet=output.quiet or output.json) as shown:
        on_event = events.Recorded(shown)
        from assay.driver.planned import planned  # with torch, so only now
        from assay.driver.run import run

        comparison = settled(lambda line: on_event(events.Warned(line)))
        if output.plan_only:
            say = partial(printed.planned, planned(comparison, workers, on_event), json=output.json)
        else:
            content = run(comparison, workers, on_event, fresh=output.fresh)
            conclude = partial(printed.concluded, comparison.folder, content, json=output.json, quiet=output.quiet)
            say = partial(conclude, recorded=on_event.sentence)
    say()
    return 0


@app.command
def check(
    *contenders: str,
    speed: Annotated[bool, Parameter(negative="--no-speed")] = True,
    matrix: bool = False,
    json: bool = False,
    explain: str | None = None,
    baseline: Path | None = None,
    update_baseline: bool = False,
    junit: Path | None = None,
    sarif: Path | None = None,
    badge: Path | None = None,
    html: Path | None = None,
    budget: float = 120.0,
) -> int:
    """Is this optimizer well behaved, and is it new? Exit code 1 where a check fails.

    Parameters
    ----------
    contenders
        A name (see assay list), pkg.mod:Name, or path/file.py:Name; a wrapper wraps adam. Or a package, module or file: all
        optimizers that it exports. Several are checked one after the other.
    speed
        Also time a step on 1 and 10 million parameters (not of a package's).
    matrix
        Also ask under the settings that it declares (weight decay, maximize, nesterov, amsgrad, foreach, fused, capturable,
        betas, momentum, a tensor for its rate), each alone and then together.
    json
        Print the findings as JSON.
    explain
        Say what a check asks, why, and what mends it.
    baseline
        A file of faults that are known: only new ones fail.
    update_baseline
        Write what fails now to that file; reasons that were written there are kept.
    junit
        Also write a test report in JUnit's XML.
    sarif
        Also write the faults as SARIF, by file and line.
    badge
        Also write a badge, an SVG.
    html
        Also write a page: a table of checks by settings, and each fault with its example.
    budget
        Seconds for the settings of one optimizer; those that are left then are not asked.
    """
    from assay.cli.checked import Files, conclude
    from assay.cli.checked import explain as explained
    from assay.conformance import check as checked
    from assay.conformance.package import check_package, is_package
    from assay.conformance.report import Found

    if explain is not None:
        explained(explain)
        return 0
    if not contenders:
        raise UsageError("what is to be checked? A name, pkg.mod:Name, path/file.py:Name, or a package")
    files = Files(junit, sarif, badge, html, baseline, update_baseline)
    files.see_that_they_can_be_written()
    found: Found = {}
    for one in contenders:
        if is_package(one):
            found |= check_package(one, matrix=matrix, budget=budget, on_report=lambda name, _: tell(f"{name}: done"))
        else:
            found[one] = checked(one, speed=speed, matrix=matrix, budget=budget)
    return conclude(found, files, json=json, several=len(contenders) > 1 or any(map(is_package, contenders)))


@app.command
def doctor(*, self_test: Annotated[bool, Parameter(negative="--no-self-test")] = True) -> int:
    """Is all here that assay needs, and does it work? Exit code 1 where something is wrong; each line has its mend.

    Parameters
    ----------
    self_test
        Also make a small comparison and verify it, some ten seconds.
    """
    from assay.driver.doctor import examine

    wrong = 0
    for finding in examine(self_test):
        printed.console().print(line(str(finding)))
        wrong += finding.grade == "wrong"
    say(f"{wrong} thing{'s are' if wrong > 1 else ' is'} wrong" if wrong else "all is well")
    return 1 if wrong else 0


@app.command(name="list")
def list_() -> int:
    """Contenders, tasks and engines, a line each."""
    printed.listing()
    return 0


@app.command(name="--install-completion")
def install_completion(*, shell: Literal["bash", "zsh", "fish", "powershell"] | None = None) -> int:
    """Complete commands and options in the shell: write the script for it, and the line that loads it to the shell's own file.

    Parameters
    ----------
    shell
        Which shell; by default the one that this is called from.
    """
    from cyclopts.completion.detect import ShellDetectionError

    try:
        where = app.install_completion(shell=shell)
    except ShellDetectionError:
        raise UsageError("which shell is this? Name it: assay --install-completion --shell bash") from None
    say(f"{where}: completes assay in each shell that is started from now on")
    return 0
