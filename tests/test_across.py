"""A comparison across tasks as a user meets it: folders, verdict, verification, going on, stress axes, faults."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from assay import events
from assay.answer import cells
from assay.answer.arrays import RecordArrays
from assay.answer.suite import read
from assay.cli import call
from assay.core import Contender, Split, Splits
from assay.core.verdict import Flip
from assay.driver import verify
from assay.errors import NoVerdict, UsageError
from assay.record import RunFolder
from assay.record.suite import open_suite
from assay.space import Float

from . import asked, tiny

SMALL = {"trials": 2, "replicates": 3, "final_seeds": 2, "engine": "loop", "protocol": "honest-1"}
OPTIONS = [
    *("--trials", "2", "--replicates", "3", "--final-seeds", "2", "--workers", "1", "--engine", "loop"),
    *("--protocol", "honest-1"),
]
FILE = """
import dataclasses
from tests import tiny
def one(width: int = 8, label_noise: float = 0.0):
    import torch
    model = lambda: torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 2))
    return tiny.task(name="one", model=model, family="clouds", options={} if width == 8 else {"width": width})
def two():
    return tiny.task(name="two", family="clouds", margin=0.1)
def three():
    return tiny.task(name="three", family="others")
def same():
    return tiny.task(name="same")
def again():
    return tiny.task(name="again")
"""


@pytest.fixture(scope="module")
def where(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("across")
    (folder / "mine.py").write_text(FILE)
    return folder


@pytest.fixture(scope="module")
def finished(where) -> Path:
    """Three tasks on two data sources, from the command line."""
    names = ",".join(f"{where / 'mine.py'}:{name}" for name in ("one", "two", "three"))
    code = call(["run", "adam", "sgd", "rmsprop", "--task", names, *OPTIONS, "--out", str(where / "run"), "--quiet"])
    assert code == 0
    return where / "run"


def content(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_every_task_has_a_run_folder_and_the_page_shows_them_all(finished):
    for name in ("one", "two", "three"):
        assert content(finished / name)["verdicts"][0]["details"]["level"] == pytest.approx(1 - 0.05 / 3 / 2)
    found = content(finished)
    assert [v["candidate"] for v in found["verdicts"]] == ["sgd", "rmsprop"]
    page = (finished / "report.html").read_text()
    assert all(f">{name}<" in page for name in ("one", "two", "three"))
    assert "3 tasks · honest-1 protocol" in page
    assert "and all intervals of the tasks' columns" in page
    assert (finished / "across_plot.png").read_bytes().startswith(b"\x89PNG")
    assert "seconds" not in (finished / "result.json").read_text()


def test_a_tasks_page_leads_back_and_verifies_when_it_is_moved_out(finished, tmp_path):
    up = 'href="../report.html"'
    assert up in (finished / "one" / "report.html").read_text()
    alone = shutil.copytree(finished / "one", tmp_path / "alone")
    assert call(["verify", str(alone)]) == 0
    assert call(["report", str(alone)]) == 0
    assert up not in (alone / "report.html").read_text()
    assert call(["verify", str(alone)]) == 0


def test_tasks_that_saw_the_same_data_are_one_source_whatever_they_are_called(where):
    names = ",".join(f"{where / 'mine.py'}:{name}" for name in ("same", "again"))
    assert call(["run", "adam", "sgd", "--task", names, *OPTIONS, "--out", str(where / "same"), "--quiet"]) == 0
    found = content(where / "same")
    assert {t["source"] for t in found["tasks"]} == {"same"}
    (verdict,) = found["verdicts"]
    assert verdict["ci_low"] is None
    assert verdict["outcome"] == "inconclusive"
    assert list(verify.faults(where / "same")) == []


def test_an_axis_that_a_task_of_the_suite_lacks_leaves_it_as_it_is():
    told: list[str] = []
    jobs = asked.plan("adam", "sgd", task="suite", width=[16, 32], warn=told.append, **SMALL).suite
    assert told == ["--width is nothing to logistic: run without it"]
    assert [e.name for e in jobs.entries if e.task == "logistic"] == ["logistic"]
    assert len([e for e in jobs.entries if e.task == "digits"]) == 2


def test_a_candidate_that_cant_be_made_for_a_task_has_no_part_in_it(where):
    told: list[str] = []
    one, muon = f"{where / 'mine.py'}:one", "muon=assay.contenders.muon:muon"
    with pytest.raises(UsageError, match="for any of these tasks"):
        asked.plan("adam", muon, task="quadratic,logistic", **SMALL)
    (single, none) = asked.plan("adam", muon, "sgd", task=f"{one},logistic", warn=told.append, **SMALL).suite.entries
    assert not single.skipped
    assert list(none.skipped) == ["muon"]
    assert "muon has no part in task logistic" in told[0]


def test_a_task_in_which_no_candidate_has_a_part_is_said_to_be_left_out(where, tmp_path):
    tasks = f"{where / 'mine.py'}:one,{where / 'mine.py'}:three,logistic"
    muon = "muon=assay.contenders.muon:muon"
    command = ["run", "adam", muon, "--task", tasks, *OPTIONS, "--out", str(tmp_path / "run"), "--quiet"]
    assert call(command) == 0
    (verdict,) = content(tmp_path / "run")["verdicts"]
    said = "logistic is left out, for no candidate has a part in it (doesn't apply: no hidden matrix)."
    assert said in verdict["sentence"]
    assert said.split(",")[0] in (tmp_path / "run" / "report.html").read_text()
    assert call(["verify", str(tmp_path / "run")]) == 0
    assert open_suite(tmp_path / "run").without == {"logistic": "doesn't apply: no hidden matrix"}


def test_a_candidate_that_fails_when_it_is_made_is_one_clear_line(where, capsys):
    (where / "breaks.py").write_text(
        "class Breaks:\n    def __init__(self, params, lr):\n        raise TypeError('no such thing')\n"
    )
    names = ",".join(f"{where / 'mine.py'}:{name}" for name in ("one", "two"))
    assert (
        call(["run", "adam", f"{where / 'breaks.py'}:Breaks", "--task", names, *OPTIONS, "--out", str(where / "no")])
        == 2
    )
    said = capsys.readouterr().err
    assert "Breaks fails when it is made for task one: TypeError: no such thing" in said
    assert "Traceback" not in said
    assert not (where / "no").exists()


def test_the_headline_is_what_scipy_makes_of_the_members(finished):
    found = content(finished)["verdicts"][0]
    means = {}
    for name, margin in (("one", 0.02), ("two", 0.1), ("three", 0.02)):
        frame = RunFolder.open(finished / name).frame()
        last = frame.filter(frame["phase"] == "final")
        mean = {s: np.nanmean([c[-1] for c in last.filter(last["slot"] == s)["test"]]) for s in (0, 1)}
        means[name] = (mean[1] - mean[0]) / margin
    by_source = [np.mean([means["one"], means["two"]]), means["three"]]
    low, high = stats.t.interval(1 - 0.05 / 2, 1, loc=np.mean(by_source), scale=stats.sem(by_source))
    assert (found["difference"], found["ci_low"], found["ci_high"]) == pytest.approx(
        (np.mean(by_source), low, high), rel=1e-9
    )
    assert found["details"]["sources"] == pytest.approx({"clouds": by_source[0], "others": by_source[1]}, rel=1e-9)
    u = []
    for name in ("one", "two", "three"):
        frame = RunFolder.open(finished / name).frame()
        ends = [
            [c[-1] for c in frame.filter((frame["phase"] == "final") & (frame["slot"] == s))["test"]] for s in (1, 0)
        ]
        u.append(stats.mannwhitneyu(*ends).statistic / 36)
    assert found["details"]["descriptive"]["improvement"] == pytest.approx(np.mean(u), rel=1e-9)


def test_steps_to_the_target_count_misses_as_infinite(finished):
    run = RunFolder.open(finished / "three")
    frame = run.frame()
    arrays = RecordArrays(run.plan, frame)
    studies = [arrays.study(0, k) for k in range(3)]
    target = np.median([s.validation[s.chosen] for s in studies])
    steps = []
    for curve in frame.filter((frame["phase"] == "final") & (frame["slot"] == 1))["validation"]:
        there = [i for i, x in enumerate(curve, start=1) if x >= target]
        steps.append(4 * there[0] if there else np.inf)  # 100 samples in batches of 32
    cell = content(finished)["verdicts"][0]["tasks"][2]["steps"]
    median = float(np.median(steps))
    assert cell["target"] == pytest.approx(target)
    assert cell["candidate_median"] == (median if np.isfinite(median) else None)
    assert cell["candidate_reached"] == np.mean(np.isfinite(steps))


def test_it_is_verified_without_torch_and_a_change_is_named(finished, tmp_path, capsys):
    script = (
        "import sys; from assay.cli import call; code = call(sys.argv[1:]); sys.exit(code or 'torch' in sys.modules)"
    )
    for command in ("verify", "status", "report"):
        done = subprocess.run([sys.executable, "-c", script, command, str(finished)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    copied = tmp_path / "copy"
    shutil.copytree(finished, copied)
    changed = content(copied)
    changed["verdicts"][0]["outcome"] = "better"
    (copied / "result.json").write_text(json.dumps(changed))
    assert call(["verify", str(copied)]) == 1
    assert "result.json: verdicts is not what the members give" in capsys.readouterr().out
    shutil.rmtree(copied)
    shutil.copytree(finished, copied)
    member = next((copied / "two" / "members").glob("*.parquet"))
    member.unlink()
    assert call(["verify", str(copied)]) == 1
    assert f"two: members/{member.name} is missing" in capsys.readouterr().out
    assert call(["verify", str(copied), "--retrain", "1"]) == 1  # what is broken is said first
    assert call(["verify", str(finished), "--retrain", "1"]) == 2


def test_run_again_it_repeats_nothing_and_gives_the_same_bytes(where, finished):
    before = {p.relative_to(finished): p.read_bytes() for p in finished.rglob("*.json") if p.name == "result.json"}
    (finished / "two" / "manifest.json").unlink()  # as if it had been killed before that task was sealed
    tasks = ",".join(f"{where / 'mine.py'}:{name}" for name in ("one", "two", "three"))
    seen: list[events.Event] = []
    jobs = asked.plan("adam", "sgd", "rmsprop", task=tasks, out=finished, **SMALL)
    asked.run(jobs, 1, seen.append)
    assert all(e.recorded for e in seen if isinstance(e, events.Trained))
    assert [e.task for e in seen if isinstance(e, events.TaskBegins)] == ["one", "two", "three"]
    assert before == {
        p.relative_to(finished): p.read_bytes() for p in finished.rglob("*.json") if p.name == "result.json"
    }
    assert call(["verify", str(finished)]) == 0
    with pytest.raises(UsageError, match="another comparison"):
        asked.run(asked.plan("adam", "sgd", task=tasks, out=finished, **SMALL), 1)


def test_a_stress_axis_is_a_run_for_each_value_of_one_data_source(where, capsys):
    reference = f"{where / 'mine.py'}:one"
    out = where / "axis"
    arguments = [
        "run",
        "adam",
        "sgd",
        "--task",
        reference,
        "--width",
        "4",
        "--width",
        "16",
        *OPTIONS,
        "--out",
        str(out),
    ]
    assert call([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [t["name"] for t in found["tasks"]] == ["one (width 4)", "one (width 16)"]
    assert found["verdicts"][0]["ci_low"] is None  # one data source, whatever the width
    assert "one data source gives no interval" in found["verdicts"][0]["sentence"]
    assert "--width 4" in (out / "report.html").read_text()
    plans = [RunFolder.open(out / f"one-width-{w}").plan.science.task.options for w in (4, 16)]
    assert plans == [{"width": 4}, {"width": 16}]


def test_a_rank_flip_is_found_where_the_order_really_turns(tmp_path):
    """Each of two optimizers stands still at the batch size where the other one learns."""

    def only(few_steps: bool, name: str) -> Contender:
        def make(model, run, lr):
            return torch.optim.SGD(model.parameters(), lr=lr if (run.steps_per_epoch == 1) == few_steps else 1e-12)

        return Contender(name, make, {"lr": Float(0.1, 1.0, log=True)})

    def easy(seed: int) -> Splits:
        draw = np.random.default_rng(seed)

        def split(n: int) -> Split:
            y = np.arange(n) % 2  # whoever stands still scores a half
            return Split((0.1 * draw.normal(size=(n, 4)) + y[:, None]).astype(np.float32), y)

        return Splits(split(96), split(200), split(200))

    def level() -> nn.Module:
        model = nn.Linear(4, 2)
        for p in model.parameters():
            nn.init.zeros_(p)
        return model

    task = tiny.task(data=easy, model=level, epochs=6, family="easy")
    arms = only(True, "at large"), only(False, "at small")
    options = {"trials": 1, "replicates": 3, "final_seeds": 2, "engine": "loop"}
    jobs = asked.plan(*arms, task=[task], batch_size=[16, 96], out=tmp_path / "flip", **options)
    (verdict,) = asked.run(jobs, 1).verdicts
    assert verdict.details.flips == [Flip(task="clouds", better="batch size 16", worse="batch size 96")]
    assert "better at batch size 16, worse at batch size 96" in verdict.sentence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "digits,digits"], "digits comes twice"),
        (["--task", "digits,nothing"], "no task is called 'nothing'"),
        (["--task", "digits,quadratic", "--margin", "1"], "--margin is in one task's unit"),
        (["--task", "digits,quadratic", "--protocol", "published"], "decides nothing"),
        (["--task", "digits,quadratic", "--train-samples", "100"], "takes no --train-samples"),
    ],
)
def test_faults_are_one_line_and_code_2(capsys, arguments, message):
    assert call(["run", "adam", "sgd", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_verdict_on_one_task_is_said_and_on_all_is_code_4(tmp_path):
    def nothing(model, run, lr):
        return torch.optim.SGD(model.parameters(), lr=float("inf") if model[0].out_features == 9 else lr)

    from assay.contenders import contenders
    from assay.core import Contender

    (sgd,) = contenders(["sgd"])
    a, b = (Contender(name, nothing, sgd.space) for name in "ab")
    broken = tiny.task(name="broken", model=lambda: nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 2)))
    found = asked.run(asked.plan(a, b, task=[tiny.task(), broken], out=tmp_path / "one", **SMALL), 1)
    assert "No verdict can be given on broken." in found.verdicts[0].sentence
    assert call(["verify", str(tmp_path / "one" / "clouds")]) == 0
    assert call(["verify", str(tmp_path / "one")]) == 0
    with pytest.raises(NoVerdict):
        asked.run(asked.plan(a, b, task=[broken], out=tmp_path / "two", **SMALL), 1)


@pytest.fixture(scope="module")
def second(where) -> Path:
    """The same three tasks, by the second edition."""
    names = ",".join(f"{where / 'mine.py'}:{name}" for name in ("one", "two", "three"))
    few = ["--trials", "3", "--replicates", "3", "--final-seeds", "2", "--workers", "1", "--engine", "loop", "--quiet"]
    spaces = [word for name in ("adam", "sgd", "rmsprop") for word in ("--space", f"{name}.lr=1e-3..1e-1:log")]
    command = ["run", "adam", "sgd", "rmsprop", "--task", names, "--protocol", "honest"]
    assert call([*command, *few, *spaces, "--out", str(where / "second")]) == 0
    return where / "second"


def test_in_the_second_edition_these_tasks_decide_and_cells_have_a_false_coverage_rate(second):
    out = second
    folders = {name: RunFolder.open(out / name) for name in ("one", "two", "three")}
    found, arrays = content(out), {name: RecordArrays(folder.plan, folder.frame()) for name, folder in folders.items()}
    for slot, verdict in enumerate(found["verdicts"], start=1):
        gaps = {
            n: (a.scores(slot) - a.scores(0)).mean(axis=1) / a.task.margin for n, a in arrays.items()
        }  # one and two are of one family
        clouds, others = (gaps["one"] + gaps["two"]) / 2, gaps["three"]
        wanted = stats.ttest_ind(clouds, -others, equal_var=False).confidence_interval(1 - 0.05 / 2)
        assert (verdict["ci_low"], verdict["ci_high"]) == pytest.approx((wanted.low / 2, wanted.high / 2))
        assert "on these tasks (97.5 % interval" in verdict["sentence"]
        assert "at a false coverage rate of 5 %" in verdict["sentence"]
    level = found["levels"]["tasks"]
    decided = [c["outcome"] for v in found["verdicts"] for c in v["tasks"] if c["outcome"] != "inconclusive"]
    assert level == pytest.approx(1 - max(1, len(decided)) * 0.05 / 6)
    for v in found["verdicts"]:
        for cell in v["tasks"]:
            own = gaps_of(arrays[cell["task"]], [x["candidate"] for x in found["verdicts"]].index(v["candidate"]) + 1)
            ends = stats.ttest_1samp(own, 0).confidence_interval(level)
            assert (cell["ci_low"], cell["ci_high"]) == pytest.approx((ends.low, ends.high))
    assert content(out / "one")["verdicts"][0]["details"]["level"] == 0.975  # as where it is asked about alone
    assert list(verify.faults(out)) == []
    page = " ".join((out / "report.html").read_text().split())
    assert "means over these tasks" in page
    assert "3 tasks · honest protocol" in page
    assert "have a false coverage rate of 5 %: of those that say something" in page
    assert "all intervals of the tasks' columns" not in page


def gaps_of(arrays: RecordArrays, slot: int) -> np.ndarray:
    return (arrays.scores(slot) - arrays.scores(0)).mean(axis=1) / arrays.task.margin


def test_cells_that_an_edge_holds_back_are_not_counted_among_those_that_say_something(second, monkeypatch):
    """Else the others' intervals were narrower than their false coverage rate allows."""
    suite = open_suite(second)
    runs = [read(entry, second) for entry in suite.entries]
    monkeypatch.setattr("assay.answer.cells.outcome", lambda low, high, margin: "worse")
    monkeypatch.setattr(cells.Judged, "holds_back", lambda self, decided, verdict: self.entry.name != "one")
    level = cells.covered(suite, runs)
    assert level == pytest.approx(1 - 2 * suite.cells_alpha / 6)  # two candidates on one task of three
    said = [cells.cell(run, name, level).outcome for run in runs for name in suite.candidates]
    assert said == ["worse"] * 2 + ["inconclusive"] * 4
