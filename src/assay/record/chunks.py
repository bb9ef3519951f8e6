"""A chunk of members and what it left, as one Parquet file: a row a member, curves as lists over epochs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from assay.core import Curves, DataFacts, Member, canonical
from assay.errors import BrokenRecord
from assay.record import checksum

UNREADABLE = (Exception, pl.exceptions.PanicException)  # damaged files make polars panic, which is no Exception
CURVES = ("validation", "test", "train_loss", "grad_norm", "update_norm")
CHANGED = "changed"
NUMBERS = ("diverged", "gradient_evaluations", "seconds")
SCHEMA: dict[str, Any] = {
    "slot": pl.Int32,
    "phase": pl.String,
    "replicate": pl.Int32,
    "index": pl.Int32,
    "hyperparameters": pl.String,  # JSON: contenders differ in what they tune
    **dict.fromkeys(("split", "init", "batches", "noise"), pl.Int64),
    **dict.fromkeys(CURVES, pl.List(pl.Float64)),  # test is empty for a member that tuned
    "diverged": pl.Int32,
    "gradient_evaluations": pl.Int64,
    "seconds": pl.Float64,
    "digest": pl.String,
    **dict.fromkeys(("train_samples", "test_samples"), pl.Int64),
    **dict.fromkeys(("validation_floor", "test_floor"), pl.Float64),
    "fallback": pl.String,  # why the loop trained it, where the plan's engine could not
    "changed": pl.String,  # what its training changed in the process; a file has this column where something was
}


def to_frame(members: Sequence[Member], curves: Curves) -> pl.DataFrame:
    """The rows of a chunk."""
    columns: dict[str, Any] = {name: [getattr(m, name) for m in members] for name in Member.__struct_fields__}
    columns["hyperparameters"] = [canonical(m.hyperparameters).decode() for m in members]
    for name in CURVES:
        values = getattr(curves, name)
        columns[name] = [[]] * len(members) if values is None else values.tolist()
    columns |= {name: getattr(curves, name).tolist() for name in NUMBERS}
    columns |= {"fallback": curves.fallback, CHANGED: curves.changed}
    for name in DataFacts.__struct_fields__:
        columns[name] = [getattr(facts, name) for facts in curves.data]
    return pl.DataFrame(columns, schema=SCHEMA)


def to_members(frame: pl.DataFrame) -> list[Member]:
    """The members that a frame's rows tell of."""
    rows = frame.select(Member.__struct_fields__).to_dicts()
    return [msgspec.convert({**r, "hyperparameters": msgspec.json.decode(r["hyperparameters"])}, Member) for r in rows]


def to_curves(frame: pl.DataFrame) -> Curves:
    """The curves of a frame whose members all belong to one phase."""

    def matrix(name: str) -> np.ndarray:
        return np.array(frame[name].to_list(), dtype=np.float64).reshape(len(frame), -1)

    test = matrix("test")
    return Curves(
        test=test if test.shape[1] else None,
        **{name: matrix(name) for name in CURVES if name != "test"},
        **{name: frame[name].to_numpy() for name in NUMBERS},
        data=tuple(DataFacts(**row) for row in frame.select(DataFacts.__struct_fields__).to_dicts()),
        fallback=tuple(frame["fallback"]),
        changed=tuple(frame[CHANGED]),
    )


def write(path: Path, frame: pl.DataFrame) -> None:
    """The rows as a chunk file, whole or not at all.

    They go to memory first: where a disk is full, polars says no more than "transport error".
    """
    content = io.BytesIO()
    if CHANGED in frame.columns and (frame[CHANGED] == "").all():
        frame = frame.drop(CHANGED)
    frame.write_parquet(content)
    checksum.write(path, content.getvalue())


def read(path: Path, schema: dict[str, Any] = SCHEMA) -> pl.DataFrame:
    """The rows of a chunk file. BrokenRecord where it can't be read or lacks a column."""
    try:
        frame = pl.read_parquet(checksum.read(path))
    except UNREADABLE as error:
        raise BrokenRecord(
            f"{path} can't be read ({str(error).splitlines()[0]}); delete it and run the command again"
        ) from error
    frame = _with_changed(frame, schema)
    if dict(frame.schema) != schema:
        raise BrokenRecord(f"{path} has other columns than this version writes; delete it and run the command again")
    return frame


def read_all(paths: Sequence[Path], schema: dict[str, Any] = SCHEMA) -> pl.DataFrame:
    """The rows of all these files, in order. BrokenRecord, which names the first file that is broken."""
    if not paths:
        return pl.DataFrame(schema=schema)
    try:
        sound = all(checksum.whole(path.read_bytes()) for path in paths)
        frame = pl.read_parquet(list(paths), glob=False) if sound else None  # ten times faster than one by one
    except UNREADABLE:
        frame = None
    if frame is not None:
        frame = _with_changed(frame, schema)
    if frame is None or dict(frame.schema) != schema:
        return pl.concat([read(path, schema) for path in paths])
    return frame


def _with_changed(frame: pl.DataFrame, schema: dict[str, Any]) -> pl.DataFrame:
    """The rows with the column that is left out where it would be empty."""
    if CHANGED not in schema or CHANGED in frame.columns:
        return frame
    return frame.with_columns(pl.lit("").alias(CHANGED))
