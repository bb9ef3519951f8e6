"""A table's file as cells, and cells as numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assay.errors import UsageError
from assay.tasks.own.files import File

DELIMITERS = ",;\t|"


def decoded(content: bytes) -> str:
    """A file's text: UTF-8, UTF-16 by its mark, or else Windows' western one, which takes every byte."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


class Cells(NamedTuple):
    """A table by column, and what stands before the decimals of a number there."""

    columns: dict[str, list[str]]
    decimal: str


@dataclass(frozen=True)
class CsvFile(File):
    """A file whose lines are rows."""

    def cells(self) -> Cells:
        """As `cells_of`."""
        return cells_of(self)


def cells_of(file: File) -> Cells:
    """The cells of a table; columns without a name are numbered. Where commas don't part columns they begin decimals.

    Raises:
        UsageError: it can't be read, a name comes twice, or a row has other cells than the header.
    """
    text = decoded(file.read()).replace("\r\n", "\n").replace("\r", "\n")
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found: list[list[str]] = []
    try:
        for row in lines:
            if row and found and len(row) != len(found[0]):
                raise UsageError(f"{file}: line {lines.line_num} has {len(row)} cells, and the header {len(found[0])}")
            if row:
                found.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise UsageError(f"{file}: line {lines.line_num} can't be read ({error})") from None
    if not found:
        raise UsageError(f"{file} has no line with anything in it")
    names = [name or f"column {place}" for place, name in enumerate(found[0], start=1)]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UsageError(f"{file}: the column {doubled[0]!r} comes twice: rename one of them")
    columns = list(zip(*found[1:], strict=True)) or [()] * len(names)
    by_name = {name: list(column) for name, column in zip(names, columns, strict=True)}
    return Cells(by_name, "." if delimiter == "," else ",")


def with_commas(word: str) -> bool:
    """Whether a word is digits with commas in them: 1,234 is a thousand to some, and one and a bit to others."""
    return "," in word and re.fullmatch(r"[-+]?\d[\d,]*(\.\d+)?", word) is not None


def may_be_thousands(words: Sequence[str]) -> bool:
    """Whether each word with a comma in it may be a number of thousands: 3,057 beside 563, and no 0,5."""
    apart = [word for word in words if "," in word]
    return bool(apart) and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+", word) for word in apart)


def as_numbers(words: Sequence[str | None], decimal: str) -> np.ndarray:
    """Words as numbers (n,), with a point for the decimals, or a `decimal` comma; NaN for those that are none."""

    def number(word: str | None) -> float:
        if word and "_" in word:  # which Python takes within a number
            return math.nan
        try:
            return float((word or "").replace(decimal, ".", 1))
        except ValueError:
            return math.nan

    return np.array([number(word) for word in words])
