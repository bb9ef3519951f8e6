"""Data sets of torchvision that this machine holds, as pictures. Nothing is downloaded."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.core import Task
from assay.errors import UsageError, nearest, said
from assay.tasks.own.files import Version
from assay.tasks.own.formats import Pictures
from assay.tasks.own.images import TRAIN_SAMPLES, Folder, images, pixels, spread, stacked

ROOT = "data"  # where torchvision's own examples keep them
PARTS: tuple[dict[str, Any], ...] = (
    *({"train": value} for value in (True, False)),
    *({"split": value} for value in ("train", "val", "valid", "test")),
)
"""What a data set's class is asked for, as far as it takes it: all labelled parts, and none twice."""


@dataclass(frozen=True)
class Vision:
    """A class of `torchvision.datasets`, and the folder that its files lie in."""

    kind: str
    root: Path

    @property
    def name(self) -> str:
        """What the task is called."""
        return self.kind

    def version(self) -> Version:
        """Of all files in the folder."""
        return Folder(self.root).version()

    def left_out(self) -> Sequence[str]:
        """Pictures beyond the most that are taken."""
        count = sum(map(len, self._parts()))
        kept = len(spread(np.arange(count)))
        return [f"{count - kept:,} pictures of {count:,}"] if kept < count else []

    def pictures(self) -> Pictures:
        """All parts together, brought to one size; evenly taken from all where they are very many."""
        parts = self._parts()
        ends = np.cumsum([0, *map(len, parts)])
        x, y = list[np.ndarray](), list[Any]()
        for place in spread(np.arange(ends[-1])):
            part = int(np.searchsorted(ends, place, side="right")) - 1
            try:
                picture, label = parts[part][int(place - ends[part])]
                x.append(pixels(picture))
            except Exception as error:  # whatever a damaged file leads to
                raise UsageError(f"{self}: picture {place} can't be read ({said(error)})") from None
            if not isinstance(label, int | str):
                raise UsageError(f"{self} has no single class a picture, but {type(label).__name__}: it can't be taken")
            y.append(label)
        place_of = {label: i for i, label in enumerate(sorted(set(y)))}
        return stacked(x, self), np.array([place_of[label] for label in y])

    def __str__(self) -> str:
        return f"torchvision:{self.kind}:{self.root}"

    def _parts(self) -> list[Any]:
        """What there is of the data set."""
        try:
            from torchvision import datasets  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UsageError("torchvision: needs the package torchvision: pip install torchvision") from None
        except RuntimeError as error:  # another build than torch's
            raise UsageError(f"torchvision can't be imported ({said(error)}): install the one for this torch") from None
        known = [name for name in datasets.__all__ if name not in ("FakeData", "ImageFolder", "DatasetFolder")]
        if self.kind not in known:
            raise UsageError(f"torchvision has no data set {self.kind!r}; {nearest(self.kind, known)}")
        build = getattr(datasets, self.kind)
        takes = inspect.signature(build).parameters
        asked = [part for part in PARTS if part.keys() <= takes.keys()] or [{}]
        found, missing = list[Any](), ""
        for part in asked:
            try:
                found.append(build(str(self.root), **part))
            except ValueError:  # no split of that name
                continue
            except Exception as error:  # not there, incomplete, damaged
                missing = missing or said(error)
        if not found:
            raise UsageError(
                f"{self.kind} isn't in the folder {self.root} ({missing}): python -c \"import torchvision; "
                f'torchvision.datasets.{self.kind}({str(self.root)!r}, download=True)" gets it'
            )
        return found


def torchvision(name: str, width: int = 16, train_samples: int = TRAIN_SAMPLES, model: str | None = None) -> Task:
    """A data set of torchvision that this machine holds, as `images`: all of its parts together, partitioned anew.

    Args:
        name: the class in `torchvision.datasets`, and the folder that holds its files after a colon (`data` without one).
        width: and all others as in `images`.
    Raises:
        UsageError: it isn't there (nothing is downloaded), or has no single class a picture.

    Example:
        >>> assay.tasks.torchvision("CIFAR10:nowhere")  # doctest: +SKIP
        Traceback (most recent call last):
        assay.errors.UsageError: CIFAR10 isn't in the folder nowhere (…): python -c "…" gets it
    """
    kind, _, root = name.partition(":")
    return images(Vision(kind, Path(root or ROOT)), width, train_samples, model)
