"""Data sets of the Hugging Face hub that this machine holds, as pictures, a text or a table. Nothing is downloaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from assay.core import Task
from assay.errors import UsageError, nearest, said
from assay.tasks.own.cells import Cells
from assay.tasks.own.files import Version, version
from assay.tasks.own.formats import Pictures
from assay.tasks.own.images import images, pixels, spread, stacked
from assay.tasks.own.table import table
from assay.tasks.own.text import text

LONG = 100  # characters of a cell, in the mean of the first rows, from which on a column is a text and not words
FIRST = 1000  # rows that are looked at for that
MOST = 100_000_000  # bytes of a text


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """What both packages read where they would connect."""
    from datasets import config  # pyright: ignore[reportMissingImports]
    from huggingface_hub import constants  # pyright: ignore[reportMissingImports]

    with patch.object(config, "HF_HUB_OFFLINE", True), patch.object(constants, "HF_HUB_OFFLINE", True):
        yield


@dataclass(frozen=True)
class Hub:
    """A data set as `datasets` keeps it: NAME or NAME:CONFIGURATION in its cache, or a folder that `save_to_disk` wrote."""

    place: str
    target: str = ""

    @property
    def name(self) -> str:
        """What the task is called."""
        return self.place.rstrip("/").rpartition("/")[2].replace(":", "-")

    def version(self) -> Version:
        """Of the files that it lies in."""
        found, _ = self._loaded()
        return tuple(version(Path(file["filename"])) for file in found.cache_files)

    def left_out(self) -> Sequence[str]:
        """Splits of other columns than the first."""
        return self._loaded()[1]

    def __str__(self) -> str:
        return f"hf:{self.place}"

    def _loaded(self) -> tuple[Any, list[str]]:
        """All splits that have the first one's columns, as one `datasets.Dataset`, and what was left out."""
        try:
            import datasets  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UsageError("hf: needs the package datasets: pip install datasets") from None
        name, _, configuration = self.place.partition(":")
        try:
            with _offline():
                if any((Path(name) / file).exists() for file in ("state.json", "dataset_dict.json")):
                    found = datasets.load_from_disk(name)
                else:
                    found = datasets.load_dataset(name, configuration or None)
        except Exception as error:  # of many kinds, a network's among them
            asked = f"{name!r}, {configuration!r}" if configuration else repr(name)
            raise UsageError(
                f"{self} isn't on this machine ({said(error)}): python -c "
                f'"import datasets; datasets.load_dataset({asked})" gets it'
            ) from None
        if not isinstance(found, dict):
            return found, []
        columns = next(iter(found.values())).features
        same = [split for split in found.values() if split.features == columns]
        others = [f"{name}, which has other columns" for name, split in found.items() if split.features != columns]
        return datasets.concatenate_datasets(same), others


class HubText(Hub):
    """The texts of a column, an empty line between them."""

    def read(self) -> bytes:
        """The first 100 MB."""
        found, size = list[bytes](), 0
        for line in self._loaded()[0].select_columns([self.target])[self.target]:
            found.append((line or "").encode("utf-8", errors="replace"))
            size += len(found[-1]) + 2
            if size > MOST:
                break
        return b"\n\n".join(found)[:MOST]

    def left_out(self) -> Sequence[str]:
        """What is beyond that."""
        size = self._loaded()[0].data.nbytes
        return [*super().left_out(), *(["all but the first 100 MB"] if len(self.read()) == MOST < size else [])]


class HubTable(Hub):
    """The columns that hold one word or number in each row."""

    def cells(self) -> Cells:
        """Labels by their names; what is missing as an empty cell."""
        found, _ = self._loaded()
        plain = found.select_columns([name for name in found.features if _plain(found.features[name])])
        return Cells({name: _words(plain[name], found.features[name]) for name in plain.features}, ".")

    def left_out(self) -> Sequence[str]:
        """Columns of lists and the like."""
        features = self._loaded()[0].features
        return [*super().left_out(), *(f"{n}, which holds {_type(f)}" for n, f in features.items() if not _plain(f))]


class HubImages(Hub):
    """A column of pictures, and one of labels."""

    def pictures(self) -> Pictures:
        """Brought to one size, those with a label; evenly taken from all where they are very many."""
        found, _ = self._loaded()
        labels = self._labels()
        there = spread(np.flatnonzero(labels >= 0))
        if not len(there):
            raise UsageError(f"{self} has no picture with a label in column {self._label()!r}")
        column = next(name for name, feature in found.features.items() if _type(feature) == "Image")
        try:
            x = [pixels(picture) for picture in found.select(there).select_columns([column])[column]]
        except Exception as error:  # whatever a file that is no picture leads to, or a gap
            raise UsageError(f"{self}: a picture in column {column!r} can't be read ({said(error)})") from None
        return stacked(x, self), labels[there]

    def left_out(self) -> Sequence[str]:
        """Pictures without a label, or beyond the most that are taken."""
        labels = self._labels()
        labelled = np.flatnonzero(labels >= 0)
        kept = len(spread(labelled))
        without = [f"{len(labels) - len(labelled):,} pictures without a label"] if len(labelled) < len(labels) else []
        beyond = [f"{len(labelled) - kept:,} pictures of {len(labelled):,}"] if kept < len(labelled) else []
        return [*super().left_out(), *without, *beyond]

    def _label(self) -> str:
        features = self._loaded()[0].features
        named = [name for name, feature in features.items() if _type(feature) == "ClassLabel"]
        others = [name for name, feature in features.items() if _plain(feature)]
        if self.target and self.target not in others:
            raise UsageError(f"{self} has no column {self.target!r} of labels; {nearest(self.target, others)}")
        if not self.target and len(named) != 1:
            there = ", ".join(named or others) or "none"
            raise UsageError(f"which column of {self} has the labels? --target COLUMN, one of {there}")
        return self.target or named[0]

    def _labels(self) -> np.ndarray:
        """The classes (n,) in the order of their names or numbers, -1 for none."""
        found, name = self._loaded()[0], self._label()
        values = list(found.select_columns([name])[name])
        known = {value for value in values if value is not None and value != -1}
        place = {value: i for i, value in enumerate(sorted(known))}
        return np.array([place.get(value, -1) for value in values])


def _type(feature: Any) -> str:
    return type(feature).__name__


def _plain(feature: Any) -> bool:
    """Whether a column holds one word or number in each row."""
    kinds = ("int", "uint", "float", "string", "large_string", "bool", "double", "decimal", "date", "time")
    return _type(feature) == "ClassLabel" or (_type(feature) == "Value" and feature.dtype.startswith(kinds))


def _words(values: Sequence[Any], feature: Any) -> list[str]:
    """The cells of a column: labels by their names, nothing for what is missing."""
    if _type(feature) == "ClassLabel":
        return ["" if value is None or value < 0 else feature.int2str(value) for value in values]
    return ["" if value is None else str(value).strip() for value in values]


def _is_text(found: Any, name: str) -> bool:
    feature = found.features[name]
    if _type(feature) != "Value" or "string" not in feature.dtype:
        return False
    lengths = [len(value or "") for value in found.select(range(min(FIRST, len(found))))[name]]
    return bool(lengths) and sum(lengths) > LONG * len(lengths)


def hf(
    name: str,
    target: str = "",
    width: int | None = None,
    depth: int | None = None,
    context: int | None = None,
    train_samples: int | None = None,
    vocabulary: int | None = None,
    model: str | None = None,
) -> Task:
    """A data set of the Hugging Face hub that this machine holds: as `images`, as a `text`, or as a `table`.

    One with a column of pictures is `images`, its labels in `target` or in the only column of labels. One whose `target` is a
    column of texts (over 100 characters in the mean), or whose only column is one, is a `text`. Every other is a `table`. All
    splits are put together, and partitioned anew by each replicate.

    Args:
        name: as `datasets.load_dataset` takes it, a configuration after a colon; or a folder of a data set.
        target: the column to predict, or of the text.
        width: and all others as in the task that it becomes.
    Raises:
        UsageError: it isn't on this machine (nothing is downloaded), has no such column, or doesn't take an option.

    Example:
        >>> assay.tasks.hf("nobody/nothing")  # doctest: +SKIP
        Traceback (most recent call last):
        assay.errors.UsageError: hf:nobody/nothing isn't on this machine (…): python -c "…" gets it
    """
    found, _ = Hub(name)._loaded()
    given = {"width": width, "depth": depth, "context": context, "train_samples": train_samples}
    given = {k: v for k, v in {**given, "vocabulary": vocabulary, "model": model}.items() if v is not None}
    if any(_type(feature) == "Image" for feature in found.features.values()):
        return _made(images, HubImages(name, target), given)
    only = next(iter(found.features)) if len(found.features) == 1 else ""
    column = target or only
    if column in found.features and _is_text(found, column):
        return _made(text, HubText(name, column), given)
    return _made(table, HubTable(name, target), {**given, "target": target})


def _made(build: Any, source: Hub, given: dict[str, Any]) -> Task:
    try:
        return build(source, **given)
    except TypeError as error:
        option = str(error).rpartition("argument ")[2].strip("'").replace("_", "-")
        if "unexpected keyword" not in str(error):
            raise
        raise UsageError(f"{source} is taken as {build.__name__}, which takes no --{option}") from None
