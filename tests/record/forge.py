"""Ways to forge a finished record, each under a manifest that was made anew, as whoever forges would."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assay.record import RunFolder, checksum, chunks, manifest
from assay.record.documents import write_data

Forge = Callable[[Path], None]


def forged(whole: Path, to: Path, how: Forge) -> Path:
    """A copy of a record that was forged and sealed anew."""
    shutil.copytree(whole, to)
    how(to)
    manifest.seal(to)
    return to


def members(change: Callable[[pl.DataFrame], pl.DataFrame], phase: str = "final", slot: int = 1) -> Forge:
    """The rows of one chunk changed; those of a chunk keep the name that it has."""

    def forge(folder: Path) -> None:
        for path in sorted(folder.glob("members/*.parquet")):
            frame = chunks.read(path)
            if frame["phase"][0] == phase and frame["slot"][0] == slot:
                chunks.write(path, change(frame))
                return
        raise AssertionError("no such chunk")

    return forge


def column(name: str, value: Any, **where: Any) -> Forge:
    """One column of a chunk set to a value."""
    return members(lambda f: f.with_columns(pl.lit(value, dtype=chunks.SCHEMA[name]).alias(name)), **where)


def document(name: str, change: Callable[[dict[str, Any]], Any]) -> Forge:
    """A JSON file changed in place."""

    def forge(folder: Path) -> None:
        content = json.loads((folder / name).read_bytes())
        change(content)
        write_data(folder / name, content)

    return forge


def file(pattern: str, change: Callable[[bytes], bytes]) -> Forge:
    """The bytes of the first file that fits."""

    def forge(folder: Path) -> None:
        path = sorted(folder.glob(pattern))[0]
        path.write_bytes(change(path.read_bytes()))

    return forge


def steps(change: Callable[[np.ndarray], np.ndarray]) -> Forge:
    """The lengths of the steps of one chunk."""

    def forge(folder: Path) -> None:
        path = sorted(folder.glob("steps/*.npy"))[0]
        checksum.write_array(path, change(checksum.read_array(path).copy()))

    return forge


def answered_anew(how: Forge) -> Forge:
    """Forge, then make the result, the studies and the report again from what was forged."""

    def forge(folder: Path) -> None:
        from assay.answer.result import result
        from assay.export import optuna
        from assay.report import draw

        how(folder)
        run = RunFolder.open(folder)
        write_data(folder / "result.json", result(run.plan, run.frame()))
        optuna.studies(folder)
        draw(folder)

    return forge
