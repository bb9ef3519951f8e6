"""What a user calls from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from assay import events
from assay.core import Contender, EngineOptions, ProtocolOptions, Task, TaskOptions, Verdict, WorkerOptions, verdicts_of
from assay.record import RunFolder, manifest
from assay.record.extend import EARLIER
from assay.record.files import write_bytes
from assay.record.plan import NAME, read_plan

from .plan import plan
from .run import run

if TYPE_CHECKING:
    import polars as pl


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
    content: Mapping[str, Any]
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
        plans = [read_plan(path.parent) for path in sorted(self.folder.glob(f"**/{NAME}")) if EARLIER not in path.parts]
        return list(dict.fromkeys(line for plan in plans for line in plan.science.beyond))

    @property
    def root(self) -> str:
        """One hash over the record that the verdict rests on, to be published with it (docs/record.md)."""
        return manifest.root(self.folder)

    def frame(self) -> pl.DataFrame:
        """All members on record: a polars DataFrame, a row each."""
        return RunFolder.open(self.folder).frame()

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report's HTML to `path` (by default where it is, in the run folder) and return where it is."""
        written = self.folder / "report.html"
        if path is None:
            return written
        write_bytes(Path(path), written.read_bytes())
        return Path(path)

    def _repr_html_(self) -> str:
        from assay.report import summary_html

        return summary_html(self.content, self.recorded)


def compare(
    baseline: str | Contender,
    *candidates: str | Contender,
    task: str | Task | Sequence[str | Task] = "mnist1d-mlp",
    epochs: int | Sequence[int] | None = None,
    margin: float | None = None,
    train_samples: int | None = None,
    width: int | Sequence[int] | None = None,
    batch_size: int | Sequence[int] | None = None,
    label_noise: float | Sequence[float] | None = None,
    protocol: Literal["honest", "published"] = "honest",
    trials: int | None = None,
    replicates: int | str | None = None,
    looks: str | Sequence[int] | None = None,
    final_seeds: int | None = None,
    space: Sequence[str] = (),
    seed: int = 0,
    controls: bool = False,
    engine: Literal["auto", "vectorized", "loop"] = "auto",
    compile: Literal["auto", "on", "off"] = "auto",
    device: str = "cpu",
    workers: int | str | None = None,
    ray_address: str | None = None,
    time_limit: float | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
) -> Result:
    """Is a candidate better than the tuned baseline, on this task, and by how much?

    Args:
        baseline, candidates: registered names, `pkg.mod:Name`, `path/file.py:Name`, or `assay.Contender`s.
        task: a name or a `Task`; several in a list, parted by commas, or `suite`, for one verdict across them.
        margin: the smallest difference that matters, in the unit of the scores: 0.01 is one point of accuracy.
        out: the run folder, by default assay-runs/<task>-<candidate>-<hash>.
        fresh: train anew though there is a record, which is set aside, renamed to <folder>.before-1.

    The other options are those of the command, whose help tells of each: `assay run --help` (`core/options.py`).

    Raises:
        UsageError: a fault in what was asked for. Interrupted: resumable. NoVerdict: none can be given.

    Example:
        >>> import assay, tempfile
        >>> few = {"trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop"}
        >>> folder = tempfile.mkdtemp() + "/run"
        >>> assay.compare("adam", "sgd", task="logistic", epochs=1, out=folder, **few).verdicts[0].outcome
        'inconclusive'
    """
    on = TaskOptions(
        task=task, epochs=epochs, margin=margin, train_samples=train_samples,
        width=width, batch_size=batch_size, label_noise=label_noise,
    )  # fmt: skip
    how = ProtocolOptions(
        protocol=protocol, trials=trials, replicates=replicates, looks=looks,
        final_seeds=final_seeds, space=space, seed=seed, controls=controls,
    )  # fmt: skip
    trained_by = EngineOptions(engine=engine, compile=compile, device=device)
    work = WorkerOptions(workers=workers, ray_address=ray_address, time_limit=time_limit)
    comparison = plan(baseline, *candidates, on=on, protocol=how, engine=trained_by, out=out, fresh=fresh)
    heard = events.Recorded()
    content = run(comparison, work, heard, fresh=fresh)
    return Result(comparison.folder, content, heard.sentence)
