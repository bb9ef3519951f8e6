"""Valid records, mutated in their structure and sealed anew: whatever reads one ends in a line, never in a traceback.

A few cases here; ASSAY_FUZZ=20000 tries that many. What isn't refused must be called what it is: `verify` passes nothing that
differs in what can be derived.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import polars as pl
import pytest
from hypothesis import strategies as st

from assay.errors import BrokenRecord
from assay.record import checksum, chunks, manifest
from assay.record.folder import SCORES

from .. import asked, tiny
from ..test_fuzz import altered, call, fuzz, is_clear, torn

OPTIONS = {"trials": 2, "replicates": 2, "final_seeds": 1, "engine": "loop", "epochs": 2}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[Path]:
    """A run with controls, one of the second edition with its pilots, and a comparison across tasks."""
    place = tmp_path_factory.mktemp("fuzzed")
    plain = asked.plan("adam", "sgd", task=tiny.task(), out=place / "run", controls=True, **OPTIONS)
    second = asked.plan("adam", "sgd", task=tiny.task(), out=place / "second", protocol="honest", **OPTIONS)
    tasks = [tiny.task(name="one"), tiny.task(name="two", batch_size=50)]
    suite = asked.plan("adam", "sgd", task=tasks, out=place / "suite", **OPTIONS)
    return [asked.run(found, 1).folder for found in (plain, second, suite)]


NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0, 1, -1, 2, 3, 2**31 - 1]),
    st.floats(),
    st.sampled_from([1e308, -0.0]),
)
WORDS = st.one_of(
    st.sampled_from(["", "tune", "final", "{}", '{"lr":0.1}', "[" * 600, "\x1b[2J", "=1"]), st.text(max_size=20)
)


def value_of(data, kind):
    """A value of a column's kind, likely or not."""
    if isinstance(kind, pl.List) or kind == pl.List:
        return data.draw(st.one_of(st.none(), st.lists(st.one_of(st.none(), st.floats()), max_size=5)))
    if kind == pl.String:
        return data.draw(st.one_of(st.none(), WORDS))
    number = data.draw(st.one_of(st.none(), NUMBERS))
    if number is None or kind == pl.Float64:
        return number
    bits = 31 if kind == pl.Int32 else 63
    if isinstance(number, float):
        number = int(number) if np.isfinite(number) else 0
    return max(-(2**bits), min(2**bits - 1, number))


def mutated(data, frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with a value, a row or a column that is another."""
    how = data.draw(st.sampled_from(["value", "value", "value", "column", "rows", "drop", "cast", "order", "empty"]))
    name = data.draw(st.sampled_from(frame.columns))
    kind = frame.schema[name]
    if not len(frame):  # it was emptied before
        return frame
    if how in ("value", "column"):
        rows = frame.to_dicts()
        place = data.draw(st.integers(0, len(rows) - 1))
        for row in rows if how == "column" else rows[place : place + 1]:
            row[name] = value_of(data, kind)
        return pl.DataFrame(rows, schema=frame.schema)
    if how == "rows":
        return pl.concat([frame] * data.draw(st.integers(2, 4)))
    if how == "drop":
        return frame.drop(name)
    if how == "cast":
        return frame.with_columns(pl.col(name).cast(pl.String if kind != pl.List(pl.Float64) else pl.List(pl.String)))
    return frame.select(data.draw(st.permutations(frame.columns))) if how == "order" else frame.head(0)


def change_table(data, path: Path) -> None:
    if data.draw(st.booleans()):
        schema = SCORES if path.parent.name == "scores" else chunks.SCHEMA
        chunks.write(path, mutated(data, chunks.read(path, schema)))
        return
    content = path.read_bytes()
    at = checksum._place(content)
    bare = bytearray(content[: at - checksum.SIZE] + content[at:])  # as it was before its hash came in
    for _ in range(data.draw(st.integers(1, 4))):  # most often among the heads, which tell how to read the rest
        place = data.draw(st.one_of(st.integers(0, len(bare) - 1), st.integers(max(0, len(bare) - 400), len(bare) - 1)))
        bare[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError, IndexError):
        checksum.write(path, bytes(bare))


def change_array(data, path: Path) -> None:
    array = checksum.read_array(path)
    how = data.draw(st.sampled_from(["shape", "kind", "value", "bytes"]))
    if how == "shape":
        array = array.reshape(data.draw(st.sampled_from([(-1,), (1, -1), (-1, 1), (*array.shape, 1)])))
    elif how == "kind":
        array = array.astype(data.draw(st.sampled_from(["i8", "f8", "?", "c16"])))
    elif how == "value":
        array = array.copy()
        array[..., data.draw(st.integers(0, array.shape[-1] - 1))] = data.draw(st.floats(width=32))
    else:
        checksum.write(path, torn(data, path.read_bytes()[: -checksum.SIZE]))
        return
    checksum.write_array(path, array)


def change_document(data, path: Path) -> None:
    before = path.read_bytes()
    if data.draw(st.integers(0, 3)):
        with contextlib.suppress(UnicodeEncodeError):
            path.write_bytes(
                json.dumps(altered(data, json.loads(before)), ensure_ascii=data.draw(st.booleans())).encode()
            )
    else:
        path.write_bytes(torn(data, before))


def change_studies(data, path: Path) -> None:
    if data.draw(st.booleans()):
        path.write_bytes(torn(data, path.read_bytes()))
        return
    tables = ["studies", "trials", "trial_params", "trial_values", "study_directions"]
    table = data.draw(st.sampled_from(tables))
    with contextlib.closing(sqlite3.connect(path)) as connection, contextlib.suppress(sqlite3.Error):
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if not names:  # the table was torn out before
            return
        name, value = data.draw(st.sampled_from(names)), data.draw(st.one_of(st.none(), WORDS, st.integers(-9, 2**40)))
        connection.execute(f"UPDATE {table} SET {name} = ?", (value,))
        connection.commit()


def change_place(data, path: Path) -> None:
    how = data.draw(st.sampled_from(["lose", "link", "pipe", "folder", "rename", "swap"]))
    others = sorted(p for p in path.parent.iterdir() if p.is_file() and p != path)
    content = path.read_bytes()
    path.unlink()
    if how == "link":
        path.symlink_to(data.draw(st.sampled_from(["/etc/passwd", "/dev/zero", "nowhere", "."])))
    elif how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "rename":
        path.with_stem(data.draw(st.sampled_from(["0" * 32, "x", "plan", "-"]))).write_bytes(content)
    elif how == "swap" and others:
        path.write_bytes(data.draw(st.sampled_from(others)).read_bytes())


CHANGES = {".parquet": change_table, ".npy": change_array, ".json": change_document, ".db": change_studies}


@contextlib.contextmanager
def in_outline(outline: bool):
    """Figures are made, and not painted, which takes as long as all the rest."""
    with pytest.MonkeyPatch.context() as patched:
        if outline:
            empty = {"svg": "<svg>", "png": b""}
            patched.setattr("matplotlib.figure.Figure.savefig", lambda _, to, format, **more: to.write(empty[format]))
        yield


@fuzz(24)
@hypothesis.given(st.data())
def test_a_mutated_record_ends_in_a_line(records, data):
    whole = data.draw(st.sampled_from(records))
    with tempfile.TemporaryDirectory() as place, in_outline(data.draw(st.integers(0, 39)) > 0):
        folder = Path(shutil.copytree(whole, Path(place) / "run"))
        known = sorted(p for p in folder.rglob("*") if p.suffix in CHANGES)
        kinds = sorted({p.suffix for p in known})
        for _ in range(data.draw(st.integers(1, 2))):
            kind = data.draw(st.sampled_from(kinds))
            path = data.draw(
                st.sampled_from([p for p in known if p.suffix == kind and p.is_file() and not p.is_symlink()] or known)
            )
            if not path.is_file() or path.is_symlink():
                continue
            how = change_place if data.draw(st.integers(0, 5)) == 0 else CHANGES[kind]
            with contextlib.suppress(ValueError, BrokenRecord):  # it can't be changed that way
                how(data, path)
        with contextlib.suppress(Exception):  # what can't be sealed isn't
            for sealed in sorted(folder.rglob(manifest.NAME), reverse=True):
                manifest.seal(sealed.parent)
        for command in ("verify", data.draw(st.sampled_from(["status", "report", "export"]))):
            more = ["--csv", str(Path(place) / "csv")] if command == "export" else []
            code, out, errors = call([command, str(folder), *more])
            is_clear(code, errors)
            assert len(errors.strip().splitlines()) <= 1, errors
            assert code != 3, errors
            assert "Traceback" not in out
