"""The folder of a comparison across tasks: a run folder for each, and `suite.json`, which says what belongs together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from assay.core import Rule, digest
from assay.errors import UsageError
from assay.record.documents import DAMAGED, read_struct, write_struct
from assay.record.files import fault

NAME = "suite.json"
VERSION = 1


class Entry(msgspec.Struct, frozen=True):
    """One run: `name` and `folder` within the suite, the task and, on a stress axis, the setting; `skipped`: candidates
    that don't apply to it, with the reason.
    """

    name: str
    folder: str
    task: str
    setting: str
    plan_hash: str
    skipped: dict[str, str] = {}


class Suite(msgspec.Struct, frozen=True):
    """The runs, and the error that is allowed: `alpha` over the headlines, `cells_alpha` over the tasks' own outcomes."""

    title: str
    baseline: str
    candidates: tuple[str, ...]
    entries: tuple[Entry, ...]
    axes: dict[
        str, tuple[int | float | str, ...]
    ]  # what was asked for on the stress axes: one value, or several to compare
    alpha: float
    cells_alpha: float
    seed: int
    version: int = VERSION
    transfer: Rule | msgspec.UnsetType = msgspec.UNSET  # of what the first of the entries chose to all others
    without: dict[str, str] | msgspec.UnsetType = (
        msgspec.UNSET
    )  # tasks in which no candidate has a part, with the reason

    @property
    def varied(self) -> list[str]:
        """The stress axes that have several values."""
        return [axis for axis, values in self.axes.items() if len(values) > 1]

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON."""
        return digest(self)


def is_suite(path: Path) -> bool:
    """Whether a folder is that of a comparison across tasks."""
    return (path / NAME).is_file()


def runs(path: Path) -> dict[str, Path]:
    """The run folders of a record by name: those of a comparison across tasks, or the folder itself, called "".

    Raises:
        UsageError: the comparison's own file is damaged. Whether a run folder is there is not looked at.
    """
    return {e.name: path / e.folder for e in open_suite(path).entries} if is_suite(path) else {"": path}


def start(path: Path, suite: Suite) -> None:
    """Write `suite.json`, or see that it is there already.

    Raises:
        UsageError: the folder holds something else.
    """
    if is_suite(path):
        if open_suite(path).hash != suite.hash:
            raise UsageError(f"{path} holds another comparison across tasks; choose another folder with --out")
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} is there and holds no such comparison; choose another with --out")
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_struct(path / NAME, suite)
    except OSError as error:
        raise fault(error, path) from error


def open_suite(path: Path) -> Suite:
    """The suite in a folder. UsageError where there is none, or its file is damaged."""
    try:
        suite = read_struct(path / NAME, Suite)
        if suite.version != VERSION:
            raise UsageError(f"{path / NAME} is of version {suite.version}, this assay reads {VERSION}")
        for entry in suite.entries:
            if Path(entry.folder).name != entry.folder or entry.folder in ("", ".", ".."):
                raise ValueError(f"the folder {entry.folder!r} of task {entry.name} isn't one in it")
        return suite
    except OSError as error:
        raise UsageError(f"{path} holds no comparison across tasks ({NAME}: {error.strerror})") from error
    except DAMAGED as error:
        raise UsageError(f"{path / NAME} is damaged ({error}); start again in another folder with --out") from error
