"""What can happen to a night's work: a full disk, a read-only place, a killed or hung worker, no memory, a clock that jumps."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.cli import call
from assay.workers.process import WorkerProcess

from .test_fuzz import call as in_this_process

ROOT = Path(__file__).parents[1]
OPTIONS = [
    "--task",
    "tests/tiny.py:task",
    "--trials",
    "3",
    "--replicates",
    "2",
    "--final-seeds",
    "2",
    "--engine",
    "loop",
    "--space",
    "adam.lr=1e-4..0.1:log",
]
OF_SGD = ["--space", "sgd.lr=1e-3..1:log"]  # given, so that there are no pilots
PAIR = ["run", "adam", "sgd", *OPTIONS, *OF_SGD]


def command(out: Path, *more: str, contender: str = "sgd", workers: str = "1") -> list[str]:
    spaces = OF_SGD if contender == "sgd" else []
    start = [sys.executable, "-m", "assay", "run", "adam", contender, *OPTIONS, *spaces, "--workers", workers]
    return [*start, "--quiet", "--out", str(out), *more]


def apart(out: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as users start it."""
    return subprocess.run(command(out), cwd=ROOT, capture_output=True, text=True, check=False)


def run(out: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """In this process, where torch is loaded."""
    arguments = command(out, **options)[3:]
    with contextlib.chdir(ROOT):
        return subprocess.CompletedProcess(arguments, *in_this_process(arguments))


def one_line(done: subprocess.CompletedProcess[str], code: int, words: str) -> None:
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("assay: ")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = apart(folder)
    assert done.returncode == 0, done.stderr
    return folder


def same_result(folder: Path, whole: Path) -> None:
    assert (folder / "result.json").read_bytes() == (whole / "result.json").read_bytes()
    assert not list(folder.rglob(".tmp-*"))
    assert sorted(p.name for p in folder.glob("members/*")) == sorted(p.name for p in whole.glob("members/*"))


def test_a_full_disk_is_said_and_gone_on_from(tmp_path, whole):
    """On a real file system of 60 kB, which is then made larger."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        one_line(run(small / "run"), 3, "the disk is full")
        assert not list(small.rglob(".tmp-*"))
        kept = {p.name: p.stat().st_ino for p in small.glob("run/members/*")}
        assert kept
        subprocess.run(["mount", "-o", "remount,size=20m", str(small)], check=True)
        done = run(small / "run")
        assert done.returncode == 0, done.stderr
        same_result(small / "run", whole)
        assert kept.items() <= {p.name: p.stat().st_ino for p in small.glob("run/members/*")}.items()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_as_a_library_words_it(tmp_path):
    import polars as pl

    from assay.errors import Interrupted
    from assay.record.files import write_atomically

    with pytest.raises(Interrupted, match="disk is full"):
        write_atomically(tmp_path / "file", lambda _: pl.DataFrame({"a": range(10)}).write_parquet("/dev/full"))
    assert not list(tmp_path.iterdir())


def test_a_place_that_cant_be_written(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert call([*PAIR, "--out", "/proc/assay/run"]) == 2
    shown = capsys.readouterr().err
    assert "can't be written" in shown
    assert "make its folder writable" in shown


def unfinished(whole: Path, folder: Path) -> Path:
    """A run that was stopped before its end: nothing is sealed."""
    shutil.copytree(whole, folder)
    for name in ("manifest.json", "result.json"):
        (folder / name).unlink()
    return folder


@pytest.mark.parametrize(("damage", "phase"), [("torn", "tune"), ("flipped", "final"), ("empty", "tune")])
def test_a_damaged_file_of_an_unfinished_run_is_named_and_made_again(tmp_path, whole, phase, damage):
    import polars as pl

    folder = unfinished(whole, tmp_path / "run")
    file = next(f for f in sorted(folder.glob("members/*.parquet")) if pl.read_parquet(f)["phase"][0] == phase)
    content = file.read_bytes()
    torn = {"torn": content[:100], "empty": b"", "flipped": content[:200] + bytes([content[200] ^ 1]) + content[201:]}
    file.write_bytes(torn[damage])
    done = run(folder)
    assert done.returncode == 0, done.stderr
    assert f"members/{file.name} is damaged: set aside" in done.stderr
    assert file.with_suffix(".damaged").read_bytes() == torn[damage]
    assert (folder / "result.json").read_bytes() == (whole / "result.json").read_bytes()


def test_a_second_damaged_file_doesnt_take_the_place_of_the_first(tmp_path):
    from assay.record.files import set_aside

    for content in ("one", "two", "three"):
        (tmp_path / "a.parquet").write_text(content)
        set_aside(tmp_path / "a.parquet")
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == ["one", "three", "two"]


def test_a_first_verdict_that_was_changed_is_not_kept_as_one(tmp_path, whole, monkeypatch, capsys):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "result.json").write_text((folder / "result.json").read_text().replace("inconclusive", "better") + " ")
    monkeypatch.chdir(ROOT)
    longer = [("3" if a == "2" and PAIR[i - 1] == "--replicates" else a) for i, a in enumerate(PAIR)]
    assert call([*longer, "--workers", "1", "--quiet", "--out", str(folder)]) == 2
    assert "was changed since the record was sealed" in capsys.readouterr().err
    assert not (folder / "earlier").exists()


def test_the_past_of_a_record_is_not_rewritten(tmp_path, whole, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)

    def longer(folder: Path) -> list[str]:
        words = command(folder)[3:]
        words[words.index("--replicates") + 1] = "3"
        return words

    assert call(longer(folder)) == 0
    for damage in ("forget", "tear", "lose"):
        copy = tmp_path / damage
        shutil.copytree(folder, copy)
        if damage == "forget":
            plan = json.loads((copy / "plan.json").read_text())
            plan["earlier"] = []
            (copy / "plan.json").write_text(json.dumps(plan))
            (copy / "manifest.json").unlink()
        elif damage == "tear":
            (copy / "earlier" / "2" / "result.json").write_text("5")
        else:
            shutil.rmtree(copy / "earlier")
        capsys.readouterr()
        assert call(longer(copy)) == 2
        assert "earlier" in capsys.readouterr().err
        assert call(["verify", str(copy)]) == 1
        assert "earlier" in capsys.readouterr().out


def test_status_of_a_finished_run_names_what_was_damaged_since(tmp_path, whole, capsys):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    assert call(["status", str(folder)]) == 0
    assert capsys.readouterr().out.endswith("finished\n")
    weak = next(iter(sorted(folder.glob("scores/*.parquet"))))
    weak.write_bytes(weak.read_bytes()[:-20])
    assert call(["status", str(folder)]) == 0
    told = capsys.readouterr().out
    assert f"scores/{weak.name} was changed" in told
    assert "not as it was sealed" in told


def test_a_finished_run_gives_its_verdict_and_nothing_of_it_is_written_again(tmp_path, whole, monkeypatch, capsys):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    monkeypatch.chdir(ROOT)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    assert call(command(folder)[3:]) == 0
    told = capsys.readouterr()
    assert json.loads((whole / "result.json").read_text())["verdicts"][0]["outcome"] in told.out
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before


def test_status_while_a_run_is_being_prepared(tmp_path, capsys):
    from assay.record.lock import locked

    with locked(tmp_path / "run"):
        assert call(["status", str(tmp_path / "run")]) == 0
    assert "running" in capsys.readouterr().out
    assert call(["status", str(tmp_path / "run")]) == 2


@pytest.mark.parametrize("place", ["../elsewhere", "/etc", "a/b", "..", ""])
def test_a_suite_doesnt_lead_out_of_its_folder(tmp_path, whole, place, capsys):
    from assay.record.suite import NAME, VERSION

    entry = {"name": "tiny", "folder": place}
    (tmp_path / NAME).write_text(
        json.dumps({"version": VERSION, "baseline": "adam", "candidates": ["sgd"], "entries": [entry]})
    )
    assert call(["status", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err


def workers_of(pid: int) -> list[int]:
    """Processes that descend from a process and run its workers."""
    found, family = [], {pid}
    for _ in range(3):
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                name = (entry / "cmdline").read_text()
            except (OSError, IndexError):
                continue
            if parent in family and int(entry.name) not in family:
                family.add(int(entry.name))
                if "forkserver" in name:
                    found.append((int(entry.name), parent))
    servers = {parent for _, parent in found}
    return [worker for worker, _ in found if worker not in servers]


@pytest.mark.skipif(not Path("/proc").exists(), reason="workers are found in /proc")
def test_a_killed_worker_costs_what_it_was_doing(tmp_path, whole):
    long = ["--epochs", "2000"]
    going = subprocess.Popen(command(tmp_path / "run", *long), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("run/members/*.parquet")) and going.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    for worker in workers_of(going.pid):
        os.kill(worker, signal.SIGKILL)
    _, errors = going.communicate(timeout=60)
    assert going.returncode == 3, errors
    assert "a worker process was lost" in errors
    assert "Traceback (most recent call last)" not in errors
    assert len(list(tmp_path.glob("run/members/*.parquet"))) >= 1
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_worker_killed_while_it_begins_is_no_traceback(tmp_path, monkeypatch, capsys):
    """Found by benchmarks/chaos.py: the server that starts workers, or the pipe to it, is gone."""

    def gone(self, context, owner):
        raise EOFError("unexpected EOF")

    monkeypatch.setattr(WorkerProcess, "__init__", gone)
    monkeypatch.chdir(ROOT)
    assert call([*PAIR, "--workers", "1", "--quiet", "--out", str(tmp_path / "run")]) == 3
    assert "a worker process was lost" in capsys.readouterr().err


MINE = """
import time
import torch

class Mine(torch.optim.SGD):
    def step(self, closure=None):
        {body}
        return super().step(closure)
"""


def mine(tmp_path: Path, body: str) -> str:
    file = tmp_path / "mine.py"
    file.write_text(MINE.format(body=body))
    return f"{file}:Mine"


def test_too_few_open_files_are_said_before_a_worker_starts(tmp_path):
    limited = ["bash", "-c", f"ulimit -n 40; {shlex.join(command(tmp_path / 'run'))}"]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=False)
    one_line(done, 2, "ulimit -n 64")


BRITTLE = """
import multiprocessing
import torch

def here():
    if multiprocessing.parent_process() is not None:
        raise OSError("no such weights")

class Brittle:
    def __reduce__(self):
        return here, ()

class Mine(torch.optim.SGD):
    table = Brittle()
"""


def test_code_that_cant_be_loaded_in_a_worker_is_named(tmp_path):
    (tmp_path / "brittle.py").write_text(BRITTLE)
    done = run(tmp_path / "run", contender=f"{tmp_path / 'brittle.py'}:Mine", workers="2")
    assert done.returncode == 2
    assert done.stderr.startswith("assay: the code of Mine can't be loaded in a worker: OSError: no such weights\n")


def test_no_memory_is_resumable(tmp_path):
    contender = mine(tmp_path, "torch.empty(10**15)")
    one_line(run(tmp_path / "run", contender=contender), 3, "out of memory while Mine trained")


def test_a_clock_that_jumps_changes_nothing(tmp_path, whole, monkeypatch):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    for i, path in enumerate(sorted(copy.rglob("*"))):
        os.utime(path, (4e9 if i % 2 else 1.0,) * 2)
    (copy / "result.json").unlink()
    sorted(copy.glob("members/*"))[0].unlink()
    jumps = "import time; now = iter(range(10**9, 0, -1000)); time.time = lambda: float(next(now))\n"
    (tmp_path / "sitecustomize.py").write_text(jumps)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    done = apart(copy)
    assert done.returncode == 0, done.stderr
    same_result(copy, whole)
    assert call(["verify", str(copy)]) == 0


@pytest.mark.parametrize("arguments", [["status"], ["report"], ["verify"], ["export", "--csv", "x"]])
def test_a_record_from_a_newer_version(tmp_path, whole, capsys, arguments):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    plan = json.loads((copy / "plan.json").read_text())
    (copy / "plan.json").write_text(json.dumps({**plan, "version": 99, "something": "new"}))
    (copy / "manifest.json").unlink()
    assert call([arguments[0], str(copy), *arguments[1:]]) == 2
    shown = capsys.readouterr().err
    assert "version 99" in shown
    assert "use the assay that made it" in shown
    assert len(shown.strip().splitlines()) == 1


def test_a_plan_that_names_a_file_that_is_gone(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    contender = mine(tmp_path, "pass")
    assert run(tmp_path / "run", contender=contender).returncode == 0
    (tmp_path / "mine.py").unlink()
    capsys.readouterr()
    for arguments in (
        ["run", "adam", contender, *OPTIONS, "--out", str(tmp_path / "run")],
        ["verify", str(tmp_path / "run"), "--retrain", "1"],
    ):
        assert call(arguments) == 2
        shown = capsys.readouterr().err
        assert "no file" in shown
        assert "mine.py" in shown
    for arguments in (["status"], ["verify"], ["report"]):  # none of these needs it
        assert call([*arguments, str(tmp_path / "run")]) == 0
