"""How much a Parquet file makes when it is unpacked, from its footer and the heads of its pages: known before it is read.

A few bytes can stand for gigabytes: they pack well, or a head says that one value comes a billion times. Both are told by
the heads of the pages, and polars makes room for no more than these say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from assay.record.thrift import Fields, Reader

PACKED = (0, 6)  # not at all, zstd: all that is ever written here
WRITTEN = (0, 2, 3, 8)  # encodings: plain, and those of dictionaries
WIDEST, SPARE = 16, 4096  # bytes of a number with its levels; of a page beside its values
TEXT = 4096  # bytes of a text
FOOTER, HEAD = (
    4 * 2**20,
    64 * 2**10,
)  # bytes of a file's description, and of a page's: what is read of them takes 64 each


class Measured(NamedTuple):
    """What a file holds: its rows, and the bytes that they make in memory."""

    rows: int
    unpacked: int


class _Page(NamedTuple):
    dictionary: bool
    values: int
    unpacked: int


def measured(content: bytes, columns: Mapping[str, int], texts: frozenset[str], may_lack: str = "") -> Measured:
    """The size of a file with just these columns, each with at most so many values a row; `texts` are words, not numbers.

    One column may be lacking.

    ValueError: it has other columns, or more in them, or anything that this version doesn't write.
    """
    length = int.from_bytes(content[-8:-4], "little")
    if content[:4] != b"PAR1" or content[-4:] != b"PAR1" or length > min(len(content) - 12, FOOTER):
        raise ValueError("it is no Parquet file")
    footer = Reader(content[-8 - length : -8]).struct()
    rows, unpacked = 0, 0
    whole = [list(columns), [name for name in columns if name != may_lack]]
    for group in _structs(footer.get(4)):
        chunks = _structs(group.get(1))
        heads = [_struct(chunk.get(3)) for chunk in chunks]
        names = [_name(head) for head in heads]
        if any(1 in chunk for chunk in chunks) or names not in whole:
            raise ValueError("it has other columns than this version writes")
        here = _count(group.get(3))
        rows += here
        for name, head in zip(names, heads, strict=True):
            unpacked += _unpacked(content, head, here * columns[name], name in texts)
    if rows != _count(footer.get(3)):
        raise ValueError("its rows are not as many as it says")
    return Measured(rows, unpacked)


def _unpacked(content: bytes, head: Fields, most: int, text: bool) -> int:
    """Bytes that a column makes. ValueError where it has more values than `most`, or pages that are not what they should be."""
    if head.get(4) not in PACKED:
        raise ValueError("it is packed in another way than this version writes")
    wide, values, total = TEXT if text else WIDEST, 0, 0
    for page in _pages(content, head):
        values += 0 if page.dictionary else page.values
        total += page.unpacked
        if page.values > most or page.unpacked > wide * page.values + SPARE:
            raise ValueError("it holds more than its plan asks for")
    if values > most or values != _count(head.get(5)):
        raise ValueError("it holds more than its plan asks for")
    return total + WIDEST * values


def _pages(content: bytes, head: Fields) -> Iterator[_Page]:
    """The pages of a column, one right behind the other."""
    at = _count(head.get(11) or head.get(9))
    end = at + _count(head.get(7))
    if end > len(content):
        raise ValueError("its pages lie outside it")
    while at < end:
        reader = Reader(content[at : at + HEAD])
        page = reader.struct()
        if [kind in page for kind in (5, 7, 8)] != [page.get(1) == kind for kind in (0, 2, 3)]:
            raise ValueError("it has pages that this version doesn't write")
        own = next((_struct(page[kind]) for kind in (5, 7, 8) if kind in page), None)
        encoding = None if own is None else own.get(4 if 8 in page else 2)
        if own is None or encoding not in WRITTEN:
            raise ValueError("it has pages that this version doesn't write")
        yield _Page(7 in page, _count(own.get(1)), _count(page.get(2)))
        at += reader.at + _count(page.get(3))


def _name(head: Fields) -> str:
    path = cast("list[object]", head.get(3) or [b""])
    return path[0].decode(errors="replace") if isinstance(path[0], bytes) else ""


def _structs(value: object) -> list[Fields]:
    return [_struct(item) for item in cast("list[object]", value)] if isinstance(value, list) else []


def _struct(value: object) -> Fields:
    if not isinstance(value, dict):
        raise ValueError("its footer can't be read")
    return cast(Fields, value)


def _count(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError("its footer can't be read")
    return value
