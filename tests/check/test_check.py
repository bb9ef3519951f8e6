"""The check as it is used: everyday code, bad input, Python objects, text and data."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import assay
from assay.conformance import as_data, check, check_optimizer, render
from assay.conformance.catalogue import CATALOGUE, CHECKS
from assay.core import Contender
from assay.errors import UsageError
from assay.space import Float

from . import sound

USERS = '''
import torch

class GNSAdam(torch.optim.Optimizer):
    """As it is written in an afternoon: the rate seen at construction, a norm read back for each parameter."""
    def __init__(self, base_optimizer):
        self.base = base_optimizer
        self.param_groups = base_optimizer.param_groups
        self.lr = base_optimizer.param_groups[0]["lr"]

    def zero_grad(self):
        self.base.zero_grad()

    def step(self):
        total = 0.0
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    total += p.grad.norm(2).item() ** 2
        norm = total ** 0.5
        for group in self.param_groups:
            group["lr"] = self.lr / norm if norm > 0 else self.lr
        self.base.step()

class OfClass:
    def __init__(self, base_optimizer_cls: type, params, lr):
        self.inner = base_optimizer_cls(params, lr=lr)
        self.param_groups = self.inner.param_groups

    def step(self):
        self.inner.step()

class Named(torch.optim.SGD):
    def __init__(self, named_parameters, lr=0.1):
        super().__init__([p for _, p in named_parameters], lr=lr)

def stepless(model, lr):
    return [lr]

class Odd:
    def __init__(self, things):
        pass
'''


@pytest.fixture
def users(tmp_path: Path) -> str:
    (tmp_path / "users.py").write_text(USERS)
    return str(tmp_path / "users.py")


def test_the_everyday_gns_adam_is_run_and_named_for_its_scheduler_fault(users):
    report = check(f"{users}:GNSAdam", speed=False)
    assert report.contender == "GNSAdam"
    assert report["made"].status == report["steps"].status == "pass"
    assert "overrules" in report["schedulers"].sentence or "overwrites group['lr']" in report["schedulers"].sentence
    assert report["host_reads"].value["for_each_parameter"]
    assert "gns-adam" in report["identity"].sentence
    example = report["schedulers"].example
    assert example
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert "AssertionError" in done.stderr, done.stderr


def test_an_example_of_a_users_file_runs_on_its_own(users):
    report = check(f"{users}:OfClass", speed=False, only=["resume", "schedulers", "zero_grad", "hooks"])
    assert report.ok
    assert report["resume"].status == report["hooks"].status == "not applicable"
    assert "torch's schedulers take none but torch's" in report["schedulers"].sentence


def test_names_and_models_can_be_the_first_parameter(users):
    assert check(f"{users}:Named", speed=False, only=["resume"]).ok


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("import nothing_of_this_name", "X", "nothing_of_this_name"),
        ("1 / 0", "X", "ZeroDivisionError"),
        ("import sys; sys.exit(4)", "X", "SystemExit: 4"),
        ("import os; os._exit(7)", "X", "SystemExit: 7"),
        ("import os; os.abort()", "X", "SIGABRT"),
        (USERS, "GNSAdm", "did you mean GNSAdam"),
        (USERS, "Odd", "its first parameter is called 'things'"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_error(tmp_path, source, name, words):
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        check(f"{tmp_path / 'mine.py'}:{name}", speed=False)


def test_complex_parameters_are_asked_of_a_librarys_and_by_name():
    for more, there in (({}, False), ({"wide": True}, True), ({"only": ["complex"]}, True)):
        assert any(f.name == "complex" for f in check("sgd", speed=False, **more).findings) == there
    assert "complex" in CHECKS


def test_unknown_names_give_the_nearest():
    with pytest.raises(UsageError, match="did you mean adam"):
        check("adamm", speed=False)
    with pytest.raises(UsageError, match="no check is called"):
        check("adam", only=["rezume"])
    with pytest.raises(UsageError, match="is checked, not 3"):
        check(3)  # pyright: ignore[reportArgumentType]


def test_what_has_no_step_fails_as_made(users):
    report = check(f"{users}:stepless", speed=False)
    assert report["made"].sentence == "it is a list, which has no step()"
    assert [f.status for f in report.findings if f.name != "made"].count("not applicable") == len(report.findings) - 1


def test_objects_are_checked_as_they_are():
    class Local(sound.Sound):
        pass

    assert check(Local, speed=False, only=["resume", "deepcopy"]).ok
    contender = Contender(
        "mine", lambda model, run, lr: torch.optim.SGD(model.parameters(), lr=lr), {"lr": Float(1e-3, 1, log=True)}
    )
    report = assay.check(contender, speed=False, only=["schedulers", "identity"])
    assert report.ok
    assert report["identity"].sentence == "it is sgd itself"


def test_the_engine_is_asked_for():
    report = check("sgd", speed=False, only=["engine"], engine_of=lambda c: ("vectorized", f"{c.name} is traced"))
    assert str(report).startswith("sgd: ")
    assert report["engine"].value == {"engine": "vectorized", "reason": "sgd is traced"}
    assert check("sgd", speed=False, only=["engine"])["engine"].value["engine"] == "vectorized"


def test_speed_is_measured_against_fused_adam():
    report = check("sgd", speed=True, only=["speed_1m"])
    value = report["speed_1m"].value
    assert value["seconds"] > 0
    assert value["ratio"] == pytest.approx(value["seconds"] / value["fused_adam_seconds"])


def test_text_and_data_tell_the_same(users):
    report = check(f"{users}:GNSAdam", speed=False, only=["schedulers", "zero_dim"])
    lines = render(report)
    assert lines[0] == "GNSAdam: 1 of 4 checks fail: schedulers"
    assert any(line.startswith("FAIL schedulers") for line in lines)
    assert any("opt = GNSAdam(torch.optim.Adam([p]" in line for line in lines)
    data = json.loads(json.dumps(as_data(report)))
    assert data["ok"] is False
    assert {f["name"]: f["status"] for f in data["findings"]}["zero_dim"] == "pass"


def test_check_optimizer_fails_a_test_unless_allowed(users):
    with pytest.raises(AssertionError, match="FAIL schedulers"):
        check_optimizer(f"{users}:GNSAdam")
    allowed = ["schedulers", "groups", "grouping", "resume", "torch_save", "deepcopy", "pickle", "hooks", "closure"]
    allowed += ["clears_grads", "resume_groups"]
    report = check_optimizer(f"{users}:GNSAdam", allow=[*allowed, "add_group", "identity"])
    assert not report.ok


def test_torch_is_not_imported_where_the_check_is_asked_for():
    code = "import sys, assay.conformance; assay.conformance.as_data; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_check_has_a_function_and_a_documented_question():
    from assay.conformance.checks import CHECKS

    assert CHECKS.keys() == {spec.name for spec in CATALOGUE}
    assert all(function.__doc__ for function in CHECKS.values())


def test_a_killed_command_leaves_no_process_behind(tmp_path):
    (tmp_path / "hanging.py").write_text(
        "import os, pathlib, torch\n"
        "class Hangs(torch.optim.SGD):\n"
        "    def step(self, closure=None):\n"
        f"        pathlib.Path({str(tmp_path)!r}, 'pids').write_text(f'{{os.getpid()}} {{os.getppid()}}')\n"
        "        while True: pass\n"
    )
    command = [sys.executable, "-m", "assay", "check", "hanging.py:Hangs", "--no-speed"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pids = wait_for(lambda: (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else [])
        process.kill()
        wait_for(lambda: not any(alive(int(pid)) for pid in pids))
    finally:
        process.kill()
        process.wait()


def wait_for(found, limit: float = 60.0):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError("it never came to be")


def alive(pid: int) -> bool:
    """Zombies are not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
