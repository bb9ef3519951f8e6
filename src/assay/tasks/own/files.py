"""A user's files: their bytes, what tells one from another, and how rows are dealt out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from assay.errors import UsageError


def read(path: Path) -> bytes:
    """The bytes of a file that isn't empty. UsageError in one line else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    if not content:
        raise UsageError(f"{path} is empty")
    return content


def counted(number: int, what: str) -> str:
    """So many of them."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


TRAINED = 0.6  # of all rows, to train on; a fifth to validate on, and a fifth to test


def dealt(count: int, seed: int) -> list[np.ndarray]:
    """Which of so many rows are trained, validated and tested on, in the seed's order, 60 : 20 : 20."""
    order = np.random.default_rng(seed).permutation(count)
    return np.split(order, [int(TRAINED * count), int((TRAINED + 0.2) * count)])


Version = tuple[object, ...]  # what tells data from others, and from themselves when they were changed


def version(path: Path) -> tuple[str, int, int]:
    """What tells a file from another one, and from itself when it was changed: where it is, when it was written, its size."""
    try:
        found = path.stat()
    except OSError:
        return str(path.absolute()), 0, 0
    return str(path.resolve()), found.st_mtime_ns, found.st_size


class Source(Protocol):
    """Where data come from; its text is what messages call it."""

    @property
    def name(self) -> str:
        """What the task is called."""
        ...

    def version(self) -> Version:
        """What tells it from itself when it was changed."""
        ...

    def left_out(self) -> Sequence[str]:
        """What of it isn't used."""
        ...


def noted(source: Source, used: str, more: Sequence[str] = ()) -> str:
    """A task's note on what is used of its data and what isn't, in one line."""
    found = "; ".join([*source.left_out(), *more])
    return " ".join(f"{used}{'; left out: ' * bool(found)}{found}".split())


@dataclass(frozen=True)
class Local:
    """A file or folder of the user's."""

    path: Path

    def left_out(self) -> Sequence[str]:
        """Nothing, as a rule."""
        return ()

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class File(Local):
    """A file of the user's."""

    @property
    def name(self) -> str:
        """What the task is called."""
        return self.path.name

    def version(self) -> Version:
        """As `version`."""
        return version(self.path)

    def read(self) -> bytes:
        """As `read`."""
        return read(self.path)
