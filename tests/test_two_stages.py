"""`--replicates auto` through the whole job: how many replicates there are follows from the record, and from nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from assay import events
from assay.core import Plan, canonical
from assay.driver.compare import Result
from assay.driver.verify import faults
from assay.errors import Interrupted, UsageError
from assay.record import RunFolder
from assay.report.command import command
from assay.training.numerics import loop_here

from . import asked, tiny

SPACE = ["adam.lr=1e-4..0.1:log", "sgd.lr=1e-4..0.1:log"]
SMALL = {"trials": 2, "final_seeds": 1, "engine": "loop", "space": SPACE}


def run(
    folder: Path, replicates="auto:14", margin=0.02, workers=1, on_event: events.OnEvent = events.ignore, **options
):
    given = {"task": tiny.task(margin=margin), "replicates": replicates, **SMALL, **options}
    return asked.run(asked.plan("adam", "sgd", out=folder, **given), workers, on_event)


@pytest.fixture(scope="module")
def bound(tmp_path_factory) -> Result:
    """Replicates that spread far more than the margin: the maximum binds."""
    return run(tmp_path_factory.mktemp("bound") / "run", workers=2)


def test_the_first_spread_decides_and_the_interval_keeps_it(bound):
    (verdict,) = bound.verdicts
    differences = np.array(verdict.details.differences)
    assert verdict.replicates == len(differences) == 14
    s1, t = differences[:12].std(ddof=1), stats.t.ppf(0.975, 11)
    wanted = int(np.ceil((2 * t * s1 / 0.02) ** 2))
    assert verdict.details.replicates_asked == wanted > 14
    assert verdict.ci_low == pytest.approx(differences.mean() - t * s1 / np.sqrt(14))
    assert verdict.ci_high == pytest.approx(differences.mean() + t * s1 / np.sqrt(14))
    assert f"The spread of the first 12 asked for {wanted:,} replicates" in verdict.sentence
    assert "the maximum of 14 bound it" in verdict.sentence
    if verdict.outcome == "inconclusive":
        assert f"--replicates auto:{wanted} would" in verdict.sentence
    assert len(bound.frame()) == 2 * 14 * 3
    assert not list(faults(bound.folder))
    assert (
        "14 (as many as the spread of the first 12 asks for, 14 at most)" in (bound.folder / "report.html").read_text()
    )


def test_as_many_as_asked_for_and_no_more(bound, tmp_path):
    """With a margin that asks for 13, 13 are made; with a wide one the first stage is all. Their members are the same."""
    differences = np.array(bound.verdicts[0].details.differences)[:12]
    t, s1 = stats.t.ppf(0.975, 11), differences.std(ddof=1)
    for wanted, words in ((13, "asked for 13 replicates, for an interval no wider"), (12, "asked for no more of them")):
        margin = float(2 * t * s1 / np.sqrt(wanted - 0.5))
        folder = tmp_path / str(wanted)
        found = run(folder, "auto", margin)
        assert found.verdicts[0].replicates == wanted
        assert words in found.verdicts[0].sentence
        assert found.verdicts[0].outcome != "inconclusive"  # what the second stage is for
        assert found.verdicts[0].details.differences[:12] == list(differences)
        assert not list(faults(folder))
    # one stage of 12 gives the same interval as two whose first was enough
    plain = run(tmp_path / "plain", 12, margin)
    assert (plain.verdicts[0].ci_low, plain.verdicts[0].ci_high) == (
        found.verdicts[0].ci_low,
        found.verdicts[0].ci_high,
    )


def test_the_difference_does_not_decide(bound):
    """The same spread about another mean asks for the same number."""
    from assay.judge import two_stage

    differences = np.array(bound.verdicts[0].details.differences)
    assert two_stage.asked([differences], 12, 0.02, 0.05) == two_stage.asked([differences + 10], 12, 0.02, 0.05)
    later = np.concatenate([differences[:12], 1000 * differences[12:]])
    assert two_stage.asked([later], 12, 0.02, 0.05) == two_stage.asked([differences], 12, 0.02, 0.05)


@pytest.mark.parametrize("after", [10, 75])
def test_stopped_in_either_stage_it_goes_on_to_the_same_result(bound, tmp_path, after):
    folder, trained = tmp_path / "run", 0

    def stop(event: events.Event) -> None:
        nonlocal trained
        trained += isinstance(event, events.Trained)
        if trained == after:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(folder, on_event=stop)
    assert run(folder).content == bound.content
    seen: list[events.Event] = []
    assert run(folder, on_event=seen.append).content == bound.content
    assert all(e.recorded for e in seen if isinstance(e, events.Trained))


def test_controls_go_with_it(bound, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(bound.folder, folder)
    result = run(folder, controls=True)
    assert {**result.content, "controls": []} == {**bound.content, "controls": []}
    assert all(len(c["differences"]) == 14 for c in result.controls)
    (again,) = [c for c in result.controls if c["control"] == "again"]
    differences = np.array(again["differences"])
    half = stats.t.ppf(0.975, 11) * differences[:12].std(ddof=1) / np.sqrt(14)
    assert again["ci_high"] - again["ci_low"] == pytest.approx(2 * half)
    assert not list(faults(folder))


def test_the_plan_is_frozen_before_anything_is_trained(bound):
    science = RunFolder.open(bound.folder).plan.science
    assert science.protocol.replicates == 12
    assert science.plan_hash == bound.content["plan_hash"]
    plain = asked.job("adam", "sgd", task=tiny.task(), replicates=12, **SMALL)
    assert b"stages" not in canonical(plain.science)
    words = command(RunFolder.open(bound.folder).plan)
    assert words is None  # a task made in Python; but for the rest of it:
    by_spread = asked.job("adam", "sgd", replicates="auto")

    words = command(Plan(by_spread.science, (loop_here(),) * 2))
    assert words is not None
    assert words[words.index("--replicates") + 1] == "auto:48"


def test_the_estimate_says_what_it_may_come_to(task):
    from assay.driver.estimate import estimate, sentence

    planned = asked.job("adam", "sgd", task=task, replicates="auto:24", space=SPACE)
    found = estimate(planned.science, task, 100, 0.001, 2)
    assert (found.trainings, found.most) == (2 * 12 * 22, 2 * 24 * 22)
    assert any("24 at most (1056 trainings)" in line for line in sentence(found, planned.science))
    no_room = asked.job("adam", "sgd", task=task, replicates="auto:12").science
    said = "\n".join(sentence(estimate(no_room, task, 100, 0.001, 2), no_room))
    assert "that is for 12 replicates, which are the maximum, too" in said
    assert "None" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replicates": "auto:8"}, "the first of the two stages alone has 12"),
        ({"replicates": "auto:many"}, "auto:48"),
        ({"replicates": "automatic"}, "write a number, auto"),
        ({"replicates": "auto", "protocol": "published"}, "the published protocol has 1"),
        ({"replicates": "auto:1000000"}, "--replicates auto:1000000: 10,000 are the most that can be planned"),
        ({"replicates": 10_001}, "--replicates 10001: 10,000 are the most that can be planned"),
        ({"looks": "12,10001"}, "--looks 12,10001: 10,000 replicates are the most that can be planned"),
        ({"replicates": "0"}, "--replicates 0: it must be 1 at least"),
    ],
)
def test_a_budget_too_small_for_two_stages_and_nonsense_are_refused(options, words):
    with pytest.raises(UsageError) as caught:
        asked.plan("adam", "sgd", task=tiny.task(), **options)
    assert words in str(caught.value)


def test_a_number_as_a_word_is_a_number():
    by_word, by_number = (asked.job("adam", "sgd", task=tiny.task(), replicates=k).science for k in ("5", 5))
    assert by_word.plan_hash == by_number.plan_hash


def test_across_tasks_every_replicate_that_was_made_counts(tmp_path):
    """…and where a choice lies is seen in the range that its pilot found, as in the task's own verdict."""
    tasks = [tiny.task(name="wide", margin=0.02), tiny.task(name="narrow", margin=10.0, family="others")]
    given = {**SMALL, "space": (), "trials": 3, "task": tasks, "replicates": "auto:14", "out": tmp_path / "run"}
    found = asked.run(asked.plan("adam", "sgd", **given), 1, events.ignore)
    assert [task["replicates"] for task in found.content["tasks"]] == [14, 12]
    for task in found.content["tasks"]:
        own = json.loads((tmp_path / "run" / task["name"] / "result.json").read_text())["verdicts"][0]
        cell = next(c for c in found.content["verdicts"][0]["tasks"] if c["task"] == task["name"])
        assert cell["difference"] * task["margin"] == pytest.approx(own["difference"])
        for who in ("baseline", "candidate"):
            mine = own["details"][who]
            assert task["contenders"][mine["name"]]["edges"] == mine["edges"]
    assert not list(faults(tmp_path / "run"))
