"""Images as their makers ship them: the files of MNIST and its likes (idx), of CIFAR-10 and CIFAR-100 (binary or pickled)."""

from __future__ import annotations

import gzip
import io
import math
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import UsageError
from assay.tasks.own.files import read

KINDS = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}  # of idx
CIFAR = 3 * 32 * 32
Pictures = tuple[np.ndarray, np.ndarray]  # (n, channels, height, width) uint8, and labels (n,)


def shipped(folder: Path) -> Pictures | None:
    """All pictures of a folder in one of these formats, training and test files together; None where it holds none."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    named = {p.name.removesuffix(".gz"): p for p in files}
    images = [name for name in named if "images" in name and ("idx3" in name)]
    if images:
        _one_set(folder, {name.replace("train", "").replace("t10k", "").replace("test", "") for name in images})
        return _joined([_of_idx(named, name) for name in images])
    binary = ("train.bin", "test.bin")
    batches = [p for name, p in named.items() if name.startswith(("data_batch", "test_batch")) or name in binary]
    if not batches and {"train", "test", "meta"} <= named.keys():  # CIFAR-100, pickled
        batches = [named["test"], named["train"]]
    if batches:
        _one_set(folder, {p.suffix.removesuffix(".gz") for p in batches})
        return _joined([_of_cifar(p) for p in batches])
    return None


def holds_shipped(folder: Path) -> bool:
    """Whether files in it are called as their makers call them."""
    return any("idx3" in p.name or p.name.startswith("data_batch") for p in folder.iterdir())


def _one_set(folder: Path, kinds: set[str]) -> None:
    """UsageError where there are pictures of several sets."""
    if len(kinds) > 1:
        raise UsageError(f"{folder} holds several sets of pictures, or one in two forms: give a folder with one")


def _joined(parts: list[Pictures]) -> Pictures:
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _of_idx(named: dict[str, Path], images: str) -> Pictures:
    labels = images.replace("images", "labels").replace("idx3", "idx1")
    if labels not in named:
        raise UsageError(f"{named[images]} has no labels beside it: {labels} is missing")
    x, y = idx(named[images]), idx(named[labels])
    if x.dtype != np.uint8:
        raise UsageError(f"{named[images]} holds numbers of type {x.dtype}; pictures are of bytes")
    if x.ndim != 3 or y.shape != x.shape[:1]:
        raise UsageError(
            f"{named[images]} holds {x.shape} and {named[labels].name} {y.shape}: they don't belong together"
        )
    if y.dtype.kind == "f" or y.min(initial=0) < 0:
        raise UsageError(f"{named[labels]} holds labels that are no whole numbers from 0 on: it names no classes")
    return x[:, None], y.astype(np.int64)


def idx(path: Path) -> np.ndarray:
    """The array of an idx file: two zeros, its type, the number of dimensions, these, and then the numbers, all big-endian.

    Source: http://yann.lecun.com/exdb/mnist, "file formats".
    """
    content = read(path)
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        zero, kind, dimensions = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
        if zero or kind not in KINDS:
            raise ValueError("its first bytes are others")
        found = np.frombuffer(content, KINDS[kind], offset=4 + 4 * dimensions)
        if len(found) != math.prod(shape):
            raise ValueError(f"it is cut off, or not its own: {len(found):,} numbers of {math.prod(shape):,}")
        return found.reshape(shape)
    except (struct.error, zlib.error, ValueError, OSError, EOFError) as error:
        raise UsageError(f"{path} is no idx file ({error})") from None


def _of_cifar(path: Path) -> Pictures:
    content = read(path)
    if path.suffix == ".bin":
        labels = 2 if path.name in ("train.bin", "test.bin") else 1  # CIFAR-100 has a coarse one first
        if len(content) % (labels + CIFAR):
            raise UsageError(f"{path} is no file of CIFAR: its size isn't that of whole pictures")
        records = np.frombuffer(content, np.uint8).reshape(-1, labels + CIFAR)
        return records[:, labels:].reshape(-1, 3, 32, 32), records[:, labels - 1].astype(np.int64)
    try:
        found: dict[bytes, Any] = _Arrays(io.BytesIO(content), encoding="bytes").load()
        x, y = np.asarray(found[b"data"]), found.get(b"fine_labels") or found[b"labels"]
        if len(x) != len(y):
            raise ValueError(f"{len(x)} pictures and {len(y)} labels")
        return x.reshape(-1, 3, 32, 32).astype(np.uint8), np.asarray(y, dtype=np.int64)
    except Exception as error:
        raise UsageError(f"{path} is no file of CIFAR ({type(error).__name__}: {error})") from None


class _Arrays(pickle.Unpickler):
    """Unpickles arrays and plain data: a pickle could otherwise run any code."""

    KNOWN = frozenset(
        [
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("_codecs", "encode"),
        ]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which no file of CIFAR does")
        return super().find_class(module, name)
