"""Records of an earlier day: made again they are the same, member by member, and read as they are they are as sound.

The records are in `tests/golden` (see `plans.py`). On the machine and torch that made them every number is the same to the
bit; elsewhere rounding acts like another seed, so there the plan's part is exact and the first epoch's losses are close.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec import UNSET

from assay.cli import call
from assay.driver import plan as planning
from assay.driver import protocol
from assay.tasks import SUITE

from .golden.plans import HERE, PLANS, kept, make

MEASURED = "seconds"  # the one column that is not repeatable
NAMED_BY_SOURCE = ("plan_hash", "suite_hash", "versions")  # hashes of assay's own files are among what they are made of


def frames(folder: Path) -> dict[str, pl.DataFrame]:
    """Every run's members and trials' test scores, by the run's place in the folder."""
    found: dict[str, pl.DataFrame] = {}
    for plan in sorted(folder.rglob("plan.json")):
        for kind in ("members", "scores"):
            files = sorted((plan.parent / kind).glob("*.parquet"))
            if files:
                frame = pl.concat([pl.read_parquet(file) for file in files])
                place = f"{plan.parent.relative_to(folder).as_posix()}/{kind}"
                found[place] = frame.sort("slot", "phase", "replicate", "index")
    return found


def results(folder: Path) -> dict[str, Any]:
    """Every `result.json`, without what is named by a hash of assay's own source."""
    return {
        path.relative_to(folder).as_posix(): _nameless(json.loads(path.read_text()))
        for path in sorted(folder.rglob("result.json"))
    }


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nameless(item) for key, item in value.items() if key not in NAMED_BY_SOURCE}
    return [_nameless(item) for item in value] if isinstance(value, list) else value


def same_machine(a: Path, b: Path) -> bool:
    """Whether two folders were made on one CPU model with one torch."""

    def made_on(folder: Path) -> set[tuple[str, str]]:
        plans = (json.loads(path.read_text()) for path in folder.rglob("plan.json"))
        return {(numerics["cpu"], numerics["torch"]) for plan in plans for numerics in plan["numerics"]}

    return made_on(a) == made_on(b)


LONG = ("suite", "compiled", "compiled-network")  # which take half of the time of all


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.whole] * (n in LONG)) for n in PLANS])
def test_made_again_it_is_the_same(name, tmp_path, monkeypatch):
    monkeypatch.chdir(HERE)
    monkeypatch.setattr(protocol, "EDGES", UNSET)  # the records are of plans from before edges held anything back
    # …and before it came to the suite
    monkeypatch.setattr(planning, "SUITE", [t for t in SUITE if t != "python-gpt-small"])
    before, after = kept(name, tmp_path / "kept"), make(name, tmp_path / "made")
    then, now = frames(before), frames(after)
    assert now.keys() == then.keys()
    if same_machine(before, after):
        for place, frame in then.items():
            measured = [MEASURED] if MEASURED in frame.columns else []
            assert now[place].drop(measured).equals(frame.drop(measured), null_equal=True), place
        assert results(after) == results(before)
        return
    for place, frame in then.items():
        exact = [c for c in ("slot", "phase", "replicate", "index", "split", "init", "batches") if c in frame.columns]
        assert now[place].select(exact).equals(frame.select(exact)), place
        if place.endswith("members"):
            tuned = frame["phase"] == "tune"  # what the final runs have depends on the scores
            first = [f.filter(tuned)["train_loss"].list.first().to_numpy() for f in (frame, now[place])]
            np.testing.assert_allclose(*first, rtol=0.02, equal_nan=True)


@pytest.mark.parametrize("name", PLANS)
def test_as_it_was_kept_it_is_sound(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(HERE)
    folder = kept(name, tmp_path)
    assert call(["verify", str(folder)]) == 0, capsys.readouterr().out
    assert call(["status", str(folder)]) == 0
    assert call(["report", str(folder)]) == 0
    assert (folder / "report.html").stat().st_size > 10_000
