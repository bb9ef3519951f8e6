"""`--controls`: what they come to, that they change nothing, and that they can be killed, resumed, verified, drawn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

from assay import events
from assay.answer.arrays import RecordArrays
from assay.answer.reached import reached
from assay.cli import call
from assay.controls import verified
from assay.controls.judged import Trained, judged
from assay.controls.plan import code
from assay.core import Contender, Curves, Member, Split, Splits, canonical
from assay.driver.compare import Result
from assay.driver.retrain import retrain
from assay.driver.verify import faults
from assay.errors import BrokenRecord, Interrupted, UsageError
from assay.record import RunFolder, chunks, manifest
from assay.report import draw
from assay.space import Float
from assay.training import loop
from assay.training.numerics import loop_here

from .. import asked, tiny

SMALL = {"trials": 3, "replicates": 3, "final_seeds": 2, "engine": "loop"}
ROOT = Path(__file__).parents[2]


def run(folder: Path, *contenders, workers: int = 1, on_event: events.OnEvent = events.ignore, **options):
    options = {"task": tiny.task(), "controls": True, **SMALL, **options}
    return asked.run(asked.plan(*(contenders or ("adam", "sgd")), out=folder, **options), workers, on_event)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Result:
    return run(tmp_path_factory.mktemp("plain") / "run", controls=False)


@pytest.fixture(scope="module")
def controlled(tmp_path_factory) -> Result:
    return run(tmp_path_factory.mktemp("controlled") / "run", workers=2)


def entry(result: Result, control: str, part: str | None = None) -> dict:
    (found,) = [c for c in result.controls if c["control"] == control and (part is None or c["part"] == part)]
    return found


def members_of(folder: Path) -> dict[str, bytes]:
    """Every member's file without its one column that is a time."""
    found = {}
    for path in sorted(folder.glob("members/*.parquet")):
        found[path.name] = chunks.read(path).drop("seconds").write_json().encode()
    return found


def finals(folder: Path, slot: int) -> np.ndarray:
    """Test scores (K, r) of a slot's final runs, read by nothing but polars."""
    rows = pl.concat([pl.read_parquet(p) for p in sorted(folder.glob("members/*.parquet"))])
    rows = rows.filter((pl.col("slot") == slot) & (pl.col("phase") == "final")).sort("replicate", "index")
    return rows["test"].list.last().to_numpy().reshape(3, 2)


def test_they_change_nothing_of_the_question(plain, controlled):
    content = dict(controlled.content)
    assert len(content.pop("controls")) == 5
    assert content == plain.content
    assert members_of(plain.folder) == members_of(controlled.folder)
    assert (plain.folder / "plan.json").read_bytes() == (controlled.folder / "plan.json").read_bytes()


def test_each_interval_is_the_t_interval_of_its_own_trainings(controlled):
    own = controlled.folder / "controls"
    base, sgd = finals(controlled.folder, 0), finals(controlled.folder, 1)
    again, halted, replay = (finals(own, slot) for slot in (2, 3, 4))
    arms = {
        "again": again - base,
        "sabotage": halted - base,
        ("replay", "rule"): sgd - replay,
        ("replay", "schedule"): replay - base,
    }
    for control, pairs in arms.items():
        found = entry(controlled, *([control] if isinstance(control, str) else control))
        differences = pairs.mean(axis=1)
        np.testing.assert_allclose(found["differences"], differences, atol=1e-12)
        low, high = stats.t.interval(0.95, 2, loc=differences.mean(), scale=stats.sem(differences))
        assert (found["ci_low"], found["ci_high"]) == pytest.approx((low, high))
        assert found["p_value"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_equal_differences_of_a_copy_are_no_alarm(controlled, monkeypatch):
    """By hand: means of two runs are rounded to half a test sample, 1/120; all three differ by 1/60."""
    base = np.array([[30, 31], [40, 42], [35, 37]]) / 60
    monkeypatch.setattr(RecordArrays, "scores", lambda self, slot: base)
    monkeypatch.setattr(Trained, "scores", lambda self, control: base + 1 / 60)
    (again,) = [e for e in judged(RunFolder.open(controlled.folder)) if e["control"] == "again"]
    se = 1 / 120 / np.sqrt(12) / np.sqrt(3)
    assert (again["ci_low"], again["ci_high"]) == pytest.approx(stats.t.interval(0.95, 2, 1 / 60, se))
    assert again["p_value"] == pytest.approx(2 * stats.t.sf(1 / 60 / se, 2))
    assert again["passed"] is True
    assert "no alarm" in again["sentence"]
    assert "adam again, with a sampler and final seeds of its own, scores" in again["sentence"]


def test_a_a_has_final_seeds_and_a_sampler_of_its_own(controlled):
    question, own = RunFolder.open(controlled.folder).frame(), RunFolder.open(controlled.folder / "controls").frame()
    question = question.filter(pl.col("phase") != "pilot")
    again = own.filter(pl.col("slot") == 2)
    final = again.filter(pl.col("phase") == "final")
    assert set(final["index"]) == {2, 3}
    assert not set(final["init"]) & set(question["init"])
    assert not set(final["batches"]) & set(question["batches"])
    assert set(final["split"]) == set(question["split"])
    baseline = question.filter((pl.col("slot") == 0) & (pl.col("phase") == "tune"))
    for shared in ("split", "init", "batches"):  # the trials': hence no "seeds of its own" in the sentence
        assert set(again.filter(pl.col("phase") == "tune")[shared]) == set(baseline[shared])
    rates = [set(f.filter(pl.col("phase") == "tune")["hyperparameters"]) for f in (again, baseline)]
    assert len(rates[0] - rates[1]) > 5  # of nine; refined ones may meet at an end of the range


def test_the_first_editions_sceptic_is_the_baseline_of_a_run_with_twice_the_trials(tmp_path):
    once, twice = (run(tmp_path / str(n), trials=n, controls=n == 3, protocol="honest-1") for n in (3, 6))
    expected = (finals(once.folder, 1) - finals(twice.folder, 0)).mean(axis=1)
    np.testing.assert_array_equal(entry(once, "sceptic")["differences"], expected)


def test_the_sceptic_is_the_baseline_with_as_many_trials_again(controlled):
    """They are refined where the first ones were best, and among all of them the process chooses."""
    question = RunFolder.open(controlled.folder).frame().filter(pl.col("slot") == 0, pl.col("phase") == "tune")
    own = RunFolder.open(controlled.folder / "controls").frame().filter(pl.col("slot") == 0)
    assert sorted(own.filter(pl.col("phase") == "tune")["index"]) == sorted([3, 4, 5] * 3)
    assert sorted(question["index"]) == sorted([0, 1, 2] * 3)
    sgd, sceptic = finals(controlled.folder, 1), finals(controlled.folder / "controls", 0)
    np.testing.assert_allclose(entry(controlled, "sceptic")["differences"], (sgd - sceptic).mean(axis=1), atol=1e-12)


def test_a_replay_takes_the_other_replicates_lengths_at_the_baselines_own_settings(controlled):
    question, own = RunFolder.open(controlled.folder), RunFolder.open(controlled.folder / "controls")
    norms = question.step_norms(1)
    assert len(norms) == 6
    assert all(len(n) == 8 and (n > 0).all() for n in norms.values())  # 2 epochs of 4 steps
    kept = np.load(controlled.folder / "controls" / "lengths-1.npy")
    for k in range(3):
        others = np.stack([n for (replicate, _), n in norms.items() if replicate != k]).astype(float)
        np.testing.assert_allclose(kept[k], stats.gmean(others, axis=0), rtol=1e-12)
    chosen = controlled.content["contenders"]["adam"]["chosen"]
    replays = own.frame().filter(pl.col("slot") == 4)
    for row in replays.to_dicts():
        settings = json.loads(row["hyperparameters"])
        assert settings["replicate"] == row["replicate"]
        assert settings["lr"] == chosen[row["replicate"]]["lr"]
        means = settings["multiplier"] * kept[row["replicate"]].reshape(2, 4).mean(axis=1)
        np.testing.assert_allclose(row["update_norm"], means, rtol=1e-4)


def test_step_norms_are_what_the_epoch_means_are_means_of(controlled):
    folder = RunFolder.open(controlled.folder)
    norms = folder.step_norms(1)
    for row in folder.frame().filter((pl.col("slot") == 1) & (pl.col("phase") == "final")).to_dicts():
        steps = norms[row["replicate"], row["index"]].reshape(2, 4)
        np.testing.assert_allclose(steps.mean(axis=1), row["update_norm"], rtol=1e-5)


def test_both_engines_keep_the_same_step_norms():
    from assay.contenders import contenders
    from assay.engine import train as vectorized

    (adam,) = contenders(["adam"])
    members = [Member(0, "final", 0, i, {"lr": 0.01 * (i + 1)}, 5, i, i, i) for i in range(3)]
    numerics = loop_here()
    curves: list[Curves] = [
        loop.train(tiny.task(), adam, members, numerics),
        vectorized.train(tiny.task(), adam, members, numerics),
    ]
    a, b = (c.step_norms for c in curves)
    assert a is not None
    assert b is not None
    assert a.shape == (3, 8)
    np.testing.assert_allclose(a, b, rtol=1e-4)
    tuning = [Member(0, "tune", 0, 0, {"lr": 0.01}, 5, 0, 0, 0)]
    assert loop.train(tiny.task(), adam, tuning, numerics).step_norms is None


def test_workers_do_not_matter_and_what_is_finished_is_not_trained_again(controlled, tmp_path):
    one = run(tmp_path / "one", workers=1)
    assert one.content == controlled.content
    assert members_of(one.folder / "controls") == members_of(controlled.folder / "controls")
    seen: list[events.Event] = []
    assert run(one.folder, on_event=seen.append).content == one.content
    assert all(e.recorded for e in seen if isinstance(e, events.Trained))


def test_added_to_a_finished_folder_they_keep_it_and_add_only_what_lacks(plain, controlled, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(plain.folder, folder)
    before = {p.name: p.read_bytes() for p in folder.glob("members/*")}
    seen: list[events.Event] = []
    result = run(folder, on_event=seen.append)
    assert result.content == controlled.content
    assert {p.name: p.read_bytes() for p in folder.glob("members/*")} == before
    own = len(RunFolder.open(folder / "controls").frame())
    assert sum(e.members for e in seen if isinstance(e, events.Trained) and not e.recorded) == own
    assert not list(faults(folder))
    # and they stay a part of the record when it is not said again
    assert run(folder, controls=False).content == controlled.content


class Stop(Exception):
    pass


@pytest.mark.parametrize("after", [3, 50])
def test_stopped_anywhere_they_go_on(controlled, tmp_path, after):
    folder, trained = tmp_path / "run", 0

    def stop(event: events.Event) -> None:
        nonlocal trained
        if isinstance(event, events.Trained) and (folder / "controls" / "plan.json").exists():
            trained += 1
            if trained == after:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        run(folder, on_event=stop)
    kept = set((folder / "controls" / "members").glob("*.parquet"))
    assert run(folder).content == controlled.content
    assert kept <= set((folder / "controls" / "members").glob("*.parquet"))
    assert not list(faults(folder))


def test_lost_steps_are_trained_again_to_the_same_bits(controlled, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(controlled.folder, folder)
    lost = sorted((folder / "steps").glob("*.npy"))[0]
    content = lost.read_bytes()
    lost.unlink()
    assert any(lost.name in line for line in faults(folder))
    assert run(folder).content == controlled.content
    assert lost.read_bytes() == content


def test_lengths_that_were_changed_train_nothing(controlled, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(controlled.folder, folder)
    table = folder / "controls" / "lengths-1.npy"
    np.save(table, np.load(table) * 2)
    with pytest.raises(BrokenRecord, match=r"lengths-1.npy was changed; delete .*controls and run the command again"):
        run(folder)
    shutil.rmtree(folder / "controls")
    assert run(folder).content == controlled.content


# ------------------------------------------------------------------------------------------------------------ verify


def test_a_sound_record_is_found_sound_and_can_be_trained_again(tmp_path):
    options = ["--trials", "2", "--replicates", "2", "--final-seeds", "1", "--workers", "1", "--engine", "loop"]
    folder = tmp_path / "run"
    import os

    here = Path.cwd()
    os.chdir(ROOT)
    try:
        words = ["run", "adam", "sgd", "--task", "tests/tiny.py:task", *options, "--controls", "--quiet"]
        assert call([*words, "--out", str(folder)]) == 0
        assert not list(faults(folder))
        members = len(RunFolder.open(folder).frame()) + len(RunFolder.open(folder / "controls").frame())
        again = retrain(folder, members, 1)
        assert len(again) == members
        assert all(r.exact for r in again)
        assert {r.contender for r in again} >= {"adam again", "adam, halted", "adam at sgd's step lengths"}
    finally:
        os.chdir(here)


def tampered(controlled: Result, tmp_path: Path) -> Path:
    shutil.copytree(controlled.folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_changed_byte_in_the_controls_is_named(controlled, tmp_path):
    copy = tampered(controlled, tmp_path)
    for file in [sorted(copy.glob("controls/members/*"))[0], copy / "controls" / "lengths-1.npy"]:
        content = file.read_bytes()
        file.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        assert any(f"controls/{file.relative_to(copy / 'controls')} was changed" in line for line in faults(copy))
        file.write_bytes(content)
    assert not list(faults(copy))


def test_forged_controls_with_a_fresh_manifest_are_seen_through(controlled, tmp_path):
    copy = tampered(controlled, tmp_path)
    content = json.loads((copy / "result.json").read_text())
    content["controls"][0]["passed"] = False
    (copy / "result.json").write_text(json.dumps(content))
    table = np.load(copy / "controls" / "lengths-1.npy")
    np.save(copy / "controls" / "lengths-1.npy", table * 1.01)
    manifest.seal(copy)
    found = "\n".join(faults(copy))
    assert "controls is not what the members give" in found
    assert "the lengths replayed are not those of sgd's steps" in found


def test_controls_without_a_training_are_a_fault(controlled, tmp_path):
    copy = tampered(controlled, tmp_path)
    for path in copy.glob("controls/members/*"):
        path.unlink()
    manifest.seal(copy)
    assert "controls/: none of its trainings is there" in list(faults(copy))


def test_a_contender_may_have_any_note(tmp_path):
    space = {"lr": Float(1e-3, 1e-1, log=True)}
    mine = Contender("mine", lambda model, run, lr: torch.optim.SGD(model.parameters(), lr), space, note="skipped")
    found = run(tmp_path / "run", mine, "adam", replicates=2, trials=2, final_seeds=1)
    assert not entry(found, "sceptic").get("skipped")


def nudge(hyperparameters: dict) -> str:
    tuned = "multiplier" if "multiplier" in hyperparameters else "lr"
    return canonical({**hyperparameters, tuned: hyperparameters[tuned] * 0.999}).decode()


@pytest.mark.parametrize(
    ("slot", "name"), [(0, "adam"), (2, "adam again"), (3, "adam, halted"), (4, "adam at sgd's step lengths")]
)
def test_trials_of_a_control_that_no_sampler_asked_for_are_named(controlled, tmp_path, slot, name):
    copy = tampered(controlled, tmp_path)
    for path in sorted(copy.glob("controls/members/*")):  # of the sceptic, trials beyond the question's
        frame = chunks.read(path)
        if frame["slot"][0] == slot and frame["phase"][0] == "tune" and 1 in frame["replicate"]:
            nudged = [nudge(json.loads(text)) for text in frame["hyperparameters"]]
            chunks.write(path, frame.with_columns(hyperparameters=pl.Series(nudged)))
            break
    assert f"controls: {name}, replicate 1: its trials are not those" in "\n".join(faults(copy))


@pytest.mark.parametrize("slot", [1, 3])  # the question's own candidate, and the baseline halted
@pytest.mark.parametrize("part", [0, 1])
def test_a_forged_source_in_the_controls_plan_is_named(controlled, tmp_path, slot, part):
    copy = tampered(controlled, tmp_path)
    plans = [copy / "plan.json", copy / "controls" / "plan.json"]
    for path in plans:  # of a candidate whose source has two parts, as that of a wrapper
        content = json.loads(path.read_text())
        content["science"]["contenders"][1]["source"] += "; sha256:wrapped"
        path.write_text(json.dumps(content))
    assert not another_plan(copy)
    source = content["science"]["contenders"][slot]["source"].split("; ")
    source[part] = "sha256:forged"
    content["science"]["contenders"][slot]["source"] = "; ".join(source)
    plans[1].write_text(json.dumps(content))
    assert another_plan(copy) == ((slot, part) != (3, 1))  # what halts the baseline may have changed since


def another_plan(folder: Path) -> bool:
    record = RunFolder.open(folder)
    frame = record.frame()
    found = verified.faults(record, RecordArrays(reached(record.plan, frame), frame))
    return "controls/plan.json is not what the plan of the question makes it" in found


# --------------------------------------------------------------------------------------------------- what they say


def quadrants(seed: int) -> Splits:
    """Which of two coordinates' signs agree: it takes more than a few steps to learn that."""
    rng = np.random.default_rng(seed)

    def split(n: int) -> Split:
        x = rng.normal(size=(n, 4)).astype(np.float32)
        return Split(x, (x[:, 0] * x[:, 1] > 0).astype(np.int64))

    return Splits(split(160), split(60), split(300))


def test_the_sabotage_loses_and_a_copy_does_not_differ_where_there_is_something_to_learn(tmp_path):
    seen: list[events.Event] = []
    task = tiny.task(epochs=20, data=quadrants)
    space = ["adam.lr=0.02..0.1:log"]
    result = run(tmp_path / "run", "adam", "rmsprop", task=task, space=space, on_event=seen.append)
    sabotage, again = entry(result, "sabotage"), entry(result, "again")
    assert sabotage["passed"] is True
    assert sabotage["ci_high"] < 0
    assert "it loses, as it must" in sabotage["sentence"]
    assert again["passed"] is True
    assert "no alarm" in again["sentence"]
    assert not [e for e in seen if isinstance(e, events.Warned) and "Sabotage" in e.message]


def test_a_sabotage_that_does_not_lose_is_a_warning(controlled, tmp_path):
    """Two epochs of a task this small: nobody has learned enough to be told apart."""
    assert entry(controlled, "sabotage")["passed"] is False
    seen: list[events.Event] = []
    folder = tampered(controlled, tmp_path)
    run(folder, on_event=seen.append)
    (warned,) = [e.message for e in seen if isinstance(e, events.Warned)]
    assert warned.startswith("Sabotage: adam, halted after a tenth of its steps")
    assert "warning, it does not lose" in warned


def test_every_candidate_has_its_own_replay_and_sceptic(tmp_path):
    result = run(tmp_path / "run", "adam", "sgd", "rmsprop")
    named = [(c["control"], c.get("part"), c["first"], c["second"]) for c in result.controls]
    assert named == [
        ("again", None, "adam again", "adam"),
        ("sabotage", None, "adam, halted", "adam"),
        ("sceptic", None, "sgd", "adam"),
        ("sceptic", None, "rmsprop", "adam"),
        ("replay", "rule", "sgd", "adam at sgd's step lengths"),
        ("replay", "schedule", "adam at sgd's step lengths", "adam"),
        ("replay", "rule", "rmsprop", "adam at rmsprop's step lengths"),
        ("replay", "schedule", "adam at rmsprop's step lengths", "adam"),
    ]
    assert not list(faults(result.folder))
    assert judged(RunFolder.open(result.folder)) == result.controls


class Still:
    """An optimizer that never moves, but at high rates, where it diverges."""

    def __init__(self, params, lr=0.1):
        self.param_groups = [{"params": list(params), "lr": lr}]

    @torch.no_grad()
    def step(self):
        if self.param_groups[0]["lr"] > 0.01:
            for p in self.param_groups[0]["params"]:
                p.fill_(torch.nan)


@pytest.mark.parametrize(
    ("candidate", "space", "words"),
    [
        ("twin=adam", [], "twin is adam itself under another name"),
        ("still", ["still.lr=1e-4..0.1:log"], "the updates of still are all zero"),
        ("sgd", ["sgd.lr=1e30..1e35:log"], "final runs of sgd diverged"),
    ],
)
def test_a_replay_that_makes_no_sense_is_skipped_with_the_reason(tmp_path, candidate, space, words):
    from dataclasses import replace

    from assay.contenders.adapt import adapt

    given = replace(adapt(Still, "still"), source="test") if candidate == "still" else candidate
    with np.errstate(over="ignore"):
        result = run(tmp_path / "run", "adam", given, space=space)
    replay = entry(result, "replay")
    assert words in replay["skipped"]
    assert words in replay["sentence"]
    assert replay["difference"] is None
    assert [c["control"] for c in result.controls] == ["again", "sabotage", "sceptic", "replay"]
    assert not list(faults(result.folder))
    assert "skipped" in (result.folder / "report.html").read_text()


def test_a_reason_that_an_earlier_layout_kept_as_a_source_is_read_as_before(tmp_path):
    result = run(tmp_path / "run", "adam", "twin=adam")
    file = result.folder / "controls" / "plan.json"
    plan = json.loads(file.read_text())
    replay = plan["science"]["contenders"][-1]
    assert "itself under another name" in replay["skipped"]
    assert "itself under another name" not in replay["source"]
    replay |= {"source": replay.pop("skipped"), "note": "skipped"}
    file.write_text(json.dumps(plan))
    draw(result.folder)  # which shows the root
    manifest.seal(result.folder)
    assert judged(RunFolder.open(result.folder)) == result.controls
    assert not list(faults(result.folder))


def test_controls_altered_by_other_code_are_refused_and_nothing_is_written(controlled, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(controlled.folder, folder)
    file = folder / "controls" / "plan.json"
    file.write_text(file.read_text().replace(code(), "sha256:0123"))
    content = json.loads((folder / "result.json").read_text())
    content["versions"]["assay"] = "0.0.1"
    (folder / "result.json").write_text(json.dumps(content))
    manifest.seal(folder / "controls")
    manifest.seal(folder)
    with pytest.raises(UsageError, match=r"other code, made by assay 0\.0\.1: assay verify and assay report read it"):
        run(folder)
    assert not manifest.changes(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"protocol": "published", "replicates": None, "final_seeds": None}, "--controls: the published protocol"),
        ({"replicates": 1}, "--replicates 1 gives no interval"),
    ],
)
def test_what_gives_controls_no_interval_is_refused(tmp_path, options, words):
    with pytest.raises(UsageError, match=words):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_the_page_and_the_command_line_show_them(controlled, capsys, monkeypatch, tmp_path):
    page = (controlled.folder / "report.html").read_text()
    assert (controlled.folder / "controls.png").stat().st_size > 0
    assert 'id="controls"' in page
    for control in controlled.controls:
        assert control["sentence"].partition(": ")[2].replace(" %", "\u00a0%").replace("'", "&#39;") in page
    draw(tampered(controlled, tmp_path))  # from the folder alone
    monkeypatch.chdir(ROOT)
    options = ["--trials", "2", "--replicates", "2", "--final-seeds", "1", "--workers", "1", "--engine", "loop"]
    words = ["run", "adam", "sgd", "--task", "tests/tiny.py:task", *options, "--controls", "--out", str(tmp_path / "r")]
    assert call(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in (
        "A/A: adam again",
        "Sabotage: adam, halted",
        "Sceptic: sgd",
        "Schedule replay, the rule",
        "the schedule:",
    ):
        assert word in shown
    assert "--controls" in (tmp_path / "r" / "report.html").read_text()
    assert call(["status", str(tmp_path / "r")]) == 0
    assert "controls: " in capsys.readouterr().out


def test_the_estimate_counts_them(task):
    from assay.driver.estimate import estimate, sentence

    planned = asked.job("adam", "sgd", "rmsprop", task=task, controls=True)
    found = estimate(planned.science, task, 100, 0.001, 2, controls=True)
    per_contender = 14 * 22
    assert found.trainings == 3 * (3 + per_contender) + 5 * per_contender  # pilots of three trials
    assert found.controls == 5 * per_contender
    assert any("1540 of these trainings are the controls'" in line for line in sentence(found, planned.science))


def test_a_chunked_population_trains_them_too(tmp_path):
    """Vectorized, without the compiler: everybody in chunks, each replicate with lengths of its own."""
    result = run(tmp_path / "run", engine="vectorized", compile="off")
    own = RunFolder.open(result.folder / "controls")
    assert [n.engine for n in own.plan.numerics] == ["vectorized"] * 5
    assert own.plan.numerics[4].chunk_size > 1
    kept = np.load(result.folder / "controls" / "lengths-1.npy")
    for row in own.frame().filter(pl.col("slot") == 4).to_dicts():
        settings = json.loads(row["hyperparameters"])
        means = settings["multiplier"] * kept[row["replicate"]].reshape(2, 4).mean(axis=1)
        np.testing.assert_allclose(row["update_norm"], means, rtol=1e-4)
    assert not list(faults(result.folder))
    assert torch.get_num_threads() == 1
