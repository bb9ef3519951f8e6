"""--speedup as users ask for it: rungs beside the question, which stays as it is; resumed, verified, refused, drawn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.stats

import assay
from assay.cli import call
from assay.driver import verify
from assay.driver.retrain import retrain
from assay.errors import UsageError
from assay.ladder.judged import reserved, with_speedups
from assay.ladder.plan import lengths
from assay.record import RunFolder
from assay.report.ladder import said
from assay.report.paper import write
from assay.report.units import number

from . import asked, tiny

SMALL = {"trials": 3, "replicates": 5, "final_seeds": 2, "engine": "loop", "quiet": True}
ARGUMENTS = [
    "--trials",
    "3",
    "--replicates",
    "5",
    "--final-seeds",
    "2",
    "--engine",
    "loop",
    "--workers",
    "1",
    "--quiet",
]
RANGES = ["adam.lr=1e-4..0.03:log", "sgd.lr=1e-3..1:log"]


def ask(out: Path, **more) -> assay.Result:
    asked = {"task": tiny.task(epochs=4), "space": RANGES, "workers": 1, **SMALL, **more}
    return assay.compare("adam", "sgd", out=out, **asked)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> assay.Result:
    return ask(tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> assay.Result:
    return ask(tmp_path_factory.mktemp("climbed") / "run", speedup=True)


def test_the_question_stays_what_it_was_and_the_verdict_says_what_it_is_worth(plain, climbed):
    before, after = plain.content["verdicts"][0], climbed.content["verdicts"][0]
    for key in ("outcome", "difference", "ci_low", "ci_high", "p_value"):
        assert before[key] == after[key]
    assert after["sentence"].startswith(before["sentence"])
    assert "speedup" not in before
    assert {"speedup", "speedup_low", "speedup_high"} <= after.keys()
    (verdict,) = climbed.verdicts
    assert verdict.details.speedup.shortest <= 1 <= verdict.details.speedup.longest
    names = {p.name for p in (climbed.folder / "speedup").iterdir()}
    assert names >= {"3", "6"}  # 4/√2 and 4·√2
    assert names <= {"1", "2", "3", "6", "8", "11", "16"}
    for folder in ("members", "scores"):
        kept = {p.name for p in (plain.folder / folder).iterdir()}
        assert kept == {p.name for p in (climbed.folder / folder).iterdir()}


def test_rungs_are_what_the_members_say_by_polars_and_scipy(climbed):
    rungs = {r["epochs"]: r for r in climbed.content["ladder"]["rungs"]}
    own = climbed.frame().filter((pl.col("contender") == "adam") & (pl.col("phase") == "final"))
    assert {e for e, r in rungs.items() if not r["trained"]} == {4}  # as planned; no prefix of it is a rung
    mean = own.group_by("replicate").agg(pl.col("test_score").mean()).sort("replicate")["test_score"].to_list()
    assert rungs[4]["scores"] == pytest.approx(mean)
    longer = RunFolder.open(climbed.folder / "speedup" / "6", fewest=1).frame().filter(pl.col("phase") == "final")
    mean = longer.group_by("replicate").agg(pl.col("test_score").mean()).sort("replicate")["test_score"].to_list()
    assert rungs[6]["scores"] == pytest.approx(mean)
    assert rungs[6]["trained"]
    (verdict,) = climbed.verdicts
    gain = scipy.stats.ttest_rel(rungs[6]["scores"], rungs[4]["scores"]).confidence_interval(0.95)
    assert verdict.details.speedup.longer_helps == bool(gain.low > 0)


def test_the_data_of_a_replicate_is_the_same_at_every_length(climbed):
    seen = {row[0]: row[1] for row in climbed.frame().select("replicate", "digest").unique().rows()}
    rung = RunFolder.open(climbed.folder / "speedup" / "6", fewest=1)
    assert {row[0]: row[1] for row in rung.frame().select("replicate", "digest").unique().rows()} == seen
    assert rung.plan.science.task.epochs == 6
    assert [c.name for c in rung.plan.science.contenders] == ["adam"]


def test_one_lies_in_it_where_nought_lies_in_the_interval(climbed):
    (verdict,) = climbed.verdicts
    inside = any(low <= 1 <= high for low, high in verdict.details.speedup.pieces)
    assert inside == (verdict.ci_low <= 0 <= verdict.ci_high)


def test_a_finished_record_gets_a_ladder_and_nothing_else_is_trained(plain, climbed, tmp_path, monkeypatch):
    copy = tmp_path / "run"
    shutil.copytree(plain.folder, copy)
    now = asked.trained(monkeypatch)
    again = ask(copy, speedup=True)
    trained = climbed.content["ladder"]["trainings"]
    assert len(now) == trained  # the loop trains one in a chunk
    assert (copy / "result.json").read_bytes() == (climbed.folder / "result.json").read_bytes()
    now.clear()
    assert "from the record" in ask(copy, speedup=True).recorded
    assert "from the record" in ask(copy).recorded  # which then has it, too
    assert not now
    assert again.content["ladder"] == climbed.content["ladder"]


def test_workers_and_interruptions_change_nothing(climbed, tmp_path):
    assert ask(tmp_path / "two", speedup=True, workers=2).content == climbed.content
    copy = tmp_path / "half"
    shutil.copytree(climbed.folder, copy)
    for name in ("result.json", "manifest.json"):
        (copy / name).unlink()
    for place in ("members", "speedup/6/members"):
        for path in sorted((copy / place).iterdir())[::3]:
            path.unlink()
    assert ask(copy, speedup=True).content == climbed.content


def test_a_baseline_with_a_schedule_is_trained_at_shorter_lengths_too(tmp_path):
    found = ask(tmp_path / "run", speedup=True, schedule="cosine", replicates=3)
    rungs = {r["epochs"]: r["trained"] for r in found.content["ladder"]["rungs"]}
    assert (rungs[3], rungs[4], rungs[6]) == (True, False, True)
    science = RunFolder.open(found.folder).plan.science
    assert [c.schedule for c in science.contenders] == ["cosine", "cosine"]
    assert call(["verify", str(found.folder)]) == 0


def test_so_is_one_that_may_know_how_long_it_is_trained(tmp_path):
    def planned(model, run, lr):
        assert run.total_steps
        return assay.optim.GNSAdam(model.parameters(), lr=lr)

    space = {"lr": assay.Float(1e-4, 0.03, log=True)}
    mine = assay.Contender("planned", planned, space)
    task = tiny.task(epochs=4)
    asked = {**SMALL, "replicates": 2, "trials": 2}
    found = assay.compare(
        mine, "sgd", task=task, space=RANGES[1:], out=tmp_path / "run", speedup=True, workers=1, **asked
    )
    assert {r["epochs"] for r in found.content["ladder"]["rungs"] if r["trained"]} >= {3, 6}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda run: (run / "speedup" / "6" / "members").rename(run / "speedup" / "6" / "gone"),
            "record has none there",
        ),
        (lambda run: shutil.rmtree(run / "speedup" / "6"), "speedup/6/"),
        (lambda run: next((run / "speedup" / "6" / "members").iterdir()).unlink(), "is missing"),
    ],
)
def test_verify_sees_what_is_wrong_with_a_rung(climbed, tmp_path, capsys, change, said):
    copy = tmp_path / "run"
    shutil.copytree(climbed.folder, copy)
    assert call(["verify", str(copy)]) == 0
    change(copy)
    assert call(["verify", str(copy)]) == 1
    told = capsys.readouterr()
    assert said in " ".join((told.out + told.err).split())


def test_forged_ladders_are_named_though_they_are_sealed_again(climbed, tmp_path, capsys):
    from assay.record import manifest

    def forged(name, change) -> str:
        copy = tmp_path / name
        shutil.copytree(climbed.folder, copy)
        change(copy)
        manifest.seal(copy)
        assert call(["verify", str(copy)]) == 1
        told = capsys.readouterr()
        return told.out + told.err

    def verdict(run: Path) -> None:
        content = json.loads((run / "result.json").read_text())
        content["verdicts"][0]["speedup"] = 1.4
        (run / "result.json").write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")

    def seconds(run: Path) -> None:
        timings = json.loads((run / "timings.json").read_text())
        own = {"step_ratio": 1.0, "step_ratio_log_se": 0.01, "speedup": 3.0, "speedup_low": 2.0, "speedup_high": 4.0}
        timings["speedup"] = {"sgd": own}  # of which no speed-up in steps may be known
        (run / "timings.json").write_text(json.dumps(timings, indent=2))

    def plan(run: Path) -> None:
        file = run / "speedup" / "6" / "plan.json"
        file.write_text(file.read_text().replace('"epochs": 6', '"epochs": 7'))

    assert "result.json: verdicts is not what the members give" in forged("verdict", verdict)
    assert "timings.json: " in forged("seconds", seconds)
    assert "speedup/6" in forged("plan", plan)
    assert "result.json: ladder is not what the members give" in forged(
        "fewer", lambda run: shutil.rmtree(run / "speedup")
    )


def test_the_page_shows_the_ladder_and_the_command_asks_for_it(climbed):
    page = (climbed.folder / "report.html").read_text()
    assert "How many of adam&#39;s steps is it worth?" in page or "How many of adam's steps is it worth?" in page
    assert (climbed.folder / "speedup.png").exists()
    assert not (climbed.folder / "speed.png").exists()


def test_a_paper_says_at_which_lengths_and_has_the_scores_there(climbed, tmp_path):
    import polars as pl

    text = write(climbed.folder, tmp_path / "paper").read_text()
    rungs = json.loads((climbed.folder / "result.json").read_text())["ladder"]["rungs"]
    said = text.partition("For the speed-up")[2].partition("its steps")[0]
    assert all(f"{rung['factor']:g}" in said for rung in rungs if rung["factor"] != 1)
    data = pl.read_csv(tmp_path / "paper" / "data" / "speedup.csv").filter(pl.col("contender") == "adam")
    for rung in rungs:
        said = data.filter((pl.col("length") - rung["factor"]).abs() < 1e-9)["test accuracy (%)"].to_list()
        assert said == pytest.approx([100 * score for score in rung["scores"]])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--epochs", "1"], "trains for 1 epoch, and no other whole number of epochs is √2 as long or as short"),
        (["--protocol", "published"], "--speedup: the published protocol"),
        (["--replicates", "1"], "--speedup: --replicates 1 gives no interval"),
        (["--schedule", "cosin"], "did you mean cosine?"),
        (["--schedule", "cosine+warmup5"], "a warm-up comes before the shape"),
    ],
)
def test_what_cant_be_asked_is_one_line(tmp_path, capsys, more, said):
    asked = ["run", "adam", "sgd", "--task", "logistic", "--speedup", "--quiet", "--out", str(tmp_path / "run")]
    assert call([*asked, *more]) == 2
    told = capsys.readouterr().err
    assert said in " ".join(told.split())
    assert told.startswith("assay: ")
    assert not (tmp_path / "run").exists()


def test_a_record_with_a_ladder_isnt_made_longer(climbed, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(climbed.folder, copy)
    with pytest.raises(UsageError, match="has a ladder for 5 replicates, and can't be made longer"):
        ask(copy, replicates=6)


def test_a_verdict_that_is_held_back_holds_what_follows_back_too():
    said = "mine is worth 1.20× adam's steps."
    assert (
        reserved({"details": {"held_back": "better"}}, said) == f"By that interval alone, with the same reserve: {said}"
    )
    assert reserved({"details": {}}, said) == said


def test_a_rung_at_the_planned_length_counts_for_nothing(climbed, tmp_path):
    """That length is the question's own; nobody asks for it."""
    copy = tmp_path / "run"
    shutil.copytree(climbed.folder, copy)
    shutil.copytree(copy / "speedup" / "6", copy / "speedup" / "4")
    plan = json.loads((copy / "speedup" / "4" / "plan.json").read_text())
    plan["science"]["task"]["epochs"] = 4
    (copy / "speedup" / "4" / "plan.json").write_text(json.dumps(plan))
    found = with_speedups(RunFolder.open(copy), {"verdicts": climbed.content["verdicts"]})["ladder"]
    assert json.loads(json.dumps(found)) == climbed.content["ladder"]


def test_a_candidate_far_ahead_makes_the_ladder_longer_and_one_far_behind_is_said_to_be(tmp_path):
    """A baseline whose range lets it move slowly, against one that trains: no length that is tried makes up for it."""
    slow = {**SMALL, "replicates": 8, "trials": 2}
    task = tiny.task(epochs=2, batch_size=8)
    spaces = ["adam.lr=1e-3..2e-3:log", "sgd.lr=0.1..1:log"]
    found = assay.compare("adam", "sgd", task=task, space=spaces, out=tmp_path / "run", speedup=True, workers=1, **slow)
    lengths = [r["epochs"] for r in found.content["ladder"]["rungs"]]
    assert max(lengths) == 8  # four times, the most
    (verdict,) = found.verdicts
    assert verdict.speedup is None
    assert "better than adam trained for any number of steps that was tried, 0.50× to 4.00× its own" in verdict.sentence
    edges = {r["epochs"]: r["edges"] for r in found.content["ladder"]["rungs"]}
    assert edges.pop(2) == []  # the question's own are in its verdict
    assert any(edges.values())
    for epochs, (edge, *_) in ((epochs, own) for epochs, own in edges.items() if own):
        end = {"high": "top", "low": "bottom"}[edge["end"]]
        assert (
            f"At {epochs} epoch{'s' * (epochs > 1)} adam's lr lies in the {end} tenth of its range in "
            in verdict.sentence
        )
    other = assay.compare(
        "sgd", "adam", task=task, space=spaces, out=tmp_path / "turned", speedup=True, workers=1, **slow
    )
    assert min(r["epochs"] for r in other.content["ladder"]["rungs"]) == 1


@pytest.mark.parametrize(
    ("candidates", "ends", "said"), [(3, (2, 32), "four times the length"), (4, (4, 16), "twice the")]
)
def test_many_candidates_have_a_shorter_ladder(candidates, ends, said):
    named = [f"c{i}=sgd" for i in range(candidates)]
    spaces = ["adam.lr=1e-3..1:log", *(f"c{i}.lr=1e-2..1:log" for i in range(candidates))]
    few = {"replicates": 3, "trials": 2, "engine": "loop", "quiet": True}
    planned = assay.plan("adam", *named, task=tiny.task(epochs=8), speedup=True, space=spaces, **few)
    found = lengths(planned.tasks[0].science)
    assert (found[0], found[-1]) == ends
    assert f"up to {said}" in str(planned)


def test_a_users_own_loaders_are_gone_through_as_often_as_a_rung_asks(tmp_path):
    from .tasks.test_given import loaders

    task = tiny.task(data=loaders, epochs=4)
    found = ask(tmp_path / "run", task=task, speedup=True, replicates=3)
    assert found.content["ladder"]["rungs"][-1]["epochs"] >= 6
    assert list(verify.faults(found.folder)) == []


def test_other_tools_are_given_the_rungs(climbed, tmp_path):
    assert call(["export", str(climbed.folder), "--csv", str(tmp_path / "csv")]) == 0
    members = pl.read_csv(tmp_path / "csv" / "speedup" / "6" / "members.csv")
    assert len(members) == 5 * (3 + 2)


def test_a_member_of_a_rung_is_named_so_when_it_is_trained_again(tmp_path):
    few = {"trials": 1, "replicates": 2, "final_seeds": 1, "epochs": 2}
    found = ask(tmp_path / "run", task="logistic", speedup=True, **few)
    everyone = retrain(found.folder, 10_000)
    assert {r.contender for r in everyone} >= {"adam", "sgd", "adam at 3 epochs"}
    assert all(r.exact for r in everyone)


def test_plans_tell_what_it_costs():
    asked = {"task": "logistic", "replicates": 4, "engine": "loop", "quiet": True, "space": RANGES}
    plain, climbing = (assay.plan("adam", "sgd", **asked, **more) for more in ({}, {"speedup": True}))
    two_rungs = 2 * 4 * (10 + 4)
    assert climbing.trainings == plain.trainings + two_rungs
    assert f"{two_rungs} of these trainings are the baseline's at other lengths" in str(climbing)
    assert climbing.plan_hash == plain.plan_hash


def test_a_slope_is_of_one_task_and_one_schedule():
    for more in ({"task": ["logistic", "quadratic"]}, {"task": "logistic", "schedule": ["none", "cosine"]}):
        with pytest.raises(UsageError, match="a slope is of one task with one schedule"):
            assay.plan("adam", "sgd", scale="batch_size=64,128,256", **more)


def test_wsd_is_level_and_then_comes_down():
    from assay.contenders.schedules import Schedule

    wsd = Schedule("wsd", 0.1)
    assert [wsd(x) for x in (0.1, 0.5, 0.79)] == [1.0, 1.0, 1.0]
    assert wsd(0.9) == pytest.approx(0.5)
    assert wsd(0.0) == pytest.approx(0.01)
    assert np.isclose(wsd(1.0), 0.0)


def test_across_tasks_it_is_the_geometric_mean_by_the_rule_of_these_tasks(tmp_path):
    tasks = [tiny.task(name="one", epochs=3), tiny.task(name="two", epochs=4, batch_size=16)]
    asked = {**SMALL, "replicates": 4, "trials": 2, "workers": 1, "space": [RANGES[0], "slow.lr=1e-3..0.02:log"]}
    slow = "slow=adam"
    found = assay.compare("adam", slow, task=tasks, out=tmp_path / "run", speedup=True, **asked)
    (verdict,) = found.verdicts
    own = [
        json.loads((tmp_path / "run" / name / "result.json").read_text())["verdicts"][0]["speedup"]
        for name in ("one", "two")
    ]
    if None in own:
        assert verdict.speedup is None
        assert verdict.speedup_tasks == []
        assert "What it is worth in steps is open on" in verdict.sentence
    else:
        assert verdict.speedup == pytest.approx(float(np.sqrt(own[0] * own[1])))
        assert verdict.speedup_low <= verdict.speedup <= verdict.speedup_high
        assert "the geometric mean over 2 tasks" in verdict.sentence
        assert verdict.speedup_tasks == ["one", "two"]
    assert call(["verify", str(tmp_path / "run")]) == 0


@pytest.mark.parametrize("flat", [("one",), ("one", "two")])
def test_tasks_on_which_longer_training_gains_nothing_are_left_out_for_everyone(tmp_path, monkeypatch, flat):
    from assay.judge.speedup import Worth
    from assay.ladder.judged import Climbed

    tasks = [tiny.task(name="one", epochs=3), tiny.task(name="two", epochs=4, batch_size=16)]
    asked = {**SMALL, "replicates": 4, "trials": 2, "workers": 1, "space": [RANGES[0], "slow.lr=1e-3..0.02:log"]}
    monkeypatch.setattr(Climbed, "helps", property(lambda c: c.question.task.name not in flat))
    worth = Worth(1.5, 1.2, 1.8, [(1.2, 1.8)], (0.5, 2.0), ahead=None)
    monkeypatch.setattr(Climbed, "worth", lambda self, slot, candidates: worth)
    found = assay.compare("adam", "slow=adam", task=tasks, out=tmp_path / "run", speedup=True, **asked)
    (verdict,) = found.verdicts
    if len(flat) == 1:
        assert verdict.speedup is not None
        assert "the geometric mean over 1 task" in verdict.sentence
    else:
        assert verdict.speedup is None
    assert f"Longer training isn't seen to help adam on {' and '.join(flat)}" in verdict.sentence


def test_several_schedules_are_several_settings_and_the_command_says_so(tmp_path, capsys):
    asked = [
        "run",
        "adam",
        "sgd",
        "--task",
        "tests/tiny.py:task",
        "--trials",
        "2",
        "--replicates",
        "2",
        "--final-seeds",
        "1",
    ]
    spaces = [word for text in RANGES for word in ("--space", text)]
    more = ["--engine", "loop", "--workers", "1", "--quiet", "--out", str(tmp_path / "run")]
    assert call([*asked, *spaces, "--schedule", "none", "--schedule", "warmup5+cosine", *more]) == 0
    content = json.loads((tmp_path / "run" / "result.json").read_text())
    assert [t["name"] for t in content["tasks"]] == ["clouds (schedule none)", "clouds (schedule warmup5+cosine)"]
    found = [RunFolder.open(p.parent).plan.science.contenders for p in sorted(tmp_path.glob("run/*/plan.json"))]
    assert sorted(str(c[0].schedule) for c in found) == ["None", "warmup5+cosine"]
    page = (tmp_path / "run" / "report.html").read_text().replace("</span> <span>", " ")
    assert "--schedule none --schedule warmup5+cosine" in page
    assert call(["verify", str(tmp_path / "run")]) == 0
    assert call([*asked, *spaces, "--schedule", "cosine", "--schedule", "cosine", *more[:-1], str(tmp_path / "x")]) == 2
    assert "--schedule cosine comes twice" in capsys.readouterr().err


def test_a_run_that_is_interrupted_in_a_rung_further_out_goes_on(tmp_path):
    out, slow = tmp_path / "run", {**SMALL, "replicates": 8, "trials": 2}
    task = tiny.task(epochs=2, batch_size=8)
    asked = {"task": task, "space": ["adam.lr=1e-3..2e-3:log", "sgd.lr=0.1..1:log"], "speedup": True}
    whole = assay.compare("adam", "sgd", out=out, workers=1, **asked, **slow)
    rungs = sorted(int(p.name) for p in (out / "speedup").iterdir())
    assert len(rungs) > 1  # it went on from √2
    for name in ("result.json", "manifest.json"):
        (out / name).unlink()
    for path in sorted((out / "speedup" / str(rungs[-1]) / "members").iterdir())[::2]:
        path.unlink()
    assert assay.compare("adam", "sgd", out=out, workers=1, **asked, **slow).content == whole.content
    for name in ("result.json", "manifest.json", f"speedup/{rungs[0]}/plan.json"):
        (out / name).unlink()
    assert assay.compare("adam", "sgd", out=out, workers=1, **asked, **slow).content == whole.content
    assert call(["verify", str(out)]) == 0


def test_the_report_says_what_the_ladder_cost(climbed):
    steps = 0
    trainings = 0
    for rung in (climbed.folder / "speedup").iterdir():
        frame = RunFolder.open(rung, fewest=1).frame()
        trainings += len(frame)
        steps += int(frame["gradient_evaluations"].sum())  # one a step, where none diverged
    page = " ".join((climbed.folder / "report.html").read_text().split())
    shown = f'{trainings}<span class="small">at other lengths</span></td> <td class="num">{number(steps)}</td>'
    assert f'adam, the ladder</td> <td class="num">{shown}' in page


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((1.2, 1.0, 1.5), "new 1.20× (1.00 to 1.50)"),
        ((1.2, None, 1.5), "new 1.20× (open to 1.50)"),
        ((None, 2.0, None), "new 2.00× at least"),
        ((None, None, 0.5), "new 0.50× at most"),
        ((None, 0.5, 2.0), "new 0.50× to 2.00×"),
        ((None, None, None), "new can't be told"),
    ],
)
def test_a_figures_caption_says_it_in_a_word(ends, words):
    assert (
        said(dict(zip(("speedup", "speedup_low", "speedup_high"), ends, strict=True)) | {"candidate": "new"}) == words
    )
