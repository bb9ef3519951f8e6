"""The honest protocol, in its second edition: pilots find ranges, trials go by rounds, a process chooses."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from msgspec.structs import replace

import assay
from assay.cli.status import status
from assay.core import PILOT, Contender
from assay.driver import verify
from assay.errors import UsageError
from assay.judge import pilot
from assay.record import RunFolder
from assay.report import tuning
from assay.report.command import command
from assay.report.reading import read
from assay.report.style import drawing
from assay.space import Float

from . import asked, tiny

LR = Float(1e-3, 1e-1, log=True)
OPTIONS = {"protocol": "honest", "trials": 6, "replicates": 3, "final_seeds": 2, "engine": "loop"}


def question(out, *names, **changes):
    return asked.plan(*(names or ("adam", "sgd")), out=out, **{"task": tiny.task(), **OPTIONS, **changes})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("assay.judge.pilot.TRIALS", 6)
        return asked.run(question(tmp_path_factory.mktemp("second") / "run"), 1)


def test_it_is_sound_and_says_what_it_did(whole):
    assert list(verify.faults(whole.folder)) == []
    plan = json.loads((whole.folder / "plan.json").read_text())
    assert plan["version"] == 3
    protocol = plan["science"]["protocol"]
    assert (protocol["name"], protocol["edition"], protocol["pilot"]) == ("honest", 2, 6)
    assert [c["space"]["lr"]["low"] for c in plan["science"]["contenders"]] == [1e-6, 1e-6]
    frame = whole.frame()
    for slot in (0, 1):
        trials = frame.filter(pl.col("slot") == slot, pl.col("phase") == "tune")
        rates = [json.loads(text)["lr"] for text in trials["hyperparameters"]]
        assert max(rates) / min(rates) <= 10**1.5 * 1.02


def test_more_replicates_than_make_up_for_a_pilots_luck_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.judge.pilot.TRIALS", 6)
    many = asked.plan(
        "adam",
        "sgd",
        out=tmp_path / "run",
        task=tiny.task(),
        **{**OPTIONS, "replicates": 15, "trials": 2, "final_seeds": 1},
    )
    said = " All 15 replicates searched the ranges that pilots found for adam and sgd, whose luck they share"
    assert said in asked.run(many, 1).verdicts[0].sentence
    options = {"task": "logistic", "engine": "loop", "quiet": True}
    warned = "20 replicates share the range that a pilot finds"
    one = str(assay.plan("adam", "sgd", replicates="auto:20", space=["adam.lr=1e-3..1e-1:log"], **options))
    assert f"warning: up to {warned}" in one
    assert "give sgd a range, as in --space sgd.lr=LOW..HIGH:log" in one
    assert warned not in str(assay.plan("adam", "sgd", replicates=14, **options))
    given = [f"{name}.lr=1e-3..1e-1:log" for name in ("adam", "sgd")]
    assert warned not in str(assay.plan("adam", "sgd", replicates=20, space=given, **options))


def test_with_a_population_it_is_sound_too(tmp_path):
    result = asked.run(question(tmp_path / "run", engine="vectorized", compile="off", replicates=2, trials=3), 1)
    assert list(verify.faults(result.folder)) == []


def test_its_pilots_are_told_of_and_counted(whole, capsys):
    for name, found in whole.content["contenders"].items():  # 6, and 2 that they go on to
        rates = whole.frame().filter(pl.col("contender") == name, pl.col("phase") == "pilot")
        told, spent = found["pilot"], whole.content["ledger"][name]["pilot"]
        assert (told["trials"], spent["trainings"]) == (len(rates), len(rates))
        assert spent["gradient_evaluations"] == rates["gradient_evaluations"].sum() > 0
        assert told["lr"][1] / told["lr"][0] == pytest.approx(10**1.5, rel=0.02)
    status(whole.folder)
    assert "8 trials of its pilot, 18 of 18 trials, 6 of 6 final runs" in capsys.readouterr().out
    page = " ".join((whole.folder / "report.html").read_text().split())
    assert "8 pilot, 18 tuning, 6 final" in page
    assert "How the ranges were found" in page
    assert (whole.folder / "pilot.png").exists()


def test_its_figures_show_what_was_chosen_and_the_curve_it_was_chosen_by(whole):
    reading = read(whole.folder)
    with drawing():
        (card,) = tuning.pilots(reading)
        axes = card.figure.axes[0]
    for arm in reading.arms:
        own = [line for line in axes.lines if line.get_color() == arm.look.colour and len(line.get_xdata()) > 100]
        (curve,) = own
        study = reading.pilots[arm.slot]
        at = np.argmax(curve.get_ydata())
        assert np.log10(curve.get_xdata()[at] / study.choice["lr"]) == pytest.approx(0, abs=0.1)
        assert curve.get_ydata()[at] == pytest.approx(reading.units.scale * study.promised, rel=1e-3)


def test_its_report_asks_the_same_question_again(whole):
    """Not the one that its pilots came to, nor by the first edition."""
    plan = read(whole.folder).plan
    named = replace(plan, science=replace(plan.science, task=replace(plan.science.task, reference="logistic")))
    words = command(named)
    assert words is not None
    assert words[words.index("--protocol") + 1] == "honest"
    assert "--space" not in words
    page = " ".join((whole.folder / "report.html").read_text().split())
    assert "clouds · honest protocol" in page
    assert "data of the pilots" in page
    assert "lr as its pilot found it (6 trials at first)" in page


def test_no_replicate_has_the_data_of_a_pilot(whole):
    seen = whole.frame().select("replicate", "split", "digest").unique()
    assert sorted(seen["replicate"]) == [PILOT, 0, 1, 2]
    assert seen["digest"].n_unique() == seen["split"].n_unique() == 4


def test_its_final_runs_are_where_the_process_has_its_maximum(whole):
    for name, found in whole.content["contenders"].items():
        trials = whole.frame().filter(pl.col("contender") == name, pl.col("phase") == "tune")
        tried = {json.loads(text)["lr"] for text in trials["hyperparameters"]}
        assert not tried & {chosen["lr"] for chosen in found["chosen"]}  # no trial's


def test_begun_again_and_with_more_workers_it_is_the_same(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(pilot, "TRIALS", 6)
    shutil.copytree(whole.folder, tmp_path / "run")
    for path in sorted((tmp_path / "run" / "members").glob("*.parquet"))[::2]:
        path.unlink()
    (tmp_path / "run" / "result.json").unlink()
    again = asked.run(question(tmp_path / "run"), 2)
    assert again.content == whole.content
    assert again.frame().drop("seconds").equals(whole.frame().drop("seconds"))


def test_a_rigged_pilot_is_found(whole, tmp_path, monkeypatch):
    from assay import seeds

    own = seeds.design
    monkeypatch.setattr(
        seeds, "design", lambda root, k, part, slot, entry: own(root, k, part, slot, entry) + (slot == 0)
    )
    rigged = asked.run(question(tmp_path / "run"), 1)
    monkeypatch.setattr(seeds, "design", own)
    told = list(verify.faults(rigged.folder))
    assert any(line.startswith("adam: the trials of its pilot are not") for line in told)
    assert not any(line.startswith("sgd") for line in told)


def test_whoever_gives_a_range_has_no_pilot(tmp_path):
    spaces = [f"{name}.lr=1e-3..1e-1:log" for name in ("adam", "sgd")]
    result = asked.run(question(tmp_path / "run", space=spaces, trials=3), 1)
    assert set(result.frame()["phase"]) == {"tune", "final"}
    assert "pilot" not in json.loads((result.folder / "plan.json").read_text())["science"]["protocol"]
    one = asked.run(question(tmp_path / "one", space=spaces[:1], trials=3), 1)
    assert set(one.frame().filter(pl.col("phase") == "pilot")["contender"]) == {"sgd"}


class Diverging(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.fill_(math.nan)


def test_a_pilot_that_sees_nothing_finite_is_one_line(tmp_path):
    with pytest.raises(
        UsageError, match=r"Diverging diverged in every trial of its pilot, lr in 1e-06\.\.1:log: give a range"
    ):
        asked.run(question(tmp_path / "run", "adam", Diverging), 1)


class Hundredth(torch.optim.Adam):
    """Its rates are a hundred times as large as Adam's, and its default says nothing of it."""

    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=lr / 100)


class Nameless(torch.optim.Adam):
    """Without a default."""

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)


@pytest.mark.parametrize(("kind", "best"), [(Hundredth, 100.0), (Nameless, 1.0)])
def test_an_optimum_far_from_the_default_is_found(tmp_path, monkeypatch, kind, best):
    monkeypatch.setattr(pilot, "TRIALS", 18)
    task = tiny.task(epochs=6)
    result = asked.run(question(tmp_path / "run", "adam", kind, task=task, trials=9), 1)
    rates = [c["hyperparameters"]["lr"] for c in result.content["contenders"].values()]
    assert 0.1 < rates[1] / (best * rates[0]) < 10
    assert abs(result.verdicts[0].difference) < 0.1


def test_its_plan_is_read_by_no_earlier_assay_and_others_are_as_before(whole, tmp_path):
    first = asked.run(question(tmp_path / "run", protocol="honest-1", trials=2), 1)
    plan = json.loads((first.folder / "plan.json").read_text())
    assert plan["version"] == 2
    assert not {"edition", "pilot"} & plan["science"]["protocol"].keys()
    assert "pilot" not in plan["science"]["contenders"][0]
    forged = tmp_path / "forged"
    shutil.copytree(whole.folder, forged)
    changed = json.loads((forged / "plan.json").read_text()) | {"version": 2}
    (forged / "plan.json").write_text(json.dumps(changed))
    with pytest.raises(UsageError, match="an edition of another version"):
        RunFolder.open(forged)


def test_what_stands_in_a_tuple_is_tuned_on_a_scale_of_its_own(tmp_path):
    """Its name comes before lr's, in which order the plan counts places: trials were refined where they should not be."""
    names = ("adam", Contender("mine", _adam_with, {"lr": LR, "beta2": Float(0.9, 0.9999, scale="1-log")}))
    results = [
        asked.run(question(tmp_path / engine, *names, engine=engine, compile="off", space="adam.lr=1e-3..1e-1:log"), 1)
        for engine in ("loop", "vectorized")
    ]
    for result in results:
        assert list(verify.faults(result.folder)) == []
        tried = result.frame().filter(pl.col("slot") == 1, pl.col("phase") == "tune", pl.col("replicate") == 0)
        left = sorted(-math.log10(1 - json.loads(text)["beta2"]) for text in tried["hyperparameters"])
        first = [round((x - 1) * 4 / 3) for x in left]
        assert len(set(first)) >= 3  # over the decades, and not all near the upper end
    assert results[0].content["contenders"]["mine"]["chosen"] == results[1].content["contenders"]["mine"]["chosen"]
    page = (results[0].folder / "report.html").read_text()
    assert "0.9..0.9999:1-log" in page


def test_the_first_editions_sampler_has_no_such_scale(tmp_path):
    mine = Contender("mine", _adam_with, {"lr": LR, "beta2": Float(0.9, 0.9999, scale="1-log")})
    with pytest.raises(UsageError, match="use --protocol honest"):
        question(tmp_path / "run", "adam", mine, protocol="honest-1")
    with pytest.raises(UsageError, match=r"mine\.beta2=0\.9\.\.0\.9999:1-log: the published"):
        question(tmp_path / "run", "adam", mine, protocol="published", replicates=None, final_seeds=None)


def _adam_with(model, run, lr, beta2):
    return torch.optim.Adam(model.parameters(), lr=lr, betas=(0.9, beta2))


def test_weight_decay_is_tuned_besides_for_a_word(tmp_path):
    planned = question(tmp_path / "run", "adam", "adamw", tune="lr,weight_decay", trials=None).jobs[0].science
    assert [sorted(c.space) for c in planned.contenders] == [["lr", "weight_decay"]] * 2
    assert planned.protocol.trials == 20  # twice as many where two are tuned


def test_a_plan_says_how_many_trials_and_why_and_whose_range_is_found():
    options = {"task": "logistic", "engine": "loop", "quiet": True}
    one = str(assay.plan("adam", "sgd", **options))
    assert (
        f"each contender, in each of 14 replicates: 10 trials, and 12 final runs; 2 pilots of {pilot.trials(1)} trials or more"
        in one
    )
    assert "tunes lr where its pilot finds it, in 1e-06..1:log" in one
    assert "the range of" not in one
    many = str(assay.plan("adamw", "sgd", tune="weight_decay,momentum,beta1", **options))
    assert "20 trials, for up to 3 hyperparameters are tuned" in many
    assert f"2 pilots of {2 * pilot.trials(1)} trials or more" in many
    unlike = str(assay.plan("adam", "sgd", space=["adam.lr=1e-3..1e-1:log"], **options))
    assert "the range of adam was given, that of the others is found by a pilot, 1.5 decades wide" in unlike
    assert f"1 pilot of {pilot.trials(1)} trials" in unlike
