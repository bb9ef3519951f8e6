"""Images of the user's own: a folder a class, or the standard files of MNIST, Fashion-MNIST and CIFAR as they are shipped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from assay.core import Split, Splits, Task
from assay.errors import UsageError
from assay.tasks.metrics import accuracy
from assay.tasks.network import Network, at_least, cross_entropy
from assay.tasks.own.files import TRAINED, Local, Source, Version, counted, dealt, noted, version
from assay.tasks.own.formats import Pictures, holds_shipped, shipped
from assay.tasks.own.network import network

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"))
SIDE = 32  # pixels
TRAIN_SAMPLES = 8000  # at most
STEPS = 600  # that the epochs come to
FEWEST = 5  # pictures of a class
MOST = 60_000  # pictures that are taken of a data set, evenly where it has more


class Images(Source, Protocol):
    """Where pictures come from."""

    def pictures(self) -> Pictures:
        """All of them (n, channels, height, width) uint8, and their classes (n,)."""
        ...


@dataclass(frozen=True)
class Folder(Local):
    """A folder with a folder a class, or with files of MNIST's, Fashion-MNIST's or CIFAR's makers."""

    @property
    def name(self) -> str:
        """What the task is called."""
        return self.path.resolve().name

    def version(self) -> Version:
        """Of all files in it."""
        inside = sorted(Path(place, name) for place, _, names in os.walk(self.path, followlinks=True) for name in names)
        return tuple(map(version, inside))

    def pictures(self) -> Pictures:
        """As `pictures`."""
        return pictures(self.path)

    def left_out(self) -> Sequence[str]:
        """Classes without a picture, and what is in folders of classes and isn't one."""
        shown = [c for c in sorted(self.path.iterdir()) if not c.name.startswith(".")]
        inside = {c: [p for p in c.iterdir() if not p.name.startswith(".")] for c in shown if c.is_dir()}
        empty = [c.name for c, there in inside.items() if not any(map(_is_picture, there))]
        if len(empty) == len(inside):  # the files of MNIST or CIFAR
            return ()
        beside = sum(not c.is_dir() for c in shown)
        other = [p for there in inside.values() for p in there if not _is_picture(p)]
        deeper = sum(p.is_dir() for p in other)
        endings = ", ".join(sorted({p.suffix or p.name for p in other if not p.is_dir()})[:5])
        return [
            *([f"folders without a picture ({', '.join(empty[:5])})"] if empty else []),
            *([f"{counted(deeper, 'folder')} within those of the classes"] if deeper else []),
            *([f"{counted(len(other) - deeper, 'file')} not named as pictures are ({endings})"] if endings else []),
            *([f"{counted(beside, 'file')} beside the classes' folders"] if beside else []),
        ]


def pictures(folder: Path) -> Pictures:
    """All pictures of a folder (n, channels, height, width) uint8, and their classes (n,).

    Raises:
        UsageError: no such folder, nothing in it, fewer than two classes, a file that is no picture.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder" if folder.exists() else f"{folder} isn't there")
    found = shipped(folder)
    return _by_folder(folder) if found is None else found


def _by_folder(folder: Path) -> Pictures:
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = {c: [p for p in sorted(c.iterdir()) if _is_picture(p)] for c in classes}
    empty = [c for c, found in files.items() if not found]
    if deeper := next((p for c in empty for p in sorted(c.rglob("*")) if _is_picture(p)), None):
        raise UsageError(
            f"{folder / deeper.relative_to(folder).parts[0]} holds no pictures but folders of them: give "
            f"images:{deeper.parent.parent}, or put the pictures of each class into one folder"
        )
    files = {c: found for c, found in files.items() if found}
    few = [c for c, found in files.items() if len(found) < FEWEST]
    if few and len(files) > 1:
        there = f"{len(files[few[0]])} picture{'s' * (len(files[few[0]]) != 1)}"
        raise UsageError(f"{few[0]} holds {there}, and {FEWEST} are the fewest of a class: add some, or take it out")
    if len(files) < 2:
        inside = next((d for d in sorted(folder.rglob("*")) if d.is_dir() and holds_shipped(d)), None)
        hint = f"; images:{inside} holds such files" if inside else ""
        raise UsageError(
            f"{folder} holds {counted(len(files), 'folder')} with pictures: it needs one for each class, two at least, or the "
            f"files of MNIST or CIFAR{hint}"
        )
    labels = np.repeat(np.arange(len(files)), [len(found) for found in files.values()])
    return stacked([_opened(path) for found in files.values() for path in found], folder), labels


def stacked(pixels: Sequence[np.ndarray], source: object) -> np.ndarray:
    """Pictures as `pixels` gives them as one array (n, channels, SIDE, SIDE) uint8: 1 channel where all are grey.

    Those of more than 8 bits share a scale: fractions are of 1, and else the largest number of them all is white.

    Raises:
        UsageError: they are of one colour, and the same.
    """
    white: dict[str, float] = {}  # of fractions, and of whole numbers
    for kind in "fi":
        largest = max((float(p.max()) for p in pixels if p.ndim == 2 and p.dtype.kind == kind), default=0.0)
        white[kind] = 1.0 if 0 < largest <= 1 else max(largest, 255.0)
    levels = [
        p
        if p.ndim == 3
        else np.repeat((p.clip(0) * (255 / white[p.dtype.kind])).round().astype(np.uint8)[..., None], 3, 2)
        for p in pixels
    ]
    x = np.stack(levels).transpose(0, 3, 1, 2)
    if x.min() == x.max():
        raise UsageError(f"every picture in {source} has one colour, and the same: there is nothing to learn")
    grey = bool((x[:, 0] == x[:, 1]).all() and (x[:, 1] == x[:, 2]).all())
    return x[:, :1] if grey else x


def spread(places: np.ndarray) -> np.ndarray:
    """As many of the places (n,) as are taken at most, evenly from all."""
    return places if len(places) <= MOST else places[np.linspace(0, len(places) - 1, MOST).astype(int)]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def _opened(path: Path) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return pixels(image)
    except Exception as error:  # whatever a damaged file leads to, or one too large
        raise UsageError(f"{path} is no picture that can be read ({' '.join(str(error).split())[:120]})") from None


def pixels(image: Picture) -> np.ndarray:
    """A picture (SIDE, SIDE, 3) uint8, what is transparent on white; one of more than 8 bits, grey, (SIDE, SIDE) as it is."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        small = np.asarray(Image.fromarray(values).resize((SIDE, SIDE))).clip(values.min(), values.max())
        return small if image.mode.startswith("F") else small.round().astype(np.int32)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE)))


@lru_cache(maxsize=2)
def _kept(source: Images, version: Version) -> Pictures:
    """The pictures of a source of that `version`."""
    x, labels = source.pictures()
    known, y, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rarest = counts.argmin()
    if counts[rarest] < FEWEST or len(known) < 2:
        there = f"{counted(counts[rarest], 'picture')} of class {known[rarest]}{' alone' * (len(known) < 2)}"
        raise UsageError(f"{source} has {there}; {FEWEST} of each of two classes are needed")
    return x, y


@dataclass(frozen=True)
class Partitions:
    """Called with a seed, it partitions the pictures, and measures them by what it trains on."""

    source: Images
    train_samples: int

    def all(self) -> Pictures:
        """All pictures."""
        return _kept(self.source, self.source.version())

    def __call__(self, seed: int) -> Splits:
        """Inputs (n, channels, height, width) float32 of mean 0 and standard deviation 1 a channel, targets (n,) int64."""
        x, y = self.all()
        train, validation, test = dealt(len(y), seed)
        parts = train[: self.train_samples], validation[: self.train_samples // 2], test[: self.train_samples // 2]
        seen = x[parts[0]].astype(np.float32)
        middle, spread = seen.mean(axis=(0, 2, 3), keepdims=True), seen.std(axis=(0, 2, 3), keepdims=True)
        scale = np.where(spread > 0, spread, 1.0)
        return Splits(*(Split(((x[p].astype(np.float32) - middle) / scale), y[p]) for p in parts))


def images(
    path: str | Path | Images, width: int = 16, train_samples: int = TRAIN_SAMPLES, model: str | None = None
) -> Task:
    """Which class a picture is of, by a small ResNet or a `model` of your own, called with (channels, classes).

    Pictures in folders are brought to 32 × 32 pixels; the files of MNIST, Fashion-MNIST (idx), CIFAR-10 and CIFAR-100 are
    taken as they are shipped. Each replicate partitions all of them anew, whatever their makers train and test on.

    Args:
        path: a folder with a folder a class, or with those files.
        width: channels of the network's first third.
        train_samples: pictures to train on, at most.
    Raises:
        UsageError: no such folder, fewer than two classes, a picture that can't be read.

    Example:
        >>> assay.tasks.images("nowhere")
        Traceback (most recent call last):
        assay.errors.UsageError: nowhere isn't there
    """
    source = Folder(Path(path)) if isinstance(path, str | Path) else path
    partitions = Partitions(source, at_least("train_samples", train_samples, 4))
    x, y = partitions.all()
    classes = int(y.max()) + 1
    batch = min(64, max(2, len(y) // 20))
    steps = min(train_samples, int(TRAINED * len(y))) // batch + 1
    return Task(
        name=source.name,
        data=partitions,
        model=network(
            Network("ResNet", (x.shape[1], classes, at_least("width", width))),
            model,
            (classes,),
            channels=x.shape[1],
            classes=classes,
        ),
        loss=cross_entropy,
        metric=accuracy,
        epochs=max(2, min(60, STEPS // steps)),
        batch_size=batch,
        margin=0.01,
        margin_reason="one point",
        generated=False,
        note=noted(source, f"{len(y):,} pictures, {classes} classes"),
    )
