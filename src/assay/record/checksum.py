"""Files that know their own hash: a changed or torn one is found before anything tries to read it.

Readers of Parquet can't be trusted with bytes that aren't what was written: polars panics on some, and on others asks for so
much memory that the process ends. A Parquet file is found from its end, so that bytes between its data and its footer are
read by nobody: there the SHA-256 of all the others goes. A NumPy file is found from its start: there it goes to the end.
"""

from __future__ import annotations

import hashlib
import io
import math
from pathlib import Path

import numpy as np

from assay.record.files import read_bytes, write_bytes

MARK = b"assay sha256 "
SIZE = len(MARK) + hashlib.sha256().digest_size


def write(path: Path, content: bytes) -> None:
    """A Parquet or NumPy file with its hash in it, whole or not at all."""
    at = _place(content)
    write_bytes(path, content[:at] + MARK + hashlib.sha256(content).digest() + content[at:])


def read(path: Path) -> io.BytesIO:
    """What `write` wrote. OSError, or ValueError where it is not that any more."""
    content = read_bytes(path)
    if not whole(content):
        raise ValueError("it is not what was written")
    return io.BytesIO(content)


def write_array(path: Path, array: np.ndarray) -> None:
    """The array as a file, whole or not at all."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    write(path, content.getvalue())


def read_array(path: Path) -> np.ndarray:
    """What `write_array` wrote; raises as `read` does, also where its head asks for more numbers than the file has."""
    return array_of(read(path))


def array_of(content: io.BytesIO) -> np.ndarray:
    """An array of floats from a file, with its hash behind it or, in records of an earlier layout, without. ValueError."""
    if shape_of(content) is None:
        raise ValueError("it is no array")
    return np.load(content, allow_pickle=False)


def shape_of(content: io.BytesIO) -> tuple[int, ...] | None:
    """The shape of an array of floats that is all there, with no more than its hash behind it; None of anything else."""
    try:
        version = np.lib.format.read_magic(content)
        heads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = heads[version](content)
    except Exception:  # NumPy reads the head as Python, and what isn't any raises what Python's parsers raise
        return None
    start = content.tell()
    content.seek(0)
    wanted = math.prod(shape) * dtype.itemsize
    rest = content.getbuffer().nbytes - start - wanted
    return tuple(shape) if dtype.kind == "f" and all(side >= 0 for side in shape) and rest in (0, SIZE) else None


def whole(content: bytes) -> bool:
    """Whether the file is what `write` wrote, to the last bit."""
    at = _place(content)
    start = at - SIZE
    if start < 0 or content[start : start + len(MARK)] != MARK:
        return False
    sha = hashlib.sha256(content[:start])
    sha.update(content[at:])
    return content[start + len(MARK) : at] == sha.digest()


def _place(content: bytes) -> int:
    """Before the footer of a Parquet file (whose last 8 bytes are its length and PAR1), else the end."""
    if content[-4:] != b"PAR1":
        return len(content)
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")
