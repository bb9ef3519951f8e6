"""Members and curves for other tools: CSV for anything, event files for TensorBoard. torch isn't needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from assay.errors import UsageError
from assay.record import RunFolder
from assay.record.chunks import CURVES
from assay.record.files import fault, write_bytes
from assay.record.layout import LADDER
from assay.record.outside import see_that_it_is_outside
from assay.record.suite import is_suite, runs

OTHERS = [name for name in CURVES if name != "test"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how text begins that a spreadsheet computes
KEY = ("contender", "phase", "replicate", "index")


def csv(path: Path, to: Path) -> Path:
    """Write `members.csv`, a row a member, and `curves.csv`, a row an epoch of a member, into the folder `to`.

    Of a comparison across tasks each run goes to a folder of its own in it, and so does each rung of a ladder, by its epochs.

    Scores are in the metric's file units, after the last epoch; each hyperparameter has a column, empty for the
    contenders that don't tune it. A curve's cell is empty from the epoch on in which a member diverged, and a trial has
    no test curve. Text that a spreadsheet would take for a formula has a ' in front.

    Raises:
        UsageError: no run folder; or `to` lies in it, or can't be written.
    """
    for place, frame in _frames(path, to):
        curves = _long(frame)
        with _writing(place):
            write_bytes(place / "members.csv", _inert(_flat(frame)).write_csv().encode())
            write_bytes(place / "curves.csv", _inert(curves).write_csv().encode())
    return to


def tensorboard(path: Path, to: Path) -> Path:
    """Write each member's curves as a TensorBoard run into `to/<slot>-<contender>/<phase>/<replicate>-<index>`.

    A step is an epoch, counted from 1; its wall time is the share of the member's seconds that it would have taken.

    Raises:
        UsageError: TensorBoard isn't installed; else as in `csv`.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportMissingImports]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportMissingImports]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(f"--tensorboard needs TensorBoard ({error}): pip install 'assay[tensorboard]'") from None
    frames = _frames(path, to)
    if any(to.glob("*")):
        raise UsageError(f"{to} isn't empty, and TensorBoard would mix what is in it with this; take another folder")
    for place, frame in frames:
        _events(place, frame, (Event, Summary, EventFileWriter))
    return to


def _events(to: Path, frame: pl.DataFrame, tools: tuple[Any, Any, Any]) -> None:
    """A TensorBoard run a member. `tools`: what it writes them with, Event, Summary and EventFileWriter."""
    Event, Summary, EventFileWriter = tools
    with _writing(to):
        for row in frame.iter_rows(named=True):
            arm = to / f"{row['slot']}-{_safe(row['contender'])}"
            writer = EventFileWriter(str(arm / row["phase"] / f"{row['replicate']}-{row['index']}"))
            kept = {name: row[name] for name in CURVES if row[name]}
            epochs = len(row["validation"])
            for step in range(1, epochs + 1):
                now = {name: curve[step - 1] for name, curve in kept.items()}
                values = [Summary.Value(tag=name, simple_value=x) for name, x in now.items() if x is not None]
                time = row["seconds"] * step / epochs
                writer.add_event(Event(wall_time=time, step=step, summary=Summary(value=values)))
            writer.close()


def _frames(path: Path, to: Path) -> list[tuple[Path, pl.DataFrame]]:
    """The members of a run, or of each run of several, with where they go."""
    several = is_suite(path)
    found = [(to / folder.name if several else to, RunFolder.open(folder)) for folder in runs(path).values()]
    found += [(place / LADDER / rung.path.name, rung) for place, folder in found for rung in folder.rungs()]
    frames = [(place, folder.frame()) for place, folder in found]
    see_that_it_is_outside(to)
    return frames


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    decoded: list[dict[str, Any]] = [msgspec.json.decode(text) for text in frame["hyperparameters"]]
    names = sorted({name for values in decoded for name in values})
    columns = {name: [_cell(values.get(name)) for values in decoded] for name in names}
    tuned = [
        pl.Series(no_formula(f"hyperparameter {name}"), column, dtype=pl.String) for name, column in columns.items()
    ]
    last = [pl.col(name).list.last() for name in OTHERS]
    rest = [c for c in frame.columns if c not in (*CURVES, *KEY, "hyperparameters")]
    return frame.select(*KEY, *last, *rest).with_columns(*tuned)


def _long(frame: pl.DataFrame) -> pl.DataFrame:
    """A row an epoch. A trial's test curve is empty."""
    epochs = pl.int_ranges(1, pl.col("validation").list.len() + 1).alias("epoch")
    none = pl.lit(None, dtype=pl.Float64).repeat_by(pl.col("validation").list.len())
    test = pl.when(pl.col("test").list.len() > 0).then("test").otherwise(none).alias("test")
    long = frame.select(*KEY, epochs, *OTHERS, test).explode("epoch", *OTHERS, "test")
    return long.with_columns(pl.col(c).fill_nan(None) for c in CURVES)


def _cell(value: Any) -> str | None:
    return (
        None if value is None else no_formula(value) if isinstance(value, str) else msgspec.json.encode(value).decode()
    )


def _inert(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame, its words (not the numbers among hyperparameters, which are none) without formulas."""
    words = [c for c in frame.columns if frame.schema[c] == pl.String and not c.startswith("hyperparameter ")]
    computed = {c: pl.any_horizontal(pl.col(c).str.starts_with(sign) for sign in FORMULA) for c in words}
    return frame.with_columns(
        pl.when(bad).then(pl.lit("'") + pl.col(c)).otherwise(pl.col(c)).alias(c) for c, bad in computed.items()
    )


def no_formula(text: str) -> str:
    """The text as a spreadsheet shows it, instead of computing it."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_+" else "_" for c in name)[:80]


@contextlib.contextmanager
def _writing(to: Path) -> Iterator[None]:
    try:
        to.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise fault(error, to) from error
