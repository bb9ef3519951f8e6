"""The command line: one thin function a command. Nothing here imports torch before it must."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import App, Parameter

from assay import __version__
from assay.errors import AssayError, BrokenRecord, Interrupted, UsageError

app = App(
    name="assay",
    help="Is this optimizer better than a tuned baseline, on this task, and by how much?",
    version=__version__,
    help_format="plaintext",
)


@app.command
def run(
    baseline: str,
    /,
    *candidates: str,
    task: str = "mnist1d-mlp",
    protocol: Literal["honest", "published"] = "honest",
    trials: int | None = None,
    replicates: str | None = None,
    looks: str | None = None,
    final_seeds: int | None = None,
    epochs: Annotated[list[int] | None, Parameter(negative=())] = None,
    margin: float | None = None,
    space: Annotated[list[str] | None, Parameter(negative=())] = None,
    train_samples: int | None = None,
    width: Annotated[list[int] | None, Parameter(negative=())] = None,
    batch_size: Annotated[list[int] | None, Parameter(negative=())] = None,
    label_noise: Annotated[list[float] | None, Parameter(negative=())] = None,
    seed: int = 0,
    engine: Literal["auto", "vectorized", "loop"] = "auto",
    compile: Literal["auto", "on", "off"] = "auto",
    device: str = "cpu",
    workers: str | None = None,
    ray_address: str | None = None,
    time_limit: float | None = None,
    controls: Annotated[bool, Parameter(negative=())] = False,
    plan_only: Annotated[bool, Parameter(negative=())] = False,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Compare candidates with a tuned baseline and say which is better, by how much, and how sure that is.

    Parameters
    ----------
    baseline
        The optimizer to beat: a name (see assay list), pkg.mod:Name, or path/file.py:Name; ALIAS= in front renames it.
    candidates
        The optimizers under test, named the same way.
    task
        What they are compared on (see assay list); several parted by commas, or suite for all of them, give one verdict
        across them.
    protocol
        honest: replicates with their own data and tuning, a verdict with an interval. published: the original
        study's way, one seed, tuned on the test set.
    trials
        Tuning trials for each contender.
    replicates
        How often the whole procedure is repeated, data, tuning and all: a number (a larger one than a finished run had
        adds to it, and calls what comes of it exploratory), or auto for as many as the spread of
        the first 12 asks for, 48 at most (auto:MOST for another maximum). 10,000 are the most that can be planned.
    looks
        Numbers of replicates at which the answer may end the comparison, as in 12,24: the level is spent over them.
    final_seeds
        Final trainings of each tuned contender in each replicate.
    epochs
        Epochs of each training; a stress axis, as are width, batch-size and label-noise: given twice, each value is run.
    margin
        The smallest difference that matters, in the unit of the metric's text (points for accuracies).
    space
        A range to tune over: NAME.hyperparameter=low..high, with :log for a log scale, or a|b|c. Can be repeated.
    train_samples
        Training samples, for a task whose data is generated.
    width
        Width of the task's network (docs/tasks.md says of what).
    batch_size
        Samples in a batch.
    label_noise
        Noise on the training targets: a share of labels replaced, or standard deviations added.
    seed
        The root of every seed.
    engine
        How populations are trained: auto takes what should be quickest here and passes the parity probe.
    compile
        Whether the vectorized engine compiles its steps; auto does where the job is long enough to repay it.
    device
        cpu or cuda.
    workers
        Processes: one a core by default, four for a GPU; or ray, for a cluster (see docs/cluster.md). The numbers
        don't depend on it.
    ray_address
        The cluster's HOST:PORT, by default $RAY_ADDRESS, for --workers ray; without either, one is started here.
    time_limit
        Seconds without any result after which workers are taken to hang: by default 1800, or 50 times the longest
        piece of work, if that is more.
    controls
        Also run the baseline against itself, crippled, tuned twice as long, and with each candidate's step lengths; none
        of it changes the verdict.
    plan_only
        Say what the plan costs and can see, and stop there.
    out
        The run folder; by default assay-runs/<task>-<candidate>-<hash>.
    json
        Print result.json instead of text.
    quiet
        Print the conclusion only.
    """
    from assay.cli import screen as terminal
    from assay.workers.choose import check as check_crew

    crew = check_crew(workers, ray_address, time_limit)
    options: dict[str, Any] = {
        "protocol": protocol,
        "trials": trials,
        "replicates": replicates,
        "looks": looks,
        "final_seeds": final_seeds,
        "space": space or (),
        "seed": seed,
        "engine": engine,
        "compile": compile,
        "device": device,
        "controls": controls,
        "out": out,
    }
    given = {"epochs": epochs, "width": width, "batch_size": batch_size, "label_noise": label_noise}
    axes: dict[str, list[Any]] = {name: values for name, values in given.items() if values}
    if train_samples is not None:
        axes["train_samples"] = [train_samples]
    several = task == "suite" or "," in task or any(len(values) > 1 for values in axes.values())
    with terminal.view(quiet=quiet or json) as on_event:
        from assay import events  # with torch, so only now
        from assay.driver import compare
        from assay.driver import suite as across
        from assay.tasks import find

        if several:
            options |= {"tasks": task, "axes": axes, "margin": margin}
            jobs = across.plan(baseline, *candidates, warn=lambda line: on_event(events.Warned(line)), **options)
            if plan_only:
                return terminal.planned_across(jobs, [_estimated(job, crew, on_event) for job in jobs.jobs], json=json)
            found: Any = across.run(jobs, crew, on_event, time_limit)
            conclude = terminal.conclude_across
        else:
            one = {name: values[0] for name, values in axes.items()}
            budget = one.pop("epochs", None)
            on = find(task, one)
            in_files = None if margin is None else margin / on.metric.scale
            job = compare.plan(baseline, *candidates, task=on, epochs=budget, margin=in_files, **options)
            if plan_only:
                return terminal.planned(job, _estimated(job, crew, on_event), json=json)
            found = compare.run(job, crew, on_event, time_limit)
            conclude = terminal.conclude
    conclude(found.folder, found.content, json=json, quiet=quiet)
    return 0


def _estimated(job: Any, workers: int | str | None, on_event: Any) -> Any:
    """What a plan will cost. UsageError for a folder that holds something else."""
    from assay.driver.estimate import estimated
    from assay.record.extend import resume
    from assay.training.numerics import torch_build

    resume(job.folder, job.science, torch_build())
    return estimated(job, workers, on_event)


@app.command
def board(
    *,
    task: str = "suite",
    trials: int | None = None,
    replicates: int | None = None,
    final_seeds: int | None = None,
    seed: int = 0,
    engine: Literal["auto", "vectorized", "loop"] = "auto",
    device: str = "cpu",
    workers: int | None = None,
    plan_only: Annotated[bool, Parameter(negative=())] = False,
    out: Path | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    quiet: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Well-known optimizers against tuned Adam: who beats it, where, by how much, at which cost, on one page.

    Parameters
    ----------
    task
        The tasks, parted by commas; all of them by default.
    trials
        Tuning trials for each contender; 10 by default.
    replicates
        How often the whole procedure is repeated; 10 by default.
    final_seeds
        Final trainings of each tuned contender in each replicate; 2 by default.
    seed
        The root of every seed.
    engine
        How populations are trained.
    device
        cpu or cuda.
    workers
        Processes; one a core by default.
    plan_only
        Say what the plan costs, and stop there.
    out
        The folder; by default assay-runs/board-<contenders>-<hash>.
    json
        Print result.json instead of text.
    quiet
        Print the conclusions only.
    """
    from assay.cli import screen as terminal

    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: it must be 1 at least")
    with terminal.view(quiet=quiet or json) as on_event:
        from assay import events  # with torch, so only now
        from assay.driver import board as the_board
        from assay.driver import suite as across

        numbers = {"trials": trials, "replicates": replicates, "final_seeds": final_seeds}
        choices = {"seed": seed, "engine": engine, "device": device, "out": out}
        jobs = the_board.plan(task, lambda line: on_event(events.Warned(line)), **numbers, **choices)
        if plan_only:
            return terminal.planned_across(jobs, [_estimated(job, workers, on_event) for job in jobs.jobs], json=json)
        found = across.run(jobs, workers, on_event)
    terminal.conclude_across(found.folder, found.content, json=json, quiet=quiet)
    return 0


@app.command
def check(
    contender: str,
    *,
    speed: bool = True,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Is this optimizer well behaved, and is it new? Exit code 1 where a check fails.

    Parameters
    ----------
    contender
        A name (see assay list), pkg.mod:Name, or path/file.py:Name. A wrapper wraps adam.
    speed
        Also time a step on 1 and 10 million parameters.
    json
        Print the findings as JSON.
    """
    import msgspec

    from assay.check import as_data, render
    from assay.check import check as checked

    found = checked(contender, speed=speed)
    text = (
        msgspec.json.format(msgspec.json.encode(as_data(found)), indent=2).decode()
        if json
        else "\n".join(render(found))
    )
    sys.stdout.write(text + "\n")
    return found.exit_code


@app.command
def report(folder: Path) -> int:
    """Draw the report of a run folder again.

    Parameters
    ----------
    folder
        The run folder.
    """
    from assay.record import manifest
    from assay.report import draw

    if found := manifest.doubtful(folder):
        raise BrokenRecord(
            f"{folder} is not as it was sealed ({'; '.join(manifest.brief(found))}); see assay verify {folder}"
        )
    page = draw(folder)
    manifest.seal(folder)
    print(page)
    return 0


@app.command
def verify(folder: Path, *, retrain: int | None = None, workers: int | None = None) -> int:
    """Compute the verdict again from the members on record, and name whatever doesn't fit.

    Parameters
    ----------
    folder
        The run folder.
    retrain
        Also train so many members, drawn at random, once more, and compare their curves.
    workers
        Processes for that; one a core by default.
    """
    from assay.cli import screen as terminal
    from assay.driver.verify import faults

    found, again = list(faults(folder)), []
    if retrain is not None and not found:
        from assay.driver import retrain as training  # imports torch

        again = training.retrain(folder, retrain, workers)
    return terminal.verified(folder, found, again)


@app.command
def export(folder: Path, *, csv: Path | None = None, tensorboard: Path | None = None) -> int:
    """The members of a run folder in other tools' formats.

    Parameters
    ----------
    folder
        The run folder.
    csv
        Where members.csv (a row a member) and curves.csv (a row an epoch) go.
    tensorboard
        Where TensorBoard's event files go, a run a member (needs: pip install 'assay[tensorboard]').
    """
    from assay.export import tables as open_data

    if csv is None and tensorboard is None:
        raise UsageError("assay export: say what to write: --csv FOLDER, --tensorboard FOLDER, or both")
    if csv is not None:
        print(open_data.csv(folder, csv))
    if tensorboard is not None:
        print(open_data.tensorboard(folder, tensorboard))
    return 0


@app.command
def status(folder: Path) -> int:
    """How far a run is, while it runs and after.

    Parameters
    ----------
    folder
        The run folder.
    """
    from assay.cli import screen as terminal

    return terminal.status(folder)


@app.command(name="list")
def list_() -> int:
    """Contenders, tasks and engines, a line each."""
    from assay.cli import screen as terminal

    terminal.listing()
    return 0


def main(arguments: list[str] | None = None) -> None:
    """The entry point: exit codes of the contract, one clear line for each fault."""
    sys.exit(call(sys.argv[1:] if arguments is None else arguments))


def call(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        _check_text(arguments)
        code: Any = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        return code if isinstance(code, int) else 0
    except AssayError as error:
        print(f"assay: {error}", file=sys.stderr)
        return error.exit_code
    except cyclopts.CycloptsError as error:
        print(f"assay: {_usage(error)}", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print("assay: interrupted before any training began", file=sys.stderr)
        return Interrupted.exit_code
    except BrokenPipeError:
        return 0
    except OSError as error:  # a place that can't be: a name that is too long, a loop of links, a disk that fails
        if error.filename is None:
            raise
        print(f"assay: {str(error.filename)[:200]}: {error.strerror}", file=sys.stderr)
        return UsageError.exit_code


def _check_text(arguments: list[str]) -> None:
    """UsageError for an argument that is no text, which no name of a file or a contender could be."""
    for word in arguments:
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in word):
            raise UsageError(f"{word!a}: no text that can be a name; write it in UTF-8, without zero bytes")


def _usage(error: cyclopts.CycloptsError) -> str:
    """Cyclopts' complaint on one line, with the nearest option or command where one is unknown."""
    return " ".join(str(error).split())
