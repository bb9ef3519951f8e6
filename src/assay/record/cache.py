"""Data that takes a while to make, kept on disk: made once, checked by its hash each time it is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

from assay.core import Split, Splits, environment
from assay.errors import AssayError
from assay.record.files import write_bytes

NAMES, PARTS = ("train", "validation", "test"), Split._fields
Arrays = dict[str, np.ndarray]


def cache_folder() -> Path:
    """`$ASSAY_CACHE`, or the platform's own cache folder."""
    return Path(environment.CACHE.value or platformdirs.user_cache_dir("assay", appauthor=False))


def cached(name: str, make: Callable[[], Splits]) -> Splits:
    """The data called `name`: read if it is there and whole, else made and kept."""

    def made() -> Arrays:
        splits = make()
        return {f"{n}_{part}": getattr(getattr(splits, n), part) for n in NAMES if getattr(splits, n) for part in PARTS}

    found = cached_arrays(name, made)
    parts = {n: Split(*(found[f"{n}_{part}"] for part in PARTS)) for n in NAMES if f"{n}_inputs" in found}
    return Splits(parts["train"], parts.get("validation"), parts["test"])


def cached_arrays(name: str, make: Callable[[], Arrays]) -> Arrays:
    """The arrays called `name`, by names of their own: read if they are there and whole, else made and kept.

    A file that is damaged is made again. A folder that can't be written costs the time, not the run.
    """
    path = cache_folder() / f"{name}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    arrays = make()
    with contextlib.suppress(OSError, AssayError):  # `writable` warns before the run; the data itself is at hand
        _write(path, arrays)
    return arrays


def writable() -> str | None:
    """None if data can be kept, else one line that says why not and what to do."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return (
            f"data can't be kept in {folder} ({error.strerror}), so each worker makes it anew; "
            "set ASSAY_CACHE to a folder that can be written"
        )


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name != "digest"}
            return arrays if arrays and _digest(arrays) == str(file["digest"]) else None
    except Exception:  # whatever a damaged file does to the reader, the answer is to make it again
        return None


def _write(path: Path, arrays: Arrays) -> None:
    content = io.BytesIO()
    np.savez(content, digest=np.array(_digest(arrays)), **arrays)  # type: ignore[arg-type]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())


def _digest(arrays: Arrays) -> str:
    """SHA-256 over every array's name, shape, type and bytes."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name}{array.shape}{array.dtype.str}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
