"""A table of the user's own: one column from all others, by classification or regression as the column is."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError, nearest
from assay.tasks.metrics import accuracy, rmse
from assay.tasks.network import Network, at_least, cross_entropy, mean_squared_error
from assay.tasks.own.network import network
from assay.tasks.own.text import read

NOTHING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"]  # what a gap is written as
DELIMITERS = ",;\t|"
CLASSES = 20  # of whole numbers, at most; more are a quantity
CATEGORIES = 32  # of a column, the most frequent; all others are one
SHARES = (0.6, 0.2)  # of the rows, to train and to validate on; the others to test
STEPS = 600  # that the epochs come to


@dataclass(frozen=True, eq=False)
class Rows:
    """A table as numbers: `numbers` (n, a) with NaN for gaps, `categories` (n, b) as 0 and 1, and targets (n,)."""

    numbers: np.ndarray
    categories: np.ndarray
    targets: np.ndarray
    classes: int  # 0 for a quantity
    note: str


def decoded(content: bytes) -> str:
    """A file's text: UTF-8, UTF-16 by its mark, or else Windows' western one, which takes every byte."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def header_of(text: str) -> tuple[list[str], str]:
    """The names of the columns, those without one numbered, and what parts them. UsageError where a name comes twice."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    names = [name or f"column {place}" for place, name in enumerate(names, start=1)]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UsageError(f"the column {doubled[0]!r} comes twice: rename one of them")
    return names, delimiter


@lru_cache(maxsize=2)
def rows(path: Path, target: str, changed: int) -> Rows:
    """The table of a file, `changed` then.

    Raises:
        UsageError: it can't be read, has no such column, or nothing to learn from.
    """
    import polars as pl

    text = decoded(read(path))
    names, delimiter = header_of(text)
    if target not in names:
        raise UsageError(
            f"{path} has no column {target!r}; {nearest(target, names)} (--target names the one to predict)"
        )
    try:
        frame = pl.read_csv(
            io.BytesIO(text.encode()),
            separator=delimiter,
            new_columns=names,
            null_values=NOTHING,
            infer_schema_length=None,
            truncate_ragged_lines=True,
        )
    except Exception as error:
        raise UsageError(f"{path} can't be read as a table: {' '.join(str(error).split())[:200]}") from None
    frame = frame.filter(pl.col(target).is_not_null())
    found, classes = _target(path, target, frame[target])
    numbers: list[np.ndarray] = []
    categories: list[np.ndarray] = []
    left_out: list[str] = []
    for name in (n for n in frame.columns if n != target):
        column = frame[name]
        distinct = column.drop_nulls().n_unique()
        if column.dtype.is_numeric() and distinct > 1:
            numbers.append(column.cast(pl.Float64).to_numpy().astype(np.float64))
        elif distinct > 1 and distinct <= max(CATEGORIES, len(column) // 2):
            categories.append(_as_columns(column.cast(pl.String).to_list()))
        elif column.null_count() and column.null_count() < len(column):
            categories.append(column.is_null().to_numpy().astype(np.float32)[:, None])
        else:
            left_out.append(name)
    if not numbers and not categories:
        raise UsageError(f"{path} has no column to predict {target!r} from")
    n = len(found)
    note = f"left out of {path.name}, for they say nothing or name each row: {', '.join(left_out)}" if left_out else ""
    return Rows(
        np.stack(numbers, axis=1) if numbers else np.empty((n, 0)),
        np.concatenate(categories, axis=1) if categories else np.empty((n, 0), dtype=np.float32),
        found,
        classes,
        note,
    )


def _target(path: Path, name: str, column: Any) -> tuple[np.ndarray, int]:
    """The targets and how many classes they are of, 0 for a quantity."""
    number = column.dtype.is_numeric()
    distinct = sorted(column.unique().to_list())
    if not number or (column.dtype.is_integer() and len(distinct) <= CLASSES):
        if len(distinct) < 2:
            raise UsageError(
                f"{path}: column {name!r} has {len(distinct)} class{'es' * (len(distinct) != 1)}; two are needed"
            )
        if not number and len(distinct) > len(column) // 3:
            raise UsageError(
                f"{path}: column {name!r} has {len(distinct)} classes in {len(column)} rows, too few of each to learn from"
            )
        place = {value: i for i, value in enumerate(distinct)}
        return np.array([place[value] for value in column], dtype=np.int64), len(distinct)
    values = column.to_numpy().astype(np.float64)
    if len(distinct) < 2 or not np.isfinite(values).all():
        raise UsageError(f"{path}: column {name!r} is always the same, or not finite: there is nothing to predict")
    return values, 0


def _as_columns(values: list[str | None]) -> np.ndarray:
    """A column of words as 0 and 1 (n, categories): of each of the most frequent, of all others, and of none."""
    kept = [word for word, _ in Counter(v for v in values if v is not None).most_common(CATEGORIES)]
    place = {word: i for i, word in enumerate(kept)}
    found = np.zeros((len(values), len(kept) + 2), dtype=np.float32)
    found[np.arange(len(values)), [len(kept) + 1 if v is None else place.get(v, len(kept)) for v in values]] = 1
    return found[:, found.any(axis=0)]


@dataclass(frozen=True)
class Partitions:
    """Called with a seed, it partitions the rows, and measures them by what it trains on."""

    path: Path
    target: str

    def all(self) -> Rows:
        """The whole table."""
        return rows(self.path, self.target, self.path.stat().st_mtime_ns if self.path.exists() else 0)

    def __call__(self, seed: int) -> Splits:
        """Inputs (n, features) float32, standardised, gaps at 0 with a column that says so; targets (n,), standardised, too."""
        found = self.all()
        order = np.random.default_rng(seed).permutation(len(found.targets))
        ends = [int(sum(SHARES[: i + 1]) * len(order)) for i in range(2)]
        train, validation, test = np.split(order, ends)
        gaps = np.isnan(found.numbers)
        kept = found.numbers[train]
        middle, spread = np.nan_to_num(np.nanmean(kept, axis=0)), np.nan_to_num(np.nanstd(kept, axis=0))
        scaled = np.where(gaps, 0.0, (found.numbers - middle) / np.where(spread > 0, spread, 1.0))
        missing = gaps[:, gaps.any(axis=0)]
        inputs = np.concatenate([scaled, missing, found.categories], axis=1).astype(np.float32)
        targets = found.targets
        if not found.classes:
            mean, sd = targets[train].mean(), targets[train].std()
            targets = ((targets - mean) / (sd or 1.0)).astype(np.float32)
        return Splits(*(Split(inputs[part], targets[part]) for part in (train, validation, test)))


def table(path: str | Path, target: str = "", width: int = 64, depth: int = 2, model: str | None = None) -> Task:
    """A column of a CSV file from the others, by an MLP or a `model` of your own, called with (inputs, outputs).

    Words and whole numbers of at most 20 kinds are classes; other numbers are a quantity, whose error is in its own standard
    deviations. Gaps stay in: as the mean, with a column that tells of them.

    Args:
        target: the column to predict.
    Raises:
        UsageError: no such file or column, a column that comes twice, a target of one class.

    Example:
        >>> assay.tasks.table("nowhere.csv", target="price")
        Traceback (most recent call last):
        assay.errors.UsageError: nowhere.csv can't be read: No such file or directory
    """
    file = Path(path)
    if not target:
        names, _ = header_of(decoded(read(file)))
        raise UsageError(f"which column is to be predicted? --target COLUMN, one of {', '.join(names[:20])}")
    partitions = Partitions(file, target)
    found = partitions.all()
    least = 30
    if len(found.targets) < least:
        raise UsageError(
            f"{file} has {len(found.targets)} rows with a {target!r}, and {least} are the fewest to compare on"
        )
    inputs, outputs = partitions(0).train.inputs.shape[1], found.classes or 1
    usual = Network("perceptron", (inputs, at_least("width", width), at_least("depth", depth), found.classes))
    batch = min(64, max(4, len(found.targets) // 20))
    steps = int(SHARES[0] * len(found.targets)) // batch + 1
    return Task(
        name=file.name,
        data=partitions,
        model=network(usual, model, inputs=inputs, outputs=outputs),
        loss=cross_entropy if found.classes else mean_squared_error,
        metric=accuracy if found.classes else rmse,
        epochs=max(2, min(100, STEPS // steps)),
        batch_size=batch,
        margin=0.01 if found.classes else 0.02,
        margin_reason="one point" if found.classes else "0.02 standard deviations of the target",
        generated=False,
        note=found.note,
    )
