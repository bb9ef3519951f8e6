"""What a user calls from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core import Verdict, verdicts_of
from assay.core.typed import instance
from assay.errors import BrokenRecord, UsageError
from assay.record import RunFolder, manifest
from assay.record.aside import made_at
from assay.record.documents import read_data
from assay.record.extend import EARLIER
from assay.record.files import write_bytes
from assay.record.plan import NAME, read_plan
from assay.record.suite import is_suite, runs

from .planned import Planned, planned
from .question import Question, question, with_options_of
from .ready import Ready, tuned
from .run import run

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """What a comparison came to: the run folder, and what `result.json` in it says.

    Example:
        >>> from pathlib import Path
        >>> import assay
        >>> assay.Result(Path("assay-runs/mine"), {"verdicts": []}).report()
        PosixPath('assay-runs/mine/report.html')
    """

    folder: Path
    content: Mapping[str, Any] = field(repr=False)
    recorded: str = ""
    """`from the record, made at 2026-11-28 18:03:07 UTC` where nothing was trained for it (fresh=True would); else ""."""

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict a candidate: on the task, or across tasks with a cell for each."""
        return verdicts_of(self.content)

    @property
    def controls(self) -> list[dict[str, Any]]:
        """What each control came to, as `result.json` has it; empty where none was asked for."""
        return list(self.content.get("controls", []))

    @property
    def beyond(self) -> list[str]:
        """What the plan can't hold of the code that was compared, a line for the task and each contender; empty if nothing."""
        found = sorted(self.folder.glob(f"**/{NAME}"))
        plans = [read_plan(path.parent, fewest=1) for path in found if EARLIER not in path.parts]
        return list(dict.fromkeys(line for plan in plans for line in plan.science.beyond))

    @property
    def root(self) -> str:
        """One hash over the record that the verdict rests on, to be published with it (docs/record.md)."""
        return manifest.root(self.folder)

    def contender(self, name: str) -> Ready:
        """A contender at the settings that the report calls tuned, for training code that you have (docs/guides.md).

        They are the median of what each replicate chose, of a choice the commonest. Its file or package must be as it was.

        Raises:
            UsageError: none of that name, given as a Python object, edited since; a record of several tasks.
        """
        return tuned(self.folder, self.content, name)

    def frame(self) -> pl.DataFrame:
        """All members on record: a polars DataFrame, a row each; across tasks with a column `task`.

        - `contender`, `slot`: its name, and its place in the plan, 0 the baseline
        - `phase`: pilot, tune or final
        - `replicate`, `index`: which replicate, and which of its trials or final runs
        - `hyperparameters`: as JSON
        - `split`, `init`, `batches`, `noise`: its seeds: data, weights, order of batches, the rest
        - `validation`, `test`: scores after each epoch, in the metric's file units; `test` of final runs, else empty
        - `test_score`: after the last epoch; of a trial, too, scored when all were chosen; null where there is none
        - `train_loss`, `grad_norm`, `update_norm`: means over each epoch's steps
        - `diverged`: the epoch in which it did, counted from 1; 0 if it did not
        - `gradient_evaluations`: over the whole training
        - `seconds`: its share of the seconds that its chunk took
        - `digest`, `train_samples`, `test_samples`: of its data
        - `validation_floor`, `test_floor`: what a constant prediction scores
        - `fallback`: why the loop trained it in the engine's place; "" where it didn't
        - `changed`: what its code changed for the whole process; "" for nothing
        """
        import polars as pl

        if not is_suite(self.folder):
            return RunFolder.open(self.folder).frame()
        folders = ((name, RunFolder.open(path)) for name, path in runs(self.folder).items() if (path / NAME).exists())
        return pl.concat([folder.frame().with_columns(task=pl.lit(name)) for name, folder in folders])

    @property
    def figures(self) -> dict[str, Figure]:
        """The report's figures by name, as matplotlib has them, drawn anew: `result.figures["speedup"]`.

        Of one task: comparison_plot, training_loss, differences, score_by_lr, tuning_curve, pilot, norms, speed, stability,
        winners_curse, speedup, controls; across tasks: across_plot, tasks, profiles; over sizes scale, or scale_margins. Those
        that the record has are there.

        Raises:
            UsageError: there is no result yet. BrokenRecord: a damaged file.
        """
        from assay.report.drawn import figures

        return figures(self.folder)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report's HTML to `path` (by default where it is, in the run folder) and return where it is."""
        written = self.folder / "report.html"
        if path is None:
            return written
        write_bytes(Path(path), written.read_bytes())
        return Path(path)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        said = [v.sentence for v in self.verdicts]
        return "\n".join([*said, *filter(None, [self.recorded]), f"report: {self.folder / 'report.html'}"])

    def _repr_html_(self) -> str:
        from assay.report import summary_html

        return summary_html(self.content, self.recorded)


@with_options_of(question)
def compare(asked: Question) -> Result:
    """Is a candidate better than the tuned baseline, on this task, and by how much?

    Args:
        baseline, candidates: registered names, `pkg.mod:Name`, `path/file.py:Name`, optimizers' classes, functions that make
            one of (model, lr), or `assay.Contender`s.
        task: a name or a `Task`; several in a list, parted by commas, or `suite`, for one verdict across them.
        margin: the smallest difference that matters, in the unit of the scores: 0.01 is one point of accuracy.
        out: the run folder, by default assay-runs/<task>-<candidate>-<hash>.
        fresh: train anew though there is a record, which is set aside, renamed to <folder>.before-1.
        quiet: write nothing but warnings to standard error; else how far it is, live in a notebook and on a terminal.

    The other options are those of the command, whose help tells of each: `assay run --help` (`core/options.py`).

    Raises:
        UsageError: a fault in what was asked for. Interrupted: resumable. NoVerdict: none can be given.

    Example:
        >>> import assay, tempfile
        >>> few = {"trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop", "quiet": True}
        >>> folder = tempfile.mkdtemp() + "/run"
        >>> assay.compare("adam", "sgd", task="logistic", epochs=1, out=folder, **few).verdicts[0].outcome
        'inconclusive'
    """
    with asked.settled() as (comparison, heard):
        return Result(comparison.folder, run(comparison, asked.work, heard, fresh=asked.fresh), heard.sentence)


@with_options_of(question)
def plan(asked: Question) -> Planned:
    """What a comparison would cost here and could see: `assay run --plan-only`. Its options are those of `compare`.

    Raises:
        UsageError: a fault in what was asked for.

    Example:
        >>> planned = assay.plan("adam", torch.optim.NAdam, task="logistic", trials=2, engine="loop", quiet=True)
        >>> str(planned).splitlines()[1].split(" (")[0]
        'NAdam: torch.optim.nadam:NAdam'
    """
    with asked.settled() as (comparison, on_event):
        return planned(comparison, asked.work, on_event)


def open(folder: str | Path) -> Result:
    """The result of a finished run, from its folder.

    Raises:
        UsageError: no run folder, or no result in it yet. BrokenRecord: it is not as it was sealed.

    Example:
        >>> assay.open("assay-runs/nowhere")
        Traceback (most recent call last):
        assay.errors.UsageError: assay-runs/nowhere is no run folder (there is no plan.json)
    """
    instance(folder, (str, Path), "folder", "a run folder's path")
    path = Path(folder)
    if not is_suite(path) and not (path / NAME).is_file():
        raise UsageError(f"{path} is no run folder (there is no {NAME})")
    manifest.see_that_it_is_as_sealed(path)
    try:
        return Result(path, read_data(path / "result.json"), f"from the record, made at {made_at(path)}")
    except FileNotFoundError:
        raise UsageError(f"{path} has no result yet; see assay status {path}") from None
    except ValueError as error:
        raise BrokenRecord(f"{path / 'result.json'} is damaged ({error})") from error
