"""A table of the user's own: one column from all others, by classification or regression as the column is."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError, nearest
from assay.tasks.metrics import accuracy, rmse
from assay.tasks.network import Network, at_least, cross_entropy, mean_squared_error
from assay.tasks.own.cells import Cells, CsvFile, as_numbers, may_be_thousands, with_commas, written_alike
from assay.tasks.own.files import TRAINED, Source, Version, counted, dealt, noted
from assay.tasks.own.network import network

# What a gap is written as
NO_TARGET = frozenset(
    (
        "",
        "NA",
        "N/A",
        "NaN",
        "nan",
        "null",
        "NULL",
        "(null)",
        "<NA>",
        "\\N",
        "#N/A",
        "#NV",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
    )
)
# And of numbers, or in a column to predict from; a class may well be called None
NOTHING = NO_TARGET | frozenset(
    ("None", "none", "nil", "?", "-", "--", ".", "*", "n/a", "n.a.", "k.A.", "missing", "unknown", "Unknown")
)
COUNTS = frozenset(("column 1", "id", "index", "row", "rownames", "unnamed: 0"))  # what numbers of rows are called
FOREIGN = 0.1  # of a column's cells, at most, that are no numbers where the others are
LARGEST = 1e100
LEAST = 30  # rows to compare on
FEWEST = 3  # rows of a class
CLASSES = 20  # of whole numbers, at most; more are a quantity
CATEGORIES = 32  # of a column, the most frequent; all others are one
STEPS = 600  # that the epochs come to


class Table(Source, Protocol):
    """Where a table comes from."""

    def cells(self) -> Cells:
        """All of it."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """A table as numbers: `numbers` (n, a) with NaN for gaps, `categories` (n, b) as 0 and 1, and targets (n,)."""

    numbers: np.ndarray
    categories: np.ndarray
    targets: np.ndarray
    classes: int  # 0 for a quantity
    note: str


@lru_cache(maxsize=2)
def rows(source: Table, target: str, version: Version) -> Rows:
    """A table of that `version`.

    Raises:
        UsageError: it can't be read, has no such column, or nothing to learn from.
    """
    cells, decimal = source.cells()
    if target not in cells:
        raise UsageError(
            f"{source} has no column {target!r}; {nearest(target, _names(cells))} (--target names the one to predict)"
        )
    gaps = _gaps(source, target, cells[target], decimal)
    there = [i for i, cell in enumerate(cells[target]) if cell not in gaps]
    for name, words in cells.items():
        thousands = sum(map(with_commas, words)) > len(words) // 2 if decimal == "." else may_be_thousands(words)
        if thousands and decimal != ",.":  # where points part them, commas don't
            raise UsageError(
                f"{source}: column {name!r} has numbers with commas or points, which may mean two things: write them without"
            )
    if len(there) < LEAST:
        raise UsageError(
            f"{source} has {counted(len(there), 'row')} with a {target!r}, and {LEAST} are the fewest to compare on"
        )
    found, classes = _target(source, target, [cells[target][i] for i in there], decimal)
    notes = list[str]()
    if len(there) < len(cells[target]):
        notes.append(f"{counted(len(cells[target]) - len(there), 'row')} without a {target}")
    numbers: list[np.ndarray] = []
    categories: list[np.ndarray] = []
    for name in (n for n in cells if n != target):
        words = [None if cells[name][i] in NOTHING else cells[name][i] for i in there]
        distinct, known = len(set(words) - {None}), len(words) - words.count(None)
        values = as_numbers(words, decimal)
        strange = [word for word, value in zip(words, values, strict=True) if word is not None and np.isnan(value)]
        if classes and name.lower() in COUNTS and len(cells) > 2 and _counts(as_numbers(cells[name], decimal)):
            notes.append(f"column {name!r}, which counts the rows")
            continue
        if distinct > 1 and len(strange) <= FOREIGN * known:
            if not (np.abs(values[~np.isnan(values)]) < LARGEST).all():
                raise UsageError(
                    f"{source}: column {name!r} holds a number that is infinite, or too large to learn from"
                )
            numbers.append(values)
            if strange:
                notes.append(f"{counted(len(strange), 'cell')} of {name} without a number, as {strange[0][:40]!r}")
        elif distinct > 1 and distinct <= max(CATEGORIES, known // 2):
            categories.append(_as_columns(words))
        elif 0 < known < len(words):
            categories.append(np.array([[word is None] for word in words], dtype=np.float32))
            if distinct > 1:
                notes.append(f"all of {name} but where it has gaps, for it names each row")
        else:
            known_words = [word for word in words if word is not None]
            unread = f", if {strange[0][:40]!r} is no number" if distinct > 1 and written_alike(known_words) else ""
            notes.append(
                f"column {name!r}, which {'is always the same' if distinct < 2 else f'names each row{unread}'}"
            )
    if not numbers and not categories:
        why = "; ".join(notes) or "it is the only one"
        raise UsageError(f"{source} has no column to predict {target!r} from: {why}")
    n = len(found)
    kinds = [(part, what) for part, what in ((numbers, "numbers"), (categories, "words")) if part]
    facts = [f"{n:,} rows", *(f"{counted(len(part), 'column')} of {what}" for part, what in kinds)]
    return Rows(
        np.stack(numbers, axis=1) if numbers else np.empty((n, 0)),
        np.concatenate(categories, axis=1) if categories else np.empty((n, 0), dtype=np.float32),
        found,
        classes,
        noted(
            source,
            ", ".join([*facts, f"{classes} classes" if classes else "a quantity to predict"]),
            notes,
        ),
    )


def _counts(values: np.ndarray) -> bool:
    """Whether they are the numbers of rows, from 0 or 1 on: a table that is sorted by class would tell it by them."""
    return bool(values[0] in (0, 1) and (np.diff(values) == 1).all())


def _names(columns: Iterable[str]) -> list[str]:
    """What columns are called, fit for a line."""
    return [" ".join(name.split())[:60] for name in columns]


def _gaps(source: Table, name: str, words: list[str], decimal: str) -> frozenset[str]:
    """How a gap is written in the targets: beside numbers alone a ? is one, which among words may be a class.

    UsageError where other words stand among the numbers of a quantity.
    """
    known = [word for word in words if word not in NOTHING]
    values = as_numbers(known, decimal)
    strange = [word for word, value in zip(known, values, strict=True) if np.isnan(value)]
    if not strange:
        return NOTHING if known else NO_TARGET
    numbers = values[~np.isnan(values)]
    most = FOREIGN if min(Counter(numbers).values(), default=FEWEST) >= FEWEST else 0.5
    if len(strange) <= most * len(known) and len(set(numbers)) > CLASSES:
        raise UsageError(
            f"{source}: {len(strange)} of {len(known)} values of column {name!r} are no numbers, {strange[0][:40]!r} for one: "
            "mend them, or leave them empty"
        )
    return NO_TARGET


def _target(source: Table, name: str, words: list[str], decimal: str) -> tuple[np.ndarray, int]:
    """The targets and how many classes they are of, 0 for a quantity."""
    values, counts = as_numbers(words, decimal), Counter(words)
    numeric = not np.isnan(values).any()
    few = numeric and len(set(values)) <= CLASSES and np.isfinite(values).all() and (values == np.round(values)).all()
    if numeric and not few:
        if len(set(values)) < 2 or not (np.abs(values) < LARGEST).all():
            raise UsageError(
                f"{source}: column {name!r} is always the same, or not finite: there is nothing to predict"
            )
        return values, 0
    if few:
        counts = Counter(values.tolist())
    if len(counts) < 2:
        raise UsageError(
            f"{source}: column {name!r} has {len(counts)} class{'es' * (len(counts) != 1)}; two are needed"
        )
    rarest, count = min(counts.items(), key=lambda item: item[1])
    if count < FEWEST:
        shown = f"{rarest:g}" if isinstance(rarest, float) else rarest
        raise UsageError(
            f"{source}: class {shown!r} of column {name!r} has {counted(count, 'row')}, and {FEWEST} are the fewest "
            f"to learn from, of each of its {len(counts)} classes: leave such rows out, or put classes together"
        )
    place = {value: i for i, value in enumerate(sorted(counts))}
    return np.array([place[value] for value in (values.tolist() if few else words)], dtype=np.int64), len(counts)


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

    table: Table
    target: str

    def all(self) -> Rows:
        """The whole table."""
        return rows(self.table, self.target, self.table.version())

    def __call__(self, seed: int) -> Splits:
        """Inputs (n, features) float32, standardised, gaps at 0 with a column that says so; targets (n,), standardised, too."""
        found = self.all()
        train, validation, test = dealt(len(found.targets), seed)
        gaps = np.isnan(found.numbers)
        kept = found.numbers[train]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column of which no row to train on has a number
            middle, spread = np.nan_to_num(np.nanmean(kept, axis=0)), np.nan_to_num(np.nanstd(kept, axis=0))
        scaled = np.where(gaps, 0.0, (found.numbers - middle) / np.where(spread > 0, spread, 1.0))
        missing = gaps[:, gaps.any(axis=0)]
        inputs = np.concatenate([scaled, missing, found.categories], axis=1).astype(np.float32)
        targets = found.targets
        if not found.classes:
            mean, sd = targets[train].mean(), targets[train].std()
            targets = ((targets - mean) / (sd or 1.0)).astype(np.float32)
        return Splits(*(Split(inputs[part], targets[part]) for part in (train, validation, test)))


def table(
    path: str | Path | Table, target: str = "", width: int = 64, depth: int = 2, model: str | None = None
) -> Task:
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
    source = CsvFile(Path(path)) if isinstance(path, str | Path) else path
    if not target:
        columns = _names(source.cells().columns)[:20]
        raise UsageError(f"which column is to be predicted? --target COLUMN, one of {', '.join(columns)}")
    partitions = Partitions(source, target)
    found = partitions.all()
    inputs, outputs = partitions(0).train.inputs.shape[1], found.classes or 1
    usual = Network("perceptron", (inputs, at_least("width", width), at_least("depth", depth), found.classes))
    batch = min(64, max(4, len(found.targets) // 20))
    steps = int(TRAINED * len(found.targets)) // batch + 1
    return Task(
        name=source.name,
        data=partitions,
        model=network(usual, model, (found.classes,) if found.classes else (), inputs=inputs, outputs=outputs),
        loss=cross_entropy if found.classes else mean_squared_error,
        metric=accuracy if found.classes else rmse,
        epochs=max(2, min(100, STEPS // steps)),
        batch_size=batch,
        margin=0.01 if found.classes else 0.02,
        margin_reason="one point" if found.classes else "0.02 standard deviations of the target",
        generated=False,
        note=found.note,
    )
