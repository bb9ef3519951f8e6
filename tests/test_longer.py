"""More replicates for a finished record, and looks that were planned."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from assay import events
from assay.driver import verify
from assay.driver.protocol import most_replicates
from assay.errors import UsageError
from assay.judge import looks
from assay.record import manifest

from . import asked, tiny

SMALL = {"trials": 2, "final_seeds": 2, "engine": "loop"}


def run(folder: Path | None, **options):
    seen: list[events.Event] = []
    options = {"task": tiny.task(), **SMALL, **options}
    planned = asked.plan("adam", "sgd", out=folder, **options)
    return asked.run(planned, 1, seen.append), [e for e in seen if isinstance(e, events.Trained) and not e.recorded]


@pytest.fixture
def finished(tmp_path):
    return run(tmp_path / "run", replicates=3)[0]


def test_more_replicates_keep_all_members_and_the_first_verdict(finished):
    folder, first = finished.folder, finished.content["verdicts"][0]
    before = {p.name: (p.stat().st_ino, p.read_bytes()) for p in folder.glob("members/*")}
    kept = (folder / "result.json").read_bytes()
    longer, trained = run(folder, replicates=5)
    assert {n: (s.stat().st_ino, s.read_bytes()) for n in before for s in [folder / "members" / n]} == before
    assert sum(e.members for e in trained) == 2 * 2 * (2 + 2)
    (verdict,) = longer.verdicts
    assert verdict.replicates == 5
    assert verdict.sentence.startswith("Exploratory, for 3 replicates were planned")
    assert first["outcome"] in verdict.sentence
    assert verdict.details.exploratory is True
    assert longer.content["earlier"] == [first]
    assert (folder / "earlier" / "3" / "result.json").read_bytes() == kept
    assert list(verify.faults(folder)) == []
    # the interval is that of five replicates planned from the start
    fresh = run(folder.parent / "fresh", replicates=5)[0].verdicts[0]
    assert (verdict.ci_low, verdict.ci_high, verdict.outcome) == (fresh.ci_low, fresh.ci_high, fresh.outcome)
    assert "Exploratory" not in fresh.sentence
    # and again: nothing left to do; longer still: two earlier verdicts
    again, trained = run(folder, replicates=5)
    assert again.content == longer.content
    assert not trained
    longest = run(folder, replicates=6)[0]
    assert [v["replicates"] for v in longest.content["earlier"]] == [3, 5]
    assert list(verify.faults(folder)) == []


def test_an_earlier_answer_that_was_changed_is_found(finished):
    folder = run(finished.folder, replicates=5)[0].folder
    first = folder / "earlier" / "3" / "result.json"
    content = json.loads(first.read_text())
    content["verdicts"][0]["ci_low"] += 0.001
    first.write_text(json.dumps(content))
    manifest.seal(folder)  # as somebody would who wants it to be believed
    assert list(verify.faults(folder)) == ["earlier/3/result.json: verdicts is not what the members give"]


def test_a_change_of_anything_else_is_another_plan(finished, tmp_path):
    for options in ({"replicates": 5, "trials": 3}, {"replicates": 2}, {"replicates": 5, "seed": 1}, {"looks": "6,8"}):
        with pytest.raises(UsageError, match="holds another plan"):
            run(finished.folder, **options)
    (finished.folder / "result.json").unlink()
    with pytest.raises(UsageError, match="holds another plan"):  # unfinished: nothing to lengthen
        run(finished.folder, replicates=5)


def test_killed_while_it_is_lengthened(finished, monkeypatch):
    from assay.record import extend as longer

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(longer.manifest, "unseal", killed)
    planned = asked.job("adam", "sgd", task=tiny.task(), **SMALL, replicates=4, out=finished.folder)
    found = longer.longer_plan(finished.folder, planned.science)
    assert found is not None
    with pytest.raises(KeyboardInterrupt):
        longer.begin(longer.RunFolder(finished.folder, found))
    monkeypatch.undo()
    assert run(finished.folder, replicates=4)[0].content["earlier"] == finished.content["verdicts"]


def test_by_default_the_finished_record_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run(None, replicates=2)[0]
    longer = run(None, replicates=3)[0]
    assert longer.folder == first.folder
    assert run(None, replicates=3)[0].content == longer.content
    assert len(os.listdir("assay-runs")) == 1


def test_planned_looks_end_it_where_the_answer_is_clear_and_go_on_where_not(tmp_path):
    clear, _ = run(tmp_path / "clear", looks="6,8", task=tiny.task(margin=50.0))
    (verdict,) = clear.verdicts
    assert verdict.replicates == 6
    assert verdict.outcome in ("equivalent", "negligible")
    assert "look 1 of the 2 that were planned, at 6, 8 replicates" in verdict.sentence
    assert not list(verify.faults(clear.folder))
    unclear, _ = run(tmp_path / "unclear", looks=[6, 8], margin=1e-6, space=["sgd.lr=1e-3..1e-2:log"])
    (verdict,) = unclear.verdicts
    assert verdict.details.level == 0.95
    found = looks.look_interval(verdict_differences(verdict), (6, 8), 0.05)
    assert (verdict.ci_low, verdict.ci_high) == (found.low, found.high)
    assert not list(verify.faults(unclear.folder))
    whole = json.loads((unclear.folder / "result.json").read_text())
    assert whole["ledger"]["adam"]["final"]["trainings"] == verdict.replicates * 2


def verdict_differences(verdict):
    import numpy as np

    return np.array(verdict.details.differences)


@pytest.mark.parametrize("looks", ["12", "5,7", "7,7", "8,7", "a,b", "", [3, None]])
def test_looks_that_are_none(looks):
    with pytest.raises(UsageError, match="looks"):
        asked.plan("adam", "sgd", task=tiny.task(), looks=looks)


def test_looks_need_generated_data_and_no_other_number():
    with pytest.raises(UsageError, match="fixed data"):
        asked.plan("adam", "sgd", task=tiny.task(generated=False), looks="2,4", protocol="honest-1")
    with pytest.raises(UsageError, match="leave it out"):
        asked.plan("adam", "sgd", task=tiny.task(), looks="6,8", replicates=3)
    with pytest.raises(UsageError, match="published"):
        asked.plan("adam", "sgd", task=tiny.task(), looks="2,4", protocol="published")
    assert most_replicates(asked.job("adam", "sgd", task=tiny.task(), looks="6,8").science.protocol) == 8
