"""Users' code that ends processes, hangs, forks, prints, or makes what it should not: a line each, and nothing lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from assay.cli import call
from assay.contenders import guard
from assay.contenders.load import changes_of, load
from assay.errors import UsageError
from assay.record import RunFolder, manifest, output

ROOT = Path(__file__).parents[1]
TASK = ["--task", str(ROOT / "tests" / "tiny.py") + ":task"]
FEW = [*TASK, "--trials", "1", "--replicates", "2", "--final-seeds", "1", "--engine", "loop", "--workers", "1"]

MINE = """
import os, signal, sys, threading, time
import torch
{head}

class Mine(torch.optim.SGD):
    count = 0
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)

    def step(self, closure=None):
        self.count += 1
        if self.count == 3:
            {body}
        return super().step(closure)

def factory(model, lr, run=None):
    {factory}
"""


def mine(folder: Path, body: str = "pass", head: str = "", factory: str = "pass", name: str = "Mine") -> str:
    folder.mkdir(exist_ok=True)
    file = folder / "mine.py"
    file.write_text(MINE.format(body=body, head=head, factory=factory))
    return f"mine={file}:{name}"


def run(contender: str, out: Path | str, *more: str) -> int:
    return call(["run", "sgd", contender, *FEW, "--out", str(out), "--quiet", *more])


def one_fault(capsys, *words: str) -> str:
    shown = capsys.readouterr()
    assert shown.out == ""
    said = [line for line in shown.err.splitlines() if line.startswith("assay: ")]
    faults = [line for line in said if "beyond the plan" not in line]  # which is a warning
    assert len(faults) == 1, shown.err
    assert "Traceback" not in shown.err
    for word in words:
        assert word in shown.err
    return shown.err


UNSTR = "class Odd(Exception):\n    def __str__(self):\n        raise RuntimeError('no words')\n"
ENDS = {
    "sys.exit(0)": ("", "sys.exit(0)", "SystemExit: 0"),
    "GeneratorExit": ("", "raise GeneratorExit", "GeneratorExit"),
    "a BaseException": ("class Own(BaseException): pass", "raise Own('mine')", "Own: mine"),
    "KeyboardInterrupt": ("", "raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an error without words": (UNSTR, "raise Odd", "Odd"),
    "os._exit": ("", "os._exit(0)", "its code ended its process (exit code 0)"),
    "a segfault": ("", "os.kill(os.getpid(), signal.SIGSEGV)", "its process crashed with SIGSEGV"),
    "abort": ("", "os.abort()", "its process crashed with SIGABRT"),
    "an alarm": ("", "os.kill(os.getpid(), signal.SIGALRM)", "its process crashed with SIGALRM"),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_ends_a_process_is_named_with_its_contender(tmp_path, capsys, case):
    head, body, words = ENDS[case]
    assert run(mine(tmp_path, body, head), tmp_path / "run") == 2
    told = one_fault(capsys, words, "mine")
    if "its process" in words or "its code" in words:
        assert "while mine trained (pilot 0)" in told
        assert "it would again" in told
        assert "it goes on" not in told
    assert RunFolder.open(tmp_path / "run").path.exists()  # the plan, to go on with
    assert not list((tmp_path / "run").rglob(".tmp-*"))


def test_a_process_that_is_killed_from_outside_is_no_fault_of_its_contender(tmp_path, capsys):
    assert run(mine(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)"), tmp_path / "run") == 3
    one_fault(capsys, "a worker process was lost while mine trained", "it goes on")


GOES_ON = {
    "a thread that is no daemon": "threading.Thread(target=lambda: time.sleep(1000)).start()",
    "a fork whose child carries on": "os.fork()",
    "another working folder": "os.chdir('/')",
    "gradients taken off": "[setattr(p, 'grad', None) for g in self.param_groups for p in g['params']]",
}


@pytest.mark.parametrize("case", GOES_ON)
def test_what_need_not_end_a_run_does_not(tmp_path, capsys, monkeypatch, case):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run(mine(tmp_path, GOES_ON[case]), "run", "--json") == 0, capsys.readouterr().err
    folder = tmp_path / "here" / "run"
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "result.json").read_text())
    assert manifest.sealed(folder)
    assert call(["verify", str(folder)]) == 0
    question = RunFolder.open(folder).frame().filter(pl.col("phase") != "pilot")
    assert len(question) == 2 * 2 * 2


TAKING = """
class Taking(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                with torch.no_grad():
                    p.sub_(group["lr"] * p.grad.sign())
                p.grad = None
"""


def test_a_step_that_takes_gradients_off_is_not_timed_and_costs_nothing_else(tmp_path, capsys):
    assert run(mine(tmp_path, head=TAKING, name="Taking"), tmp_path / "run") == 0
    assert "Traceback" not in capsys.readouterr().err
    assert list(json.loads((tmp_path / "run" / "timings.json").read_text())["optimizer_step_seconds"]) == ["sgd"]
    assert call(["verify", str(tmp_path / "run")]) == 0


def test_a_lock_that_a_factory_holds_is_one_line(tmp_path, capsys):
    contender = mine(tmp_path, head="LOCK = threading.Lock()", factory="LOCK; return Mine([], lr)", name="factory")
    assert run(contender, tmp_path / "run") == 2
    one_fault(capsys, "mine can't be sent to a worker process", "lock")


SCHEDULE = "return torch.optim.lr_scheduler.StepLR(Mine(model.parameters(), lr), 1)"
OTHERS = {
    "a scheduler": ("", SCHEDULE, "a schedule: its step() changes the rate and trains nothing"),
    "another class each time": (
        "import itertools\nKINDS = [Mine_ for Mine_ in (torch.optim.SGD, torch.optim.Adam)]",
        "KINDS.reverse(); return KINDS[0](model.parameters(), lr=lr)",
        "at one time and a",
    ),
    "a class that is drawn": (
        "import random",
        "return random.choice([torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop])(model.parameters(), lr=lr)",
        "at one time and a",
    ),
    "a rate that is drawn": (
        "import numpy as np",
        "return Mine(model.parameters(), lr * np.random.rand())",
        "with another lr at each time",
    ),
    "nothing": ("", "pass", "returns None instead of an optimizer"),
    "a coroutine": ("async def later(): pass", "return later()", "which has no step()"),
    "a module": ("", "return model", "which has no step()"),
}


@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("case", OTHERS)
def test_what_a_factory_makes_is_seen_to_before_training(tmp_path, capsys, case):
    head, factory, words = OTHERS[case]
    assert run(mine(tmp_path, head=head, factory=factory, name="factory"), tmp_path / "run") == 2
    one_fault(capsys, words, "mine")
    assert not (tmp_path / "run" / "plan.json").exists()


def test_what_is_printed_goes_to_the_log_and_nowhere_else(tmp_path, capfd):
    printing = (
        "print('from Python'); os.system('echo from a child'); os.write(1, b'from C\\n'); print('er', file=sys.stderr)"
    )
    head = "print('imported'); os.system('echo imported by a child')"
    assert run(mine(tmp_path, printing, head), tmp_path / "run", "--json") == 0
    shown = capfd.readouterr()
    json.loads(shown.out)
    assert "from" not in shown.err
    log = (tmp_path / "run" / output.NAME).read_text()
    for line in ("imported", "imported by a child", "from Python", "from a child", "from C", "er"):
        assert f"\n{line}\n" in log
    assert "== while mine trained (tune 0 of replicate 0)" in log
    assert output.NAME not in json.loads((tmp_path / "run" / manifest.NAME).read_text())["files"]
    (tmp_path / "run" / output.NAME).unlink()
    assert call(["verify", str(tmp_path / "run")]) == 0


def test_the_last_lines_printed_stand_under_an_error(tmp_path, capsys):
    body = "[print('line', i) for i in range(9)]; sys.exit('enough')"
    assert run(mine(tmp_path, body), tmp_path / "run") == 2
    told = one_fault(capsys, "SystemExit: enough", "it printed last:\n    line 4\n", "    line 8")
    assert "line 3" not in told
    assert "line 0" in (tmp_path / "run" / output.NAME).read_text()
    assert run(mine(tmp_path / "other", head="print('so far'); sys.exit(0)"), tmp_path / "exits") == 2
    one_fault(capsys, "SystemExit: 0", "so far")


def test_a_run_that_left_only_a_log_can_be_begun_again(tmp_path, capsys):
    assert (
        run(mine(tmp_path, head="print('x')", factory="print('y'); sys.exit(3)", name="factory"), tmp_path / "run") == 2
    )
    assert [p.name for p in (tmp_path / "run").iterdir()] == [output.NAME]
    capsys.readouterr()
    assert call(["run", "sgd", "adam", *FEW, "--out", str(tmp_path / "run"), "--quiet"]) == 0


IMPORTED = """
torch.set_default_dtype(torch.float64)
torch.optim.SGD.step = lambda self, closure=None: None
torch.nn.functional.cross_entropy = lambda *a, **k: 0
os.environ["ASSAY_MINE"] = "1"
os.chdir("/")
torch.manual_seed(0)
"""


def test_what_importing_a_file_changes_doesnt_reach_the_baseline(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("adam", "alone") == 0
    assert run(mine(tmp_path, head=IMPORTED), "beside") == 0
    told = capsys.readouterr().err
    assert "importing" in told
    for words in (
        "torch's default dtype",
        "torch.optim.SGD.step",
        "the environment (ASSAY_MINE)",
        "the working folder",
    ):
        assert words in told
    assert "ASSAY_MINE" not in os.environ
    frames = [RunFolder.open(tmp_path / name).frame() for name in ("alone", "beside")]
    first, second = (f.filter(f["slot"] == 0).drop("seconds") for f in frames)
    assert first.equals(second, null_equal=True)
    assert "which was put back" in (tmp_path / "beside" / "plan.json").read_text()


def test_a_thread_from_an_import_keeps_the_command_from_nothing(tmp_path):
    contender = mine(tmp_path, head="threading.Thread(target=lambda: time.sleep(1000)).start()")
    command = [sys.executable, "-m", "assay", "run", "sgd", contender, *FEW, "--out", str(tmp_path / "run"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    assert "a thread that is not assay's still ran" in done.stderr


def test_a_file_that_ends_the_process_as_it_is_imported_is_one_line(tmp_path, capsys):
    assert run(mine(tmp_path, head="import os; os._exit(0)"), tmp_path / "run") == 2
    one_fault(capsys, "mine.py was imported", "SystemExit: 0")


def test_what_a_training_leaves_in_its_own_module_is_not_there_for_the_next(tmp_path, capsys):
    body = "pass"
    head = "TAKEN = [0]"
    file = tmp_path / "mine.py"
    contender = mine(tmp_path, body, head)
    text = file.read_text().replace(
        "        self.count += 1\n", "        TAKEN[0] += 1\n        if TAKEN[0] > 40: return None\n", 1
    )
    assert "TAKEN[0] += 1" in text
    file.write_text(text)
    assert run(contender, tmp_path / "run", "--epochs", "4") == 0
    frame = RunFolder.open(tmp_path / "run").frame().filter(pl.col("slot") == 1)
    assert (frame["update_norm"].list.first() > 0).all()  # each begins with steps of its own


def test_a_folder_that_is_no_runs_is_told_so_and_what_is_in_it(tmp_path, capsys):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "plan.json").write_text("{}")
    for command in ("status", "verify", "report"):
        assert call([command, str(tmp_path)]) == 2
        assert "is no run folder (there is no plan.json; in it: 1 run folder)" in capsys.readouterr().err


LASTS = {
    "prints at exit": ("import atexit; atexit.register(print, 'BYE')", "what runs at exit (atexit)"),
    "exits at exit": ("import atexit; atexit.register(os._exit, 7)", "what runs at exit (atexit)"),
    "memory": ("import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 34, 1 << 34))", "resource limits"),
    "file size": ("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))", "resource limits"),
    "open files": ("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))", "resource limits"),
    "an alarm": ("signal.alarm(1)", "timers"),
    "a clock that stands": ("time.monotonic = lambda: 0.0", "time.monotonic"),
    "another writer": ("import json; json.dumps = lambda *a, **k: '{}'", "json.dumps"),
    "another replace": ("os.replace = lambda *a: None", "os.replace"),
    "another path": ("Path = __import__('pathlib').Path; Path.exists = lambda self: False", "Path.exists"),
    "a closed output": ("sys.stdout.close(); sys.__stdout__.close()", ""),
}


@pytest.mark.parametrize("case", LASTS)
def test_what_importing_a_file_does_to_the_command_is_put_back_and_named(tmp_path, case):
    head, words = LASTS[case]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    told = changes_of(load(mine(tmp_path, head=head).removeprefix("mine=")))
    assert words in told
    assert bool(words) == bool(told)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    assert guard.Snapshot().put_back() == []


def test_a_command_is_none_the_worse_for_what_is_done_as_a_file_is_imported(tmp_path):
    later = "import weakref; weakref.finalize(torch.nn.Module, print, 'BYE')"
    heads = "\n".join([later, *(head for head, _ in LASTS.values())])
    command = [sys.executable, "-m", "assay", "run", "sgd", mine(tmp_path, head=heads), *FEW, "--plan-only", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    json.loads(done.stdout)


def test_who_asks_as_it_is_imported_is_told_that_nobody_answers(tmp_path):
    reference = mine(tmp_path, head="input('give ')").removeprefix("mine=")
    with pytest.raises(UsageError, match=r"mine.py fails to import: (.|\n)*EOFError(.|\n)*give "):
        load(reference)
