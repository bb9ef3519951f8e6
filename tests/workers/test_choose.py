"""Whom one may ask to do the work, and what is said where they can't."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from assay.cli import call
from assay.contenders import contenders
from assay.core import ProtocolOptions, WorkerOptions, plan_of
from assay.driver.job import science_of
from assay.driver.protocol import protocol_of
from assay.driver.scheduler import Scheduler, gather
from assay.driver.study import member, one_chunk
from assay.errors import Interrupted, UsageError
from assay.record import RunFolder
from assay.training.numerics import loop_here
from assay.workers import cluster, interface
from assay.workers.choose import check
from assay.workers.interface import Watchdog

ROOT = Path(__file__).parents[2]


def test_what_may_be_asked_for():
    assert check(WorkerOptions()) is None
    assert check(WorkerOptions(workers="3")) == 3
    assert check(WorkerOptions(workers="ray")) == "ray"
    assert check(WorkerOptions(workers="ray", ray_address="10.0.0.1:6379")) == "ray:10.0.0.1:6379"
    for wrong in (
        {"workers": "many"},
        {"workers": 0},
        {"workers": 2, "ray_address": "a:1"},
        {"workers": 1, "time_limit": 0},
    ):
        with pytest.raises(UsageError):
            check(WorkerOptions(**wrong))


def test_ray_is_not_imported_unless_it_is_asked_for():
    code = (
        "import sys, assay.driver.compare, assay.cli; from assay.workers import choose; "
        "from assay.core import WorkerOptions; choose.check(WorkerOptions(workers=2)); "
        "sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_ray_one_line_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(sys.modules, "ray", None)
    asked = ["run", "adam", "sgd", "--task", "tests/tiny.py:task", "--workers", "ray", "--out", str(tmp_path / "r")]
    assert call(asked) == 2
    assert "pip install 'assay[ray]'" in capsys.readouterr().err


def test_an_address_where_nobody_is_takes_one_line():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and never listening
        port = nobody.getsockname()[1]
        with pytest.raises(UsageError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
            cluster.see_that_it_answers(f"127.0.0.1:{port}")
    with pytest.raises(UsageError, match="client isn't supported"):
        cluster.see_that_it_answers("ray://there:10001")
    with pytest.raises(UsageError, match="no Ray cluster answers"):
        cluster.see_that_it_answers("127.0.0.1:port")


class Silent:
    """Workers that take everything and never answer."""

    size, device, watchdog = 1, "cpu", Watchdog(0.05)

    def submit(self, fn, /, *args):
        return Future()


def test_workers_that_hang_are_given_up():
    with pytest.raises(Interrupted, match=r"waiting for time sleep|waiting for sleep"):
        gather(Silent(), [(time.sleep, (1,))])


class Half:
    """Trains what is asked of the first contender, and never comes back from the second's."""

    size, device, watchdog = 1, "cpu", Watchdog(0.3)

    def submit(self, fn, /, *args):
        future: Future = Future()
        if args[2][0].slot == 0:
            future.set_result(fn(*args))
        return future


def test_a_member_that_hangs_is_named_when_all_else_is_done(tmp_path, task):
    found = contenders(["adam", "sgd"])
    science = science_of(task, found, protocol_of(ProtocolOptions(trials=2, replicates=2, final_seeds=1), found), 0)
    folder = RunFolder.create(tmp_path / "run", plan_of(science, (loop_here(), loop_here())))
    scheduler = Scheduler(folder, task, found, Half(), lambda event: None)
    chunks = [[member(science, slot, "tune", k, 0, {"lr": 0.1})] for slot in (1, 0) for k in range(2)]
    with pytest.raises(Interrupted, match="waiting for sgd, tune 0 of replicate 0: its worker hangs"):
        scheduler.train([one_chunk(chunk) for chunk in chunks])
    assert folder.counts() == {(0, "tune"): 2}


def test_a_watchdog_waits_longer_where_work_takes_longer():
    usual = Watchdog()
    assert usual.seconds == interface.LEAST
    usual.saw(float("nan"))
    usual.saw(100.0)
    usual.saw(1.0)
    assert usual.seconds == 100 * interface.TIMES
    assert Watchdog(5.0).seconds == 5.0
