"""NumPy arrays as files that know their own hash."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from assay.record import checksum
from assay.record.files import write_bytes


def write(path: Path, array: np.ndarray) -> None:
    """The array as a file, whole or not at all."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    write_bytes(path, checksum.added(content.getvalue()))


def read(path: Path) -> np.ndarray:
    """What `write` wrote. OSError, or ValueError where it is not that any more."""
    content = path.read_bytes()
    if not checksum.whole(content):
        raise ValueError("it is not what was written")
    return np.load(io.BytesIO(content), allow_pickle=False)
