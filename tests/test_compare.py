"""The main job on a task of a second: what it answers, and that the answer depends on nothing it should not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assay import events
from assay.core import Splits
from assay.errors import NoVerdict, UsageError

from . import asked, tiny

SMALL = {"trials": 3, "replicates": 3, "final_seeds": 2}
ROOT = Path(__file__).parents[1]


def run(tmp_path: Path, *contenders: str, workers: int = 1, name: str = "run", **options):
    options = {"task": tiny.task(), "protocol": "honest", **SMALL, **options}
    if options["protocol"] == "published":
        options = {k: v for k, v in options.items() if k not in ("replicates", "final_seeds")}
    return asked.run(asked.plan(*(contenders or ("adam", "sgd")), out=tmp_path / name, **options), workers)


def test_one_and_two_workers_give_the_same_result(tmp_path):
    one = run(tmp_path, workers=1, name="one")
    two = run(tmp_path, workers=2, name="two")
    assert (one.folder / "result.json").read_bytes() == (two.folder / "result.json").read_bytes()
    assert one.verdicts[0].replicates == 3
    assert one.verdicts[0].outcome in ("better", "worse", "equivalent", "negligible", "inconclusive")
    assert len(one.frame().filter(pl.col("phase") != "pilot")) == 2 * 3 * (3 + 2)
    # and what is finished is not trained again
    seen: list[events.Event] = []
    again = asked.run(
        asked.plan("adam", "sgd", task=tiny.task(), protocol="honest", **SMALL, out=one.folder), 1, seen.append
    )
    assert again.content == one.content
    assert not [e for e in seen if isinstance(e, events.Trained)]
    assert [e for e in seen if isinstance(e, events.FromRecord)]


@pytest.mark.parametrize("protocol", [pytest.param("published", marks=pytest.mark.whole), "honest"])
def test_killed_and_started_again_gives_the_same_result_and_repeats_nothing(tmp_path, protocol):
    command = [
        sys.executable,
        "-m",
        "assay",
        "run",
        "adam",
        "sgd",
        "--task",
        "tests/tiny.py:task",
        "--protocol",
        protocol,
    ]
    command += ["--epochs", "30", "--workers", "2", "--quiet"]
    if protocol == "published":
        command += ["--trials", "8"]
    else:
        command += ["--replicates", "2", "--final-seeds", "2", "--trials", "4"]
        # Without pilots, which take the most
        command += ["--space", "adam.lr=1e-3..0.1:log", "--space", "sgd.lr=1e-2..1:log"]
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    subprocess.run([*command, "--out", str(whole)], check=True, cwd=ROOT, capture_output=True)

    started = subprocess.Popen([*command, "--out", str(torn)], cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(torn.glob("members/*.parquet"))) < 5 and started.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    finished = {p.name: (p.stat().st_ino, p.read_bytes()) for p in torn.glob("members/*.parquet")}
    assert len(finished) >= 5
    assert not (torn / "result.json").exists()

    subprocess.run([*command, "--out", str(torn)], check=True, cwd=ROOT, capture_output=True)
    assert (torn / "result.json").read_bytes() == (whole / "result.json").read_bytes()
    assert finished == {
        name: ((torn / "members" / name).stat().st_ino, (torn / "members" / name).read_bytes()) for name in finished
    }
    assert sorted(p.name for p in torn.glob("members/*")) == sorted(p.name for p in whole.glob("members/*"))


def test_published_tunes_on_the_test_split_from_one_initial_weight_vector(tmp_path):
    result = run(tmp_path, protocol="published", trials=4)
    (verdict,) = result.verdicts
    assert verdict.outcome == "inconclusive"
    assert verdict.published_conclusion in ("supported", "not supported")
    assert (verdict.ci_low, verdict.ci_high, verdict.p_value) == (None, None, None)
    frame = result.frame()
    assert len(frame) == 2 * (4 + 1)
    assert frame["init"].n_unique() == 1
    assert frame["split"].n_unique() == 1
    finals = frame.filter(frame["phase"] == "final")
    assert finals["test"].to_list() == finals["validation"].to_list()
    for name in ("adam", "sgd"):
        trials = frame.filter((frame["phase"] == "tune") & (frame["contender"] == name))
        best = trials["validation"].list.last().arg_max()
        assert best is not None
        assert result.content["contenders"][name]["hyperparameters"] == json.loads(trials["hyperparameters"][best])


def test_published_start_up_trials_train_as_one_population(tmp_path):
    loop = run(tmp_path, protocol="published", trials=12, name="loop", engine="loop")
    together = run(tmp_path, protocol="published", trials=12, name="together", engine="vectorized", compile="off")
    numerics = json.loads((together.folder / "plan.json").read_bytes())["numerics"]
    assert [(n["engine"], n["width"]) for n in numerics] == [("vectorized", 10)] * 2
    chunks = [pl.read_parquet(f) for f in (together.folder / "members").glob("*.parquet")]
    assert sorted(len(c) for c in chunks) == [1] * 6 + [10] * 2  # two trials and the final run of each come alone
    one, other = (
        r.frame().filter(pl.col("index") < 10, pl.col("phase") == "tune").sort("slot", "index")
        for r in (loop, together)
    )
    assert one["hyperparameters"].to_list() == other["hyperparameters"].to_list()
    np.testing.assert_allclose(np.stack(one["grad_norm"]), np.stack(other["grad_norm"]), rtol=1e-4)


def test_contenders_share_data_weights_and_batches_within_a_replicate(tmp_path):
    frame = run(tmp_path, "adam", "sgd", "rmsprop").frame().filter(pl.col("phase") != "pilot")
    for _, rows in frame.group_by("replicate", "phase", "index"):
        assert len(rows) == 3
        for seed in ("split", "init", "batches", "noise", "digest"):
            assert rows[seed].n_unique() == 1
    assert frame.group_by("replicate").agg(frame["digest"].n_unique())["replicate"].len() == 3
    assert frame["digest"].n_unique() == 3


@pytest.mark.parametrize("protocol", ["honest", pytest.param("honest-1", marks=pytest.mark.whole)])
def test_luck_in_validation_does_not_reach_the_verdict(tmp_path, protocol):
    """One optimizer under two names, tuned on coin flips: the luck shows as winner's curse, and in no verdict.

    A smooth curve through all trials, by which the second edition chooses, promises little.
    """
    space = ["one.lr=1e-4..0.1:log", "two.lr=1e-4..0.1:log"]  # a pilot's luck would be that of all replicates
    asked_for = {"replicates": 6, "trials": 8, "protocol": protocol, "space": space, "engine": "loop", "final_seeds": 6}
    result = run(tmp_path, "one=adam", "two=adam", task=tiny.task(data=tiny.lucky), **asked_for)
    (verdict,) = result.verdicts
    curse = (
        verdict.details.candidate.winners_curse_validation,
        verdict.details.baseline.winners_curse_validation,
    )
    if protocol == "honest-1":
        assert max(curse) > 0.02  # what the best of eight lucky trials loses when it is trained afresh
    assert verdict.outcome not in ("better", "worse")
    assert verdict.ci_low is not None
    assert verdict.ci_high is not None
    assert verdict.ci_low <= 0 <= verdict.ci_high


def without_validation(seed: int) -> Splits:
    return replace(tiny.clouds(seed), validation=None)


def test_a_task_without_a_validation_split_is_no_honest_one(tmp_path):
    with pytest.raises(UsageError, match="no validation split"):
        run(tmp_path, task=tiny.task(data=without_validation))
    assert run(tmp_path, task=tiny.task(data=without_validation), protocol="published", name="p").verdicts


def test_one_replicate_has_no_interval(tmp_path):
    (verdict,) = run(tmp_path, replicates=1).verdicts
    assert verdict.outcome == "inconclusive"
    assert verdict.ci_low is None
    assert "no interval" in verdict.sentence


def test_an_arm_that_always_diverges_loses_unless_its_range_explains_it_and_two_have_no_verdict(tmp_path):
    with np.errstate(over="ignore"):
        (verdict,) = run(tmp_path, space=["sgd.lr=1e30..1e35:log"]).verdicts
        assert (verdict.outcome, verdict.details.held_back) == ("inconclusive", "worse")
        assert "the range that sgd was tuned over may be why it is worse" in verdict.sentence
        assert "6 of sgd and none of adam diverged" in verdict.sentence
        with pytest.raises(NoVerdict, match="diverged"):
            run(tmp_path, "a=sgd", "b=sgd", space=["a.lr=1e30..1e35:log", "b.lr=1e30..1e35:log"], name="both")


def test_different_numbers_of_hyperparameters_are_said(tmp_path):
    (verdict,) = run(tmp_path, space=["sgd.momentum=0..0.9"]).verdicts
    assert "2 hyperparameters" in verdict.sentence


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 0}, "--trials 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"epochs": 10**20}, "--epochs 100000000000000000000: it must be 1 at least, and 1,000,000,000 at most"),
        (
            {"trials": 10**11},
            "--trials 100000000000 and --final-seeds 12: 2,800,000,000,336 trainings, and 1,000,000,000 are the",
        ),
        ({"margin": 0.0}, "--margin"),
        ({"margin": -1.0}, "--margin"),
        ({"margin": float("nan")}, "--margin"),
        ({"protocol": "published", "replicates": 5}, "--replicates 5"),
        ({"protocol": "fair"}, "no protocol"),
        ({"engine": "warp"}, "no engine"),
        ({"task": "mnist"}, "did you mean mnist1d-mlp"),
        ({"device": "tpu"}, "device"),
    ],
)
def test_wrong_ranges_and_names_are_refused_before_any_work(options, words):
    with pytest.raises(UsageError) as caught:
        asked.plan("adam", "sgd", **options)
    assert words in str(caught.value)


class Breaks:
    def __init__(self, params, lr=0.1):
        self.param_groups = [{"params": list(params), "lr": lr}]

    def step(self):
        raise RuntimeError("not today")


def test_a_contender_that_raises_is_named_and_what_was_finished_stays(tmp_path):
    from assay.contenders.adapt import adapt

    breaks = replace(adapt(Breaks, "breaks"), source="test")
    with pytest.raises(UsageError) as caught:
        run(tmp_path, "adam", breaks)  # type: ignore[arg-type]
    assert "breaks fails while it trains: RuntimeError: not today" in str(caught.value)
    assert 'raise RuntimeError("not today")' in str(caught.value)


def always_the_same(seed: int) -> Splits:
    return tiny.clouds(0)


def test_generated_data_that_ignores_its_seed_is_refused(tmp_path):
    with pytest.raises(UsageError, match="gives two replicates the same"):
        run(tmp_path, task=tiny.task(data=always_the_same))
