"""Records that were forged and sealed anew: what can be derived is seen through, and the rest has another root."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from assay import seeds
from assay.cli import call
from assay.driver.verify import _same, faults
from assay.record import manifest

from .. import asked, tiny
from .forge import answered_anew, column, document, file, forged, members, steps

pytestmark = pytest.mark.rendered

SPACE = ["adam.lr=1e-4..0.1:log", "sgd.lr=1e-4..0.1:log"]
OPTIONS = {"trials": 2, "replicates": 2, "final_seeds": 2, "engine": "loop", "epochs": 2, "space": SPACE}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    return asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=out, **OPTIONS), 1).folder


def verify(folder: Path, *more: str) -> int:
    return call(["verify", str(folder), *more])


def told_better(content):
    content["verdicts"][0]["outcome"] = "better"


def moved(by: float):
    def move(content):
        content["verdicts"][0]["ci_low"] *= 1 + by

    return document("result.json", move)


def each(curve: str, value: pl.Expr):
    return members(lambda frame: frame.with_columns(pl.col(curve).list.eval(value)))


def twice(content: bytes) -> bytes:
    """The result that a reader finds who takes the first of two verdicts."""
    forged = json.dumps([{**v, "outcome": "better"} for v in json.loads(content)["verdicts"]]).encode()
    return content.replace(b"{", b'{"verdicts": ' + forged + b",", 1)


def in_studies(change: str):
    def forge(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "studies.db")) as connection:
            connection.executescript(change)

    return forge


def another_time(content):
    content["training_seconds"] *= 2


def certified(content):
    content["science"]["task"]["certified_by"] = "somebody"


DERIVED = {
    "a word in the plan": (document("plan.json", certified), "plan.json has certified_by, which no plan has"),
    "a file of its own": (lambda f: (f / "winner.txt").write_text("sgd"), "winner.txt is no file of a run's"),
    "the page": (file("report.html", lambda b: b.replace(b"points", b"miles")), "report.html is not what is drawn"),
    "a figure": (file("norms.png", lambda b: b + b"."), "norms.png is not what is drawn"),
    "a figure of its own": (lambda f: (f / "better.png").write_bytes(b"x"), "better.png is no drawing"),
    "a figure that is gone": (lambda f: (f / "norms.png").unlink(), "norms.png is not what is drawn"),
    "a trial's value in the studies": (in_studies("UPDATE trial_values SET value = 1"), "studies.db doesn't hold"),
    "a trial's rate in the studies": (in_studies("UPDATE trial_params SET param_value = 1e-3"), "studies.db doesn't hold"),
    "a range in the studies": (
        in_studies("UPDATE trial_params SET distribution_json = replace(distribution_json, '0.1', '0.2')"),
        "studies.db doesn't hold",
    ),
    "a trial more in the studies": (
        in_studies("INSERT INTO trials (number, study_id, state) VALUES (9, 1, 'RUNNING')"),
        "studies.db doesn't hold",
    ),
    "a note in the studies": (
        in_studies("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, 'by', '\"me\"')"),
        "studies.db holds more",
    ),
    "studies without an end": (
        in_studies(
            "DROP TABLE trials; CREATE VIEW trials AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
            "SELECT i AS study_id, i AS trial_id, i AS number, 'FAIL' AS state FROM n"
        ),
        "studies.db can't be read",
    ),
    "studies that are none": (file("studies.db", lambda _: b"SQLite format 3\0" + bytes(999)), "studies.db can't be read"),
    "summed times": (document("timings.json", another_time), "timings.json: training_seconds"),
    "times that are none": (file("timings.json", lambda _: b"[]"), "timings.json can't be read"),
    "the steps' lengths": (steps(lambda x: 2 * x), "not the steps of the members"),
    "the steps of another member": (steps(lambda x: x[::-1].repeat(1, 0) * 1.1), "not the steps of the members"),
    "torch": (document("result.json", lambda c: c["versions"].update(torch="1.0")), "versions are not those of the plan"),
    "a version that is a list": (document("result.json", lambda c: c.update(versions=[])), "versions are not those"),
    "an outcome": (document("result.json", told_better), "verdicts is not what the members give"),
    "an interval": (moved(1e-6), "verdicts is not what the members give"),
    "two verdicts under one name": (file("result.json", twice), "says 'verdicts' twice"),
    "step lengths below nothing": (steps(lambda x: np.where(np.arange(x.shape[1]) == 0, -x, x)), "not the steps of the members"),
    "an accuracy beyond 1": (each("test", pl.element() + 4), "it is an accuracy"),
    "an accuracy below 0": (each("validation", -pl.element()), "it is an accuracy"),
    "a constant's accuracy": (column("test_floor", 1.5), "a constant prediction scores is no share"),
    "a fall back from nothing": (column("fallback", "the engine refused"), "it can't have fallen back"),
    "gradients": (column("gradient_evaluations", 0), "0 gradients are fewer than its steps"),
    "a length below nothing": (each("grad_norm", -pl.element()), "it is a length"),
    "a score beyond numbers": (each("test", pl.element() - 1.5e308), "can't be so large"),
    "a member that diverged": (column("diverged", 1), "not as it says it diverged"),
    "a trial that diverged": (column("diverged", 2, phase="tune"), "not as it says it diverged"),
    "a floor": (column("test_floor", 0.1), "differ in test floor"),
    "a size": (column("test_samples", 61), "differ in test samples"),
    "the size of the training data": (column("train_samples", 101), "differ in train samples"),
    "a curve that ends": (
        members(lambda f: f.with_columns(train_loss=f["train_loss"].list.head(1).list.concat([float("nan")]))),
        "not as it says it diverged",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DERIVED)
def test_what_follows_from_the_rest_cant_be_forged(whole, tmp_path, what, capsys):
    how, words = DERIVED[what]
    copy = forged(whole, tmp_path / "run", how)
    capsys.readouterr()
    assert verify(copy) == 1
    told = capsys.readouterr()
    assert words in told.out + told.err, told.out + told.err
    assert "follow from the members" not in told.out


@pytest.mark.parametrize("what", ["a floor", "a size", "a member that diverged"])
def test_nor_where_the_answer_is_made_again_from_it(whole, tmp_path, what):
    how, _ = DERIVED[what]
    assert verify(forged(whole, tmp_path / "run", answered_anew(how))) == 1


def test_in_an_engine_a_step_takes_one_gradient(tmp_path, capsys):
    options = {**OPTIONS, "engine": "vectorized", "compile": "off"}
    made = asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=tmp_path / "whole", **options), 1).folder
    assert verify(made) == 0
    assert verify(forged(made, tmp_path / "run", answered_anew(column("gradient_evaluations", 10**6)))) == 1
    assert "1,000,000 gradients are more than its steps, and it has no closure" in "".join(capsys.readouterr())


def drawn_anew(how):
    def forge(folder: Path) -> None:
        from assay.report import draw

        how(folder)
        draw(folder)

    return forge


def seconds_shared_out(folder: Path) -> None:
    column("seconds", 1.0)(folder)
    from assay.record import RunFolder

    total = float(RunFolder.open(folder).frame()["seconds"].sum())
    document("timings.json", lambda c: c.update(training_seconds=total))(folder)


def other_reason(content):
    content["numerics"][0]["reason"] = "it is the best"


MEASURED = {
    "why an engine was chosen": document("plan.json", other_reason),
    "what a member took": seconds_shared_out,
    "a library's version": document("result.json", lambda c: c["versions"].update(numpy="9.9")),
    "what all took": document("timings.json", lambda c: c.update(wall_seconds=0.1)),
    "the order of the steps": steps(lambda x: x.reshape(len(x), 2, -1)[:, :, ::-1].reshape(x.shape)),
}


@pytest.mark.parametrize("what", MEASURED)
def test_what_follows_from_nothing_has_another_root(whole, tmp_path, what, capsys):
    published = manifest.root(whole)
    copy = forged(whole, tmp_path / "run", drawn_anew(MEASURED[what]))
    assert verify(copy) == 0, capsys.readouterr().out
    assert published not in capsys.readouterr().out
    assert verify(copy, "--root", published) == 1
    assert "the root of the record is not" in capsys.readouterr().out


def test_the_root_is_shown_wherever_the_verdict_is(whole, capsys):
    root = manifest.root(whole)
    assert len(root) == 64
    assert verify(whole, "--root", root) == 0
    assert f"root of the record: {root}" in capsys.readouterr().out
    assert root in (whole / "report.html").read_text()
    assert json.loads((whole / manifest.NAME).read_text())["root"] == root
    assert root not in (whole / "result.json").read_text()
    assert call(["report", str(whole)]) == 0
    assert manifest.root(whole) == root  # what is drawn from it is no part of it


def test_the_root_is_that_of_a_merkle_tree(tmp_path):
    """By hand, for three files: the third goes up as it is."""
    from hashlib import sha256

    leaves = []
    for name in "abc":
        (tmp_path / name).write_text(name)
        leaves.append(sha256(b"\0" + f"{name}\0{sha256(name.encode()).hexdigest()}".encode()).digest())
    pair = sha256(b"\1" + leaves[0] + leaves[1]).digest()
    (tmp_path / "drawn.png").write_text("not among them")
    assert manifest.root(tmp_path) == sha256(b"\1" + pair + leaves[2]).hexdigest()
    manifest.seal(tmp_path)
    content = json.loads((tmp_path / manifest.NAME).read_text())
    (tmp_path / manifest.NAME).write_text(json.dumps({**content, "root": "0" * 64}))
    assert [str(c) for c in manifest.changes(tmp_path)] == ["manifest.json was changed"]


def test_a_page_that_others_drew_is_said_to_be_beyond_comparison(whole, tmp_path, capsys):
    other = file("report.html", lambda b: b.replace(b"matplotlib ", b"matplotlib 1.", 1))
    assert verify(forged(whole, tmp_path / "run", other)) == 0
    assert "they are not compared" in capsys.readouterr().out


def test_figures_without_their_page_are_no_sound_record(whole, tmp_path, capsys):
    copy = shutil.copytree(whole, tmp_path / "run")
    (copy / "report.html").unlink()
    shutil.copyfile(copy / "speed.png", copy / "differences.png")
    manifest.seal(copy)
    assert verify(copy) == 1
    assert "report.html is missing, and says by what its figures were drawn" in capsys.readouterr().out
    for figure in copy.glob("*.png"):
        figure.unlink()
    manifest.seal(copy)
    assert verify(copy) == 0  # a record that nothing is drawn of


def test_an_end_of_an_interval_near_zero_has_the_digits_of_the_other():
    near, other = {"ci_low": 1.0e-4, "ci_high": 1.6}, {"ci_low": 1.0e-4 + 2e-11, "ci_high": 1.6}
    assert near["ci_low"] != pytest.approx(other["ci_low"], rel=1e-9)
    assert _same([near], [other])
    assert not _same([near], [{**near, "ci_low": 1.1e-4}])


def test_another_release_of_scipy_may_give_another_eleventh_digit(whole, tmp_path):
    copy = forged(whole, tmp_path / "run", moved(3e-11))
    assert call(["report", str(copy)]) == 0  # the page tells the root
    assert verify(copy) == 0


def test_a_report_is_drawn_of_nothing_that_was_forged(whole, tmp_path, capsys):
    copy = forged(whole, tmp_path / "run", document("result.json", told_better))
    before = (copy / "report.html").read_bytes()
    assert call(["report", str(copy)]) == 1
    assert "verdicts is not what the members give" in capsys.readouterr().err
    assert (copy / "report.html").read_bytes() == before


@pytest.mark.parametrize("protocol", ["honest-1", "published"])
def test_trials_that_its_sampler_did_not_ask_for_are_found(tmp_path, monkeypatch, protocol):
    """Really trained and really scored, but where the baseline can't be good."""
    sizes = {"trials": 3, "engine": "loop"} | ({"replicates": 2, "final_seeds": 1} if protocol == "honest-1" else {})
    plan = asked.plan("adam", "sgd", task=tiny.task(), out=tmp_path / "run", protocol=protocol, **sizes)
    own = seeds.sampler
    monkeypatch.setattr(seeds, "sampler", lambda root, k, t, slot: own(root, k, t, slot) + (slot == 0))
    asked.run(plan, 1)
    monkeypatch.setattr(seeds, "sampler", own)
    told = list(faults(tmp_path / "run"))
    assert told
    assert all(line.startswith("adam, replicate") and "not those that the plan's seeds" in line for line in told)
