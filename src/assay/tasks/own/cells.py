"""A table's file as cells, and cells as numbers."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from assay.errors import UsageError
from assay.tasks.own.files import File, counted

DELIMITERS = ",;\t|"
PARTED = r"[-+]?\d{1,3}(\.\d{3})+,\d+%?"  # a number with both
THOUSANDS = r"[-+]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?"  # with points between them, or without
GROUPS = r"[-+]?[1-9]\d{0,2}(\.\d{3})+"  # with points between them, and nothing after
DECIMALS = r"[-+]?(\d+,\d{1,2}|\d+,\d{4,}|0,\d+|\d{4,},\d+)"  # a comma that parts no thousands
ALIKE = r"[<>≤≥~]?\s*[-+]?\d[\d.,]*\s*%?"  # what a number is written like
LONGEST = 1000  # characters of a column's name
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how those of spreadsheets begin, new and old


def decoded(content: bytes, source: object) -> str:
    """A file's text: UTF-8, UTF-16 by its mark or its zeros, or else Windows' western encoding, which takes every byte.

    Raises:
        UsageError: it is no text; `source` is what the message calls it.
    """
    if content.startswith(WORKBOOKS):
        raise UsageError(f"{source} is a workbook, or packed: save the table as CSV")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    zeros = [content[place::2].count(0) for place in (0, 1)]
    if not min(zeros) and 4 * max(zeros) > len(content):  # half of each western letter
        return content.decode("utf-16-le" if zeros[1] else "utf-16-be", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


class Cells(NamedTuple):
    """A table by column; what stands before the decimals of a number there, and, after that, what parts thousands, if known."""

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
        UsageError: it is no text or can't be read, a name comes twice, or a row has other cells than the header.
    """
    text = decoded(file.read(), file).replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise UsageError(f"{file} holds bytes of zero, so it is no text: save it as text, in UTF-8")
    # As spreadsheets tell each other; csv passes over the empty line that is left
    told = re.match(rf"(?i)sep=([{DELIMITERS}: ])\n", text)
    text = text[told.end() - 1 :] if told else text
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = told[1] if told else max(DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found: list[list[str]] = []
    try:
        for row in lines:
            if row and found and len(row) != len(found[0]):
                raise UsageError(
                    f"{file}: line {lines.line_num} has {counted(len(row), 'cell')}, and the header {len(found[0])}"
                )
            if row:
                found.append([cell.strip() for cell in row])
    except csv.Error as error:
        raise UsageError(f"{file}: line {lines.line_num} can't be read ({error})") from None
    if not found:
        raise UsageError(f"{file} has no line with anything in it")
    if len(found[0]) == 1 and len(found[0][0].split()) > 1:
        raise UsageError(f"{file}: no comma, semicolon, tab or bar parts its first line into columns, and blanks don't")
    if any(len(name) > LONGEST for name in found[0]):
        raise UsageError(
            f"{file}: a name in the header has more than {LONGEST} characters: is a quote left open there?"
        )
    names = [name or f"column {place}" for place, name in enumerate(found[0], start=1)]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise UsageError(f"{file}: the column {doubled[0]!r} comes twice: rename one of them")
    columns = list(zip(*found[1:], strict=True)) or [()] * len(names)
    by_name = {name: list(column) for name, column in zip(names, columns, strict=True)}
    if all(re.fullmatch(ALIKE, name) for name in found[0]) and not all(name.isdigit() for name in found[0]):
        raise UsageError(
            f"{file}: its first line holds numbers alone, and should name the columns: write their names above it"
        )
    return Cells(by_name, "." if delimiter == "," else _decimal(by_name))


def _decimal(columns: Mapping[str, Sequence[str]]) -> str:
    """What begins decimals where commas don't part columns: a comma, and points part thousands where the table shows it.

    It does with one 1.234,5, or with a column of numbers whose commas can be nothing else beside points that can be nothing else.
    """
    plain = [[_plain(word) for word in column if word] for column in columns.values()]
    words = [word for column in plain for word in column]
    if any(re.fullmatch(PARTED, word) for word in words):
        return ",."
    pointed = [word for word in words if re.fullmatch(r"[-+]?\d+\.\d+%?", word)]
    if not pointed or not all(re.fullmatch(GROUPS, word) for word in pointed):
        return ","
    shown = any(
        any(re.fullmatch(DECIMALS, word) for word in column)
        and all(re.fullmatch(rf"[-+]?\d+(,\d+)?%?|{GROUPS}", word) for word in column)
        for column in plain
    )
    return ",." if shown else ","


CURRENCIES = "$€£¥"
_SAID = str.maketrans({"\u2212": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})


def _plain(word: str) -> str:
    """A number without its currency, and without blanks or quotes between its thousands; (1.50) and 1.50- are -1.50."""
    if not any(c.isdigit() for c in word) or len(word) > 40:
        return word
    plain = re.sub(rf"^([-+(]?)\s*[{CURRENCIES}]\s*|\s*[{CURRENCIES}](\)?)$", r"\1\2", word.translate(_SAID))
    if re.fullmatch(r"[-+(]?[1-9]\d{0,2}([ ']\d{3})+([.,]\d+)?[)%-]?", plain):
        plain = plain.replace(" ", "").replace("'", "")
    if negative := re.fullmatch(r"\((\d+[.,][\d.,]*)\)|(\d+[.,][\d.,]*)-", plain):  # 1- may be a grade
        return f"-{negative[1] or negative[2]}"
    return plain if re.fullmatch(ALIKE, plain) else word


def written_alike(words: Iterable[str]) -> bool:
    """Whether all of them are written as numbers may be, `<0.01` and `1.2.3` too."""
    return all(re.fullmatch(ALIKE, _plain(word)) for word in words)


def with_commas(word: str) -> bool:
    """Whether a word is digits with commas in them: 1,234 is a thousand to some, and one and a bit to others."""
    return "," in word and re.fullmatch(r"[-+]?\d[\d,]*(\.\d+)?", word) is not None


def may_be_thousands(words: Sequence[str]) -> bool:
    """Whether each word with a comma, or each with a point beside whole numbers, may be a number of thousands.

    As 3,057 or 3.057 beside 563, or 1,234.5; and no 0,5.
    """
    words = [_plain(word) for word in words]
    apart = [word for word in words if "," in word]
    if apart and all(re.fullmatch(r"[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", word) for word in apart):
        return True
    pointed = [word for word in words if "." in word]
    whole = any(re.fullmatch(r"[-+]?\d+", word) for word in words)
    return bool(pointed) and whole and all(re.fullmatch(GROUPS, word) for word in pointed)


def as_numbers(words: Sequence[str | None], decimal: str) -> np.ndarray:
    """Words as numbers (n,), with a point for the decimals, or a `decimal` comma; NaN for those that are none.

    Where all end in %, so many hundredths. With ",." points part thousands: one of the table is written 1.234,5.
    """
    if len({sign for word in words if word for sign in CURRENCIES if sign in word}) < 2:  # $5 isn't €5
        words = [word and _plain(word) for word in words]
    if all(word.endswith("%") for word in words if word):
        words = [word and word[:-1].rstrip() for word in words]
    if decimal == ",.":
        words = [word.replace(".", "") if word and re.fullmatch(THOUSANDS, word) else None for word in words]

    def number(word: str | None) -> float:
        if word and "_" in word:  # which Python takes within a number
            return math.nan
        try:
            return float((word or "").replace(decimal[0], ".", 1))
        except ValueError:
            return math.nan

    return np.array([number(word) for word in words])
