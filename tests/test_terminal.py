"""What a terminal, a pipe, a full disk and signals get: text and one line, codes of the contract, never a traceback."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from assay import events
from assay.cli import call
from assay.contenders import contenders
from assay.events.text import Screen, line, shown
from assay.record import manifest

from . import asked, tiny
from .test_survival import ROOT, command, workers_of

OBEYED = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
CLEAR = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\rassay: all is well"
SMALL = {"trials": 2, "replicates": 2, "final_seeds": 1, "epochs": 1, "engine": "loop"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    """A run whose names, notes, units and reasons are commands to a terminal and formulas."""
    _, sgd = contenders(["adam", "sgd"])
    sgd = replace(sgd, name=f"=1+1{CLEAR}", note=CLEAR, reference=f"{CLEAR}.py:X")
    task = tiny.task(name=f"t{CLEAR}", margin_reason=CLEAR, reference=f"{CLEAR}.py:task")
    out = tmp_path_factory.mktemp("hostile") / "run"
    return asked.run(asked.plan("adam", sgd, task=task, out=out, **SMALL), 1).folder


def is_text(told: str) -> None:
    assert not OBEYED.search(told), ascii(OBEYED.search(told))


@pytest.mark.parametrize("arguments", [["status"], ["verify"], ["report"], ["verify", "--root", CLEAR]])
def test_names_on_record_dont_reach_the_terminal_as_commands(hostile, arguments, capsys):
    call([arguments[0], str(hostile), *arguments[1:]])
    told = capsys.readouterr()
    is_text(told.out + told.err)
    if arguments == ["status"]:
        assert r"\x1b[2J" in told.out  # it is shown, written out


def test_nor_do_changed_files_and_forged_documents(hostile, tmp_path, capsys):
    copy = shutil.copytree(hostile, tmp_path / "run")
    (copy / "a\u202eb.png").write_bytes(b"")
    content = json.loads((copy / "plan.json").read_text())
    content["science"]["task"]["direction"] = CLEAR
    (copy / "plan.json").write_text(json.dumps(content))
    for name in ("verify", "status", "report"):
        assert call([name, str(copy)]) in (1, 2)
        told = capsys.readouterr()
        is_text(told.out + told.err)


@pytest.mark.parametrize(
    "arguments", [["run", CLEAR, "sgd"], ["status", CLEAR], [CLEAR], ["list", f"--{CLEAR}"], ["check", CLEAR]]
)
def test_nor_what_was_asked_for(arguments, capsys):
    assert call(arguments) == 2
    told = capsys.readouterr()
    is_text(told.out + told.err)


def test_nor_what_a_users_code_says(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine.py").write_text(f"raise ValueError({CLEAR!a})\n")
    monkeypatch.chdir(ROOT)
    assert call(["run", "adam", f"{tmp_path / 'mine.py'}:X", "--task", "tests/tiny.py:task"]) == 2
    told = capsys.readouterr()
    is_text(told.err)
    assert r"\x1b[2J" in told.err


def test_a_verdict_is_text_too_also_as_json(hostile, capsys):
    from assay.cli import printed

    content = json.loads((hostile / "result.json").read_text())
    for json_ in (False, True):
        printed.concluded(hostile, content, json=json_, quiet=False)
        is_text(told := capsys.readouterr().out)
        if json_:
            assert json.loads(told) == content  # the very same value


def test_a_terminal_gets_what_rich_draws_and_nothing_else():
    out = io.StringIO()
    screen = Screen(file=out, force_terminal=True, color_system="standard", width=200, highlight=False)
    screen.print(line(CLEAR), style="red")
    screen.print(CLEAR, markup=False)
    codes = set(re.findall("\x1b[^m]*m", out.getvalue()))
    assert codes == {"\x1b[31m", "\x1b[0m"}
    is_text(re.sub("\x1b\\[[0-9;]*m", "", out.getvalue()))


def test_lines_and_tabs_stay():
    assert shown("a\n\tb − é 優") == "a\n\tb − é 優"
    assert line("a\nb").plain == r"a\nb"


def test_formulas_dont_reach_a_spreadsheet_and_numbers_stay_numbers(hostile, tmp_path):
    import csv

    assert call(["export", str(hostile), "--csv", str(tmp_path / "csv")]) == 0
    for name in ("members.csv", "curves.csv"):
        with (tmp_path / "csv" / name).open(newline="") as file:
            found = list(csv.DictReader(file))
        assert {row["contender"] for row in found} == {"adam", f"'=1+1{CLEAR}"}
    with (tmp_path / "csv" / "members.csv").open(newline="") as file:
        assert all(float(row["hyperparameter lr"]) > 0 for row in csv.DictReader(file))


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_each_sign_that_begins_a_formula_is_quoted(sign):
    import polars as pl

    from assay.export.tables import _cell, _inert

    assert _inert(pl.DataFrame({"contender": [f"{sign}x", "x="], "n": [-1, 2]})).rows() == [
        (f"'{sign}x", -1),
        ("x=", 2),
    ]
    assert _cell(f"{sign}x") == f"'{sign}x"
    assert _cell(-0.5) == "-0.5"


# --------------------------------------------------------------------------------------------------------- processes


def assay(*arguments: str, **how) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "assay", *arguments]
    return subprocess.run(words, cwd=ROOT, text=True, stderr=subprocess.PIPE, timeout=300, check=False, **how)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cant_be_written_is_one_line():
    with open("/dev/full", "w") as full:
        done = assay("list", stdout=full)
    assert done.returncode == 3
    assert done.stderr == (
        "assay: standard output can't be written (No space left on device); make room and run the same command again\n"
    )


@pytest.mark.parametrize(("arguments", "code"), [(["list"], 0), (["status", "/nowhere"], 2)])
def test_output_that_nobody_reads_changes_no_code(arguments, code):
    reading, writing = os.pipe()
    os.close(reading)
    done = assay(*arguments, stdout=writing)
    os.close(writing)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_terminal_that_knows_only_ascii(hostile, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = assay("run", "--help", stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
    for arguments in (["list"], ["status", str(hostile)], ["status", "/nowhere−…é"]):
        done = assay(*arguments, stdout=subprocess.PIPE)
        assert done.returncode in (0, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout.isascii()
        assert done.stderr.isascii()


def semaphores(pid: int) -> set[Path]:
    """Those that a process has open, by their files."""
    return {Path(found) for found in re.findall(r"/dev/shm/sem\.\S+", Path(f"/proc/{pid}/maps").read_text())}


@pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")
@pytest.mark.parametrize("signals", [["SIGTERM"], ["SIGHUP"], ["SIGINT"] * 3])
def test_a_run_that_is_ended_says_that_it_can_be_resumed_and_leaves_nothing(tmp_path, signals, capsys):
    if any(signal.getsignal(getattr(signal, name)) == signal.SIG_IGN for name in signals):
        pytest.skip("whoever started the tests wants it ignored, as nohup does")
    out = tmp_path / "run"
    going = subprocess.Popen(command(out, "--epochs", "2000"), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 240
    while not list(out.glob("members/*.parquet")) and going.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    workers, held = workers_of(going.pid), semaphores(going.pid)
    for name in signals:
        going.send_signal(getattr(signal, name))
        time.sleep(0.05)
    _, errors = going.communicate(timeout=120)
    assert going.returncode == 3, errors
    told = "assay: interrupted" + ("" if signals[0] == "SIGINT" else f" by {signals[0]}")
    assert errors.strip() == f"{told}; what is finished is kept, run the same command again to go on"
    assert not [path for path in held if path.exists()]
    assert workers
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert call(["status", str(out)]) == 0
    assert f"{out}: interrupted, or ended by an error" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- a plan that is lost


def test_a_plan_that_is_deleted_while_it_runs_is_written_again(tmp_path):
    out, gone = tmp_path / "run", []

    def delete(event: events.Event) -> None:
        if isinstance(event, events.Trained) and (out / "plan.json").exists() and len(gone) < 2:
            gone.append((out / "plan.json").read_bytes())
            (out / "plan.json").unlink()

    result = asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=out, **SMALL), 1, delete)
    assert len(gone) == 2
    assert (out / "plan.json").read_bytes() == gone[0]
    assert call(["verify", str(result.folder)]) == 0


@pytest.mark.parametrize("finished", [True, False])
def test_a_run_that_lost_its_plan_goes_on_with_what_the_command_holds(tmp_path, finished):
    out, told = tmp_path / "run", []
    planned = asked.plan("adam", "sgd", task=tiny.task(), out=out, **SMALL)
    before = dict(asked.run(planned, 1).content)
    kept = {p.name: p.stat().st_ino for p in out.glob("members/*")}
    (out / "plan.json").unlink()
    if not finished:
        for name in ("result.json", manifest.NAME):
            (out / name).unlink()
    again = asked.plan("adam", "sgd", task=tiny.task(), out=out, **SMALL)
    assert asked.run(again, 1, told.append).content == before
    assert {p.name: p.stat().st_ino for p in out.glob("members/*")} == kept
    assert any("has lost its plan.json" in e.message for e in told if isinstance(e, events.Warned))
    assert call(["verify", str(out)]) == 0


def test_members_of_another_plan_are_not_taken_for_ones_own(tmp_path):
    from assay.errors import UsageError

    out = tmp_path / "run"
    asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=out, **SMALL), 1)
    (out / "plan.json").unlink()
    other = asked.plan("adam", "sgd", task=tiny.task(), out=out, **{**SMALL, "seed": 5})
    with pytest.raises(UsageError, match=r"has lost its plan.json, and its members are not of what is asked now"):
        asked.run(other, 1)
    assert not (out / "plan.json").exists()
