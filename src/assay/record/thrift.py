"""Parquet's own description of a file (Thrift, compact form), read without reading, or making room for, any data."""

from __future__ import annotations

from typing import Any

DEEPEST = 16  # structs and lists within each other; Parquet has less than half of that

Fields = dict[int, Any]  # of a struct, by field number: numbers, bytes, lists, Fields


class Reader:
    """Reads one value after the other from bytes. ValueError for what is none; what it takes is bounded by their number."""

    def __init__(self, content: bytes, at: int = 0) -> None:
        self.content, self.at = content, at

    def struct(self, depth: int = 0) -> Fields:
        """The fields of a struct."""
        found, number = Fields(), 0
        while (head := self._byte()) != 0:
            kind, delta = head & 15, head >> 4
            number = number + delta if delta else self._number()
            found[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("its footer is nested too deep")
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._number()
            case 7:
                return self._bytes(8)
            case 8:
                return self._bytes(self._natural())
            case 9 | 10:
                head = self._byte()
                count = head >> 4 if head >> 4 < 15 else self._natural()
                return [self._value(head & 15, depth + 1) for _ in range(self._room(count))]
            case 12:
                return self.struct(depth)
            case _:
                raise ValueError("its footer can't be read")

    def _byte(self) -> int:
        if self.at >= len(self.content):
            raise ValueError("its footer ends too early")
        self.at += 1
        return self.content[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        start, self.at = self.at, self.at + self._room(count)
        return self.content[start : self.at]

    def _room(self, count: int) -> int:
        """So many bytes, or values of a byte at least, must still be there."""
        if count > len(self.content) - self.at:
            raise ValueError("its footer ends too early")
        return count

    def _natural(self) -> int:
        if (found := self._byte()) < 128:
            return found
        found &= 127
        for shift in range(7, 70, 7):
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise ValueError("its footer can't be read")

    def _number(self) -> int:
        raw = self._natural()
        return (raw >> 1) ^ -(raw & 1)
