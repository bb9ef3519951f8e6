"""Generated data, kept on disk: made once for each seed, checked by its hash each time it is read."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs

from assay.core import Split, Splits
from assay.errors import AssayError
from assay.record.files import write_bytes

NAMES = ("train", "validation", "test")


def cache_folder() -> Path:
    """`$ASSAY_CACHE`, or the platform's own cache folder."""
    return Path(os.environ.get("ASSAY_CACHE") or platformdirs.user_cache_dir("assay", appauthor=False))


def cached(name: str, make: Callable[[], Splits]) -> Splits:
    """The data called `name`: read if it is there and whole, else made and kept.

    A file that is damaged is made again. A folder that can't be written costs the time, not the run.
    """
    path = cache_folder() / f"{name}.npz"
    kept = _read(path)
    if kept is not None:
        return kept
    splits = make()
    with contextlib.suppress(OSError, AssayError):  # `writable` warns before the run; the data itself is at hand
        _write(path, splits)
    return splits


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


def _read(path: Path) -> Splits | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {n: Split(file[f"{n}_inputs"], file[f"{n}_targets"]) for n in NAMES if f"{n}_inputs" in file}
            splits = Splits(found["train"], found.get("validation"), found["test"])
            return splits if splits.digest == str(file["digest"]) else None
    except Exception:  # whatever a damaged file does to the reader, the answer is to make it again
        return None


def _write(path: Path, splits: Splits) -> None:
    arrays = {
        f"{n}_{part}": getattr(getattr(splits, n), part) for n in NAMES if getattr(splits, n) for part in Split._fields
    }
    content = io.BytesIO()
    np.savez(content, digest=np.array(splits.digest), **arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content.getvalue())
