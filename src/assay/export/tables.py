"""Members and curves as CSV, for anything. torch isn't needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from assay.export.members import records, writing
from assay.record.chunks import CURVES
from assay.record.files import write_bytes

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
    for place, folder in records(path, to):
        frame = folder.frame()
        curves = _long(frame)
        with writing(place):
            write_bytes(place / "members.csv", _inert(_flat(frame)).write_csv().encode())
            write_bytes(place / "curves.csv", _inert(curves).write_csv().encode())
    return to


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
