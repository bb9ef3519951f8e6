"""Submissions and the board of them: what stands, what is refused and why, what other runs say of a claim."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import polars as pl
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from assay.cli import call
from assay.judge.contradiction import exceeds
from assay.openboard.submission import NAME, RECORD, SOURCE
from assay.record import manifest

from . import asked, tiny
from .record.forge import answered_anew, members
from .report.browser import Browser, find

MINE = """
import torch
from factor_of_mine import FACTOR

class Mine(torch.optim.Adam):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=FACTOR * lr)
"""
ASKED = "adam mine.py:Mine --task logistic --epochs 2 --replicates 3 --trials 2 --final-seeds 2 --engine loop --workers 1 --quiet"
RANGES = "--space adam.lr=1e-3..0.1:log --space Mine.lr=1e-3..0.1:log"
ADA = ("--by", "Ada", "--licence", "MIT")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with an optimizer, its helper, and two runs of it; the process is in it."""
    folder = tmp_path_factory.mktemp("work")
    with contextlib.chdir(folder):
        Path("mine.py").write_text(MINE)
        Path("factor_of_mine.py").write_text("FACTOR = 0.9")
        for seed in (0, 1):
            assert call(["run", *ASKED.split(), *RANGES.split(), "--seed", str(seed), "--out", f"r{seed}"]) == 0
        for seed, by in ((0, "Ada"), (1, "Jo")):
            assert call(["submit", f"r{seed}", "--to", "board", "--by", by, "--licence", "MIT"]) == 0
        yield folder
    sys.modules.pop("factor_of_mine", None)  # another may follow in this process, where tests are dealt out anew


@pytest.fixture
def to(work: Path, tmp_path: Path) -> Path:
    """A board of one's own, to spoil."""
    shutil.copytree(work / "board", tmp_path / "board")
    return tmp_path / "board"


def board(to: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    capsys.readouterr()
    assert call(["board", "--from", str(to), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def of(to: Path, by: str) -> Path:
    return next(path.parent for path in to.glob(f"*/{NAME}") if json.loads(path.read_text())["by"] == by)


def test_each_claim_is_judged_anew_beside_the_others_of_its_question(to: Path, capsys) -> None:
    found = board(to, capsys)
    assert not found["refused"]
    assert sorted(claim["by"] for claim in found["claims"]) == ["Ada", "Jo"]
    differences = []
    for claim in found["claims"]:
        verdict = json.loads((to / claim["folder"] / RECORD / "result.json").read_text())["verdicts"][0]
        differences.append(np.array(verdict["details"]["differences"]) / verdict["margin"])
        assert claim["mean"] == pytest.approx(verdict["difference"] / verdict["margin"])
        assert claim["root"] == manifest.root(to / claim["folder"] / RECORD)
    assert differences[0].mean() >= differences[1].mean()
    p = scipy.stats.ttest_ind(*differences, equal_var=False, alternative="greater").pvalue
    assert found["claims"][0]["others"][0]["p"] == pytest.approx(p)
    text = Path(found["page"]).read_text()
    for address in re.findall(r'href="([^"#:]+)"', text):
        assert (to / unquote(address)).is_file(), address


@pytest.mark.skipif(find() is None, reason="no Chromium")
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1400, False)])
def test_its_page_can_be_sorted_and_filtered_and_asks_nobody(to: Path, capsys, width: int, dark: bool) -> None:
    found = board(to, capsys)
    with Browser(find()) as browser:
        browser.open(Path(found["page"]).as_uri(), width, dark)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        rows = "[...document.querySelectorAll('table.sortable tbody tr')]"
        by = f"{rows}.filter(r => !r.hidden).map(r => r.cells[7].textContent).join(' ')"
        click = "document.querySelectorAll('table.sortable thead button')[7].click(); true"
        browser.evaluate(click)
        assert browser.evaluate(by) == "Jo Ada"
        browser.evaluate(click)
        assert browser.evaluate(by) == "Ada Jo"
        typed = "const s = document.getElementById('search'); s.value = '{}'; s.dispatchEvent(new Event('input')); true"
        browser.evaluate("{" + typed.format("JO") + "}")
        assert browser.evaluate(by) == "Ada Jo"  # each names the other, as another run of its question
        browser.evaluate("{" + typed.format("nobody") + "}")
        assert browser.evaluate(by) == ""
        assert not browser.requested
        assert not browser.complaints


def test_a_board_says_what_stands(to: Path, capsys) -> None:
    (of(to, "Jo") / SOURCE / "factor_of_mine.py").write_text("FACTOR = 1.0")
    assert call(["board", "--from", str(to), "--out", str(to / "page.html")]) == 0
    told = capsys.readouterr()
    assert "source 'factor_of_mine.py' was changed" in told.out
    assert "1 claims, 0 of them more than other runs bear out; 1 refused" in told.out
    assert "judging logistic-Mine-" in told.err
    assert "was changed" in (to / "page.html").read_text()


def _tampered(folder: Path) -> None:
    path = next((folder / RECORD / "members").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def _sealed_anew(folder: Path) -> None:
    _better(folder / RECORD)
    manifest.seal(folder / RECORD)


def _better(record: Path) -> None:
    """Every difference that the verdict rests on, and all that is made of it."""
    answered_anew(members(lambda f: f.with_columns(pl.col("test") + 1 / pl.col("test_samples"))))(record)


def _named(**fields: object):
    def change(folder: Path) -> None:
        content = json.loads((folder / NAME).read_text())
        (folder / NAME).write_text(json.dumps({**content, **fields}))

    return change


def _outside(folder: Path) -> None:
    content = json.loads((folder / NAME).read_text())
    _named(files={**content["files"], "../../../etc/passwd": "0" * 64})(folder)


def _link(folder: Path) -> None:
    (folder / SOURCE / "mine.py").unlink()
    (folder / SOURCE / "mine.py").symlink_to("/etc/passwd")


def _other_source(folder: Path) -> None:
    """Other files, and their digests as they are: the plan was made of what was handed in at first."""
    import hashlib

    (folder / SOURCE / "factor_of_mine.py").write_text("FACTOR = 1.0")
    content = json.loads((folder / NAME).read_text())
    digest = hashlib.sha256(b"FACTOR = 1.0").hexdigest()
    _named(files={**content["files"], "factor_of_mine.py": digest})(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_tampered, "its record is not the one that it was submitted with"),
        (_sealed_anew, "its record is not the one that it was submitted with"),
        (_named(version=2), "version 2, this assay reads 1: update assay"),
        (_named(version="x"), "version 'x', this assay reads 1"),
        (_named(praise=1), "can't be read as that of a submission"),
        (_named(by="a\x1b[31m"), "must be one line"),
        (_named(note="n" * 300), "must be one line"),
        (_named(made="yesterday"), "no date"),
        (_outside, "lies outside it"),
        (_link, "'mine.py' can't be read"),
        (_other_source, "the source of Mine isn't in it"),
        (_named(sources={}), "the source of Mine isn't in it"),
        (lambda folder: (folder / NAME).write_text("{"), "can't be read as that of a submission"),
        (lambda folder: shutil.rmtree(folder / RECORD), "no run folder"),
        (lambda folder: (folder / RECORD / "plan.json").write_text("{}"), ""),
    ],
)
def test_what_isnt_what_it_says_is_refused_with_its_reason_and_the_rest_stands(to: Path, spoil, words, capsys) -> None:
    spoil(of(to, "Jo"))
    found = board(to, capsys)
    assert [claim["by"] for claim in found["claims"]] == ["Ada"]
    assert len(found["refused"]) == 1
    assert words in found["refused"][0]["reason"]
    assert "\x1b" not in found["refused"][0]["reason"]


def test_of_two_submissions_of_one_run_the_first_stands(to: Path, capsys) -> None:
    first = of(to, "Ada")
    shutil.copytree(first, to / "copied")
    _named(by="Eve", made="2999-01-01")(to / "copied")
    found = board(to, capsys)
    assert sorted(claim["by"] for claim in found["claims"]) == ["Ada", "Jo"]
    assert found["refused"][0]["reason"].startswith(f"it is the same run as {first.name}")


def test_what_was_forged_throughout_is_refused_where_members_are_trained_again(to: Path, capsys) -> None:
    eve = of(to, "Jo")
    _sealed_anew(eve)
    _named(by="Eve", root=manifest.root(eve / RECORD))(eve)
    shutil.rmtree(of(to, "Ada"))
    assert [claim["by"] for claim in board(to, capsys)["claims"]] == ["Eve"]  # computing alone can't tell
    count = len(pl.read_parquet(to / eve.name / RECORD / "members" / "*.parquet"))
    found = board(to, capsys, "--retrain", str(count))
    assert not found["claims"]
    assert "retrained members are not the same" in found["refused"][0]["reason"]


def test_sound_members_trained_again_are_said_to_the_bit(to: Path, capsys) -> None:
    shutil.rmtree(of(to, "Jo"))
    found = board(to, capsys, "--retrain", "2")
    assert found["claims"][0]["retrained"] == "retrained: 2 the same to the bit"


def test_a_question_that_one_run_answers_is_asked_anew_once(to: Path, capsys) -> None:
    shutil.rmtree(of(to, "Jo"))
    found = board(to, capsys, "--rerun", "2")
    assert sorted(claim["by"] for claim in found["claims"]) == ["Ada", "the board"]
    again = next(claim for claim in found["claims"] if claim["by"] == "the board")
    assert again["replicates"] == 2
    assert again["others"][0]["by"] == "Ada"
    assert len(board(to, capsys, "--rerun", "2")["claims"]) == 2


def test_a_comparison_across_tasks_is_handed_in_as_one(work: Path, tmp_path: Path, capsys) -> None:
    for seed in (0, 1):
        words = f"{ASKED} {RANGES} --task logistic,quadratic --seed {seed} --out {tmp_path}/s{seed}"
        assert call(["run", *words.replace("--task logistic ", "").split()]) == 0
        assert call(["submit", f"{tmp_path}/s{seed}", "--to", str(tmp_path / "to"), *ADA]) == 0
    found = board(tmp_path / "to", capsys)
    assert [claim["where"] for claim in found["claims"]] == ["logistic, quadratic"] * 2
    assert all(len(claim["others"]) == 1 for claim in found["claims"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("r0 --by Ada", "--licence: say under which licence others may have factor_of_mine.py, mine.py"),
        ("r0 --licence MIT --by", "--by: say whose it is"),
        ("r0 --licence MIT --by Ada", "this record was submitted before"),
        ("there_is_none --licence MIT --by Ada", "there is no run folder there_is_none"),
    ],
)
def test_what_cant_be_handed_in_is_one_line(work: Path, capsys, words: str, said: str) -> None:
    capsys.readouterr()
    arguments = words.split() + [""] * words.endswith("--by")
    assert call(["submit", *arguments, "--to", "board"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert len(told.splitlines()) == 1


def test_nor_what_doesnt_verify_or_nobody_else_could_make(work: Path, tmp_path: Path, capsys) -> None:
    changed = tmp_path / "changed"
    shutil.copytree("r0", changed)
    (changed / "result.json").write_text("{}")
    own = asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=tmp_path / "own", trials=2, replicates=2), 1).folder
    Path("factor_of_mine.py").write_text("FACTOR = 0.8")
    edited = call(["submit", "r0", "--to", str(tmp_path / "to"), *ADA])
    Path("factor_of_mine.py").write_text("FACTOR = 0.9")
    assert edited == 2
    assert "was edited since the record was made" in capsys.readouterr().err
    for record, said in ((changed, "doesn't verify"), (own, "was given as a Python object")):
        assert call(["submit", str(record), "--to", str(tmp_path / "to"), *ADA]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("more", [["--retrain", "1"], ["--rerun", "2"]])
def test_a_board_that_is_trained_takes_nothing_of_a_board_of_submissions(more: list[str], capsys) -> None:
    assert call(["board", *more]) == 2
    assert "assay board --from FOLDER" in capsys.readouterr().err


def test_a_board_of_submissions_takes_no_candidates(to: Path, capsys) -> None:
    assert call(["board", "mine.py:Mine", "--from", str(to)]) == 2
    assert "hand yours in with assay submit" in capsys.readouterr().err
    assert call(["board", "--from", str(to), "--rerun", "1"]) == 2
    assert call(["board", "--from", str(to), "--retrain", "1", "--out", str(to)]) == 2
    told = capsys.readouterr()
    assert "it is a folder; name a file" in told.err
    assert "judging" not in told.err


NUMBERS = st.lists(st.floats(-10, 10), min_size=2, max_size=12).filter(lambda x: np.var(x) > 1e-6)


@given(NUMBERS, NUMBERS)
def test_more_than_is_borne_out_is_welchs_test_by_scipy(claim: list[float], other: list[float]) -> None:
    expected = scipy.stats.ttest_ind(claim, other, equal_var=False, alternative="greater").pvalue
    assert exceeds(np.array(claim), np.array(other)) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_nothing_is_said_where_there_is_nothing_to_compare() -> None:
    assert np.isnan(exceeds(np.array([1.0]), np.array([0.0, 1.0])))
    assert exceeds(np.array([1.0, 1.0]), np.array([0.0, 0.0])) == 0
    assert exceeds(np.array([0.0, 0.0]), np.array([0.0, 0.0])) == 0.5
    assert exceeds(np.array([0.0, 0.0]), np.array([1.0, 1.0])) == 1
