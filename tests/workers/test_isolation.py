"""No contender reaches another's numbers: a process serves one of them, and what it changes for all is put back and said."""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import pickle
import random
import subprocess
import sys
import time
from dataclasses import replace
from unittest import mock

import cloudpickle
import numpy as np
import polars as pl
import pytest
import torch

from assay import events
from assay.contenders import contenders, guard
from assay.core import Contender, Loaders, Member
from assay.record import chunks
from assay.space import Float, midpoint
from assay.tasks import find
from assay.training import loop
from assay.training.numerics import loop_here
from assay.workers import jobs, now, remote
from assay.workers.local import LocalWorkers, owner_of

from .. import asked, tiny, vandals

cloudpickle.register_pickle_by_value(vandals)
SMALL = {"trials": 1, "replicates": 2, "final_seeds": 1, "engine": "loop"}


def baseline(result) -> object:
    """All that the baseline's members left, seconds aside."""
    frame = result.frame()
    return frame.filter(frame["slot"] == 0).drop("seconds")


@pytest.fixture(scope="module")
def vandalised(tmp_path_factory):
    """Adam beside every vandal at once, in two processes at a time."""
    seen: list[events.Event] = []
    out = tmp_path_factory.mktemp("vandals") / "run"
    plan = asked.plan("adam", *map(vandals.contender, vandals.CHANGES), task=tiny.task(), out=out, **SMALL)
    return asked.run(plan, 2, seen.append), seen


def test_the_baselines_numbers_are_the_same_to_the_bit_beside_any_candidate(vandalised, tmp_path):
    assert len(vandals.CHANGES) >= 12
    alone = asked.run(asked.plan("adam", "sgd", task=tiny.task(), out=tmp_path / "alone", **SMALL))
    assert baseline(vandalised[0]).equals(baseline(alone), null_equal=True)


def test_what_each_changed_is_named_in_record_sentence_and_warning(vandalised):
    result, seen = vandalised
    frame = result.frame()
    told = [e.message for e in seen if isinstance(e, events.Warned)]
    for slot, (change, words) in enumerate(vandals.CHANGES.items(), start=1):
        own = set(frame.filter(frame["slot"] == slot)["changed"])
        name = change.__name__.strip("_")
        if not words:
            assert own == {""}
            continue
        assert len(own) == 1, (name, own)
        assert words in own.pop(), name
        assert words in result.verdicts[slot - 1].sentence
        assert result.content["contenders"][name]["changed"]
        assert sum(f"{name}: its training changes" in line and words in line for line in told) == 1
    assert set(frame.filter(frame["slot"] == 0)["changed"]) == {""}
    page = (result.folder / "report.html").read_text()
    assert "torch.optim.Adam.step" in page


def test_a_vandals_own_numbers_dont_depend_on_how_many_processes_there_are(tmp_path):
    some = [c for c in vandals.CHANGES if c.__name__ in ("_dtype", "_linear", "_seeds")]
    frames = []
    for count in (1, 3):
        plan = asked.plan("adam", *map(vandals.contender, some), task=tiny.task(), out=tmp_path / str(count), **SMALL)
        frames.append(asked.run(plan, count).frame().drop("seconds"))
    assert frames[0].equals(frames[1], null_equal=True)


class Drawing(torch.optim.SGD):
    """Its steps have noise from NumPy's and Python's global generators."""

    def step(self, closure=None):
        super().step(closure)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(float(np.random.rand()) * 1e-3 + random.random() * 1e-3)


def test_a_member_draws_what_no_other_decides():
    contender = Contender(
        "drawing", lambda model, run, lr: Drawing(model.parameters(), lr=lr), {"lr": Float(1e-3, 1e-1)}
    )
    members = [Member(0, "tune", 0, i, {"lr": 0.1}, 1, 1 + i, 2 + i, 3 + i) for i in range(3)]
    before = random.getstate(), np.random.get_state()[1].tolist()
    together = loop.train(tiny.task(), contender, members, loop_here())
    alone = loop.train(tiny.task(), contender, members[2:], loop_here())
    assert together.train_loss[2].tolist() == alone.train_loss[0].tolist()
    assert together.train_loss[1].tolist() != alone.train_loss[0].tolist()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def process_of(packed: bytes) -> int:
    time.sleep(0.02)
    return os.getpid()


def test_a_process_serves_one_owner_and_there_are_not_many():
    owners = [f"contender {i}".encode() for i in range(5)]
    workers = LocalWorkers(2)
    try:
        calls = [(owner, workers.submit(process_of, owner)) for _ in range(4) for owner in owners]
        served: dict[int, set[bytes]] = {}
        for owner, call in calls:
            served.setdefault(call.result(60), set()).add(owner)
        assert all(len(some) == 1 for some in served.values())
        assert len(served) <= 2 * len(owners)
        alive = [pid for pid in served if os.path.exists(f"/proc/{pid}")]
        assert len(alive) <= 6
    finally:
        workers.end()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in served)


def test_owners_are_told_apart_by_what_is_packed():
    assert owner_of((b"a", b"b", 3, [1])) == owner_of((b"a", b"b", 4, "x"))
    assert owner_of((b"a", b"b")) != owner_of((b"a", b"c"))
    assert owner_of((b"a", [b"b", b"c"])) != owner_of((b"a", b"b"))
    assert owner_of((1, "x")) == ()


def test_sound_optimizers_change_nothing():
    """What torch does by itself as an optimizer is first made and stepped is no change."""
    for name in ("adam", "sgd-momentum", "adamw", "nadam", "radam", "rmsprop", "adafactor", "gns-adam", "adam+cosine"):
        (one,) = contenders([name])
        values = {n: midpoint(dimension) for n, dimension in one.space.items()}
        with guard.kept() as changed:
            loop.train(tiny.task(), one, [Member(0, "final", 0, 0, values, 1, 1, 1, 1)], loop_here())
        assert changed == [], name


def test_libraries_that_load_while_it_trains_are_no_fault_of_its():
    """In a process of its own, for here they are loaded: torch's compiler, scikit-learn's OpenMP, polars."""
    code = (
        "import sys\nfrom assay.contenders import guard\nwith guard.kept() as changed:\n"
        "    import torch._dynamo, sklearn.ensemble, polars, scipy.stats\nsys.exit(str(changed) if changed else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("change", vandals.CHANGES, ids=lambda change: change.__name__)
def test_what_is_changed_is_put_back(change):
    watched = guard.Snapshot()
    with guard.kept() as changed:
        change()
    words = vandals.CHANGES[change]
    assert [words] == changed if words else changed == []
    assert watched.put_back() == []


def test_a_record_without_the_column_is_read_as_before(vandalised, tmp_path):
    plain = [f for f in (vandalised[0].folder / "members").iterdir() if "changed" not in pl.read_parquet(f).columns]
    told = [f for f in (vandalised[0].folder / "members").iterdir() if f not in plain]
    assert plain
    assert told
    for some in (plain[:2], told[:2], plain[:1] + told[:1], told[:1] + plain[:1]):
        frame = chunks.read_all(some)
        assert frame["changed"].null_count() == 0
        assert (frame["changed"] == "").any() == any(f in plain for f in some)


def test_a_node_of_a_cluster_does_it_in_processes_of_its_own():
    """What a Ray task calls, called here."""
    change, sgd = vandals.contender(vandals._dtype), contenders(["sgd"])[0]
    member = Member(0, "tune", 0, 0, {"lr": 0.1}, 1, 1, 1, 1)
    told = {}
    for one in (change, sgd):
        values = [jobs.pack(tiny.task()), jobs.pack(one), *map(pickle.dumps, ([member], loop_here()))]
        called = remote.call(remote.identity(), ("assay.workers.jobs", "train_chunk"), "bbpp", tuple(values))
        told[one.name] = called[1].changed[0] if called[0] else called[1]
        assert called[2] == []
    remote._workers.popitem()[1].end()
    assert told == {"dtype": "torch's default dtype", "sgd": ""}


def test_across_tasks_the_sentence_names_it_too(tmp_path):
    tasks = [tiny.task(), tiny.task(name="others", family="others")]
    plan = asked.plan("adam", vandals.contender(vandals._dtype), task=tasks, out=tmp_path / "suite", **SMALL)
    assert "it changes torch's default dtype, which was put back" in asked.run(plan, 1).verdicts[0].sentence


COUNTED, TURNS = {"n": 0}, itertools.cycle([1.0, 0.5, 0.1])


def by_count(outputs, targets):
    COUNTED["n"] += 1
    return (outputs.argmax(1) == targets).float().mean() - 1e-4 * COUNTED["n"]


class Decaying:
    """A schedule that remembers how often it was asked."""

    def __init__(self):
        self.factor = 1.0

    def __call__(self, done):
        self.factor *= 0.97
        return self.factor


class ByTurns(torch.optim.SGD):
    """Its steps are as long as an iterator that all of them share says."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] = 0.1 * next(TURNS)
        return super().step(closure)


class OnTorch(torch.optim.SGD):
    """Counts in a module of torch's."""

    def step(self, closure=None):
        import torch

        torch._steps_of_mine = getattr(torch, "_steps_of_mine", 0) + 1
        for group in self.param_groups:
            group["lr"] = 0.1 / torch._steps_of_mine
        return super().step(closure)


class Noisy(torch.utils.data.Dataset):
    """Adds noise from a generator of its own, as many data sets augment."""

    def __init__(self, split, noise):
        self.split, self.noise, self.rng = split, noise, np.random.default_rng(0)

    def __len__(self):
        return len(self.split.targets)

    def __getitem__(self, i):
        drawn = self.noise * self.rng.normal(size=4)
        return torch.from_numpy((self.split.inputs[i] + drawn).astype(np.float32)), torch.as_tensor(
            self.split.targets[i]
        )


def noisy(seed):
    splits = tiny.clouds(seed)
    held = {name: Noisy(getattr(splits, name), name == "train") for name in ("train", "validation", "test")}
    return Loaders(**{name: torch.utils.data.DataLoader(data, batch_size=32) for name, data in held.items()})


def made(kind, **more):
    return Contender(
        "mine", lambda model, run, lr: kind(model.parameters(), lr=lr), {"lr": Float(1e-3, 1.0, log=True)}, **more
    )


SPACE = argparse.Namespace(steps=0)


class InSpace(torch.optim.SGD):
    """Counts in an object of a class of Python's own."""

    def step(self, closure=None):
        SPACE.steps += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / SPACE.steps
        return super().step(closure)


REMEMBERING = {
    "an object of Python's": (tiny.task(), made(InSpace)),
    "a metric": (tiny.task(metric=replace(tiny.accuracy, score=by_count)), made(torch.optim.SGD)),
    "a schedule": (tiny.task(), made(torch.optim.SGD, schedule=Decaying())),
    "an iterator": (tiny.task(), made(ByTurns)),
    "a module of torch's": (tiny.task(), made(OnTorch)),
    "a data set": (tiny.task(data=noisy), made(torch.optim.SGD)),
}


@pytest.mark.parametrize("what", REMEMBERING)
def test_what_remembers_is_new_for_each_training_whoever_trains_it(what, tmp_path):
    task, candidate = REMEMBERING[what]
    frames = []
    for workers in (1, 2):
        plan = asked.plan("sgd", candidate, task=task, out=tmp_path / str(workers), **SMALL)
        frames.append(asked.run(plan, workers).frame().drop("seconds"))
    assert frames[0].equals(frames[1], null_equal=True)


def test_a_class_of_ones_own_costs_no_process(monkeypatch):
    """torch puts a hook around the step of a class when one is first made: that is no state of the class."""
    monkeypatch.setattr(now._State, "spent", False)

    class Mine(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                p -= self.param_groups[0]["lr"] * p.grad

    packed = [jobs.pack(thing) for thing in (find(tiny.task()), contenders([Mine])[0])]
    for i in range(2):
        jobs.train_chunk(*packed, [Member(0, "tune", 0, i, {"lr": 0.1}, 1, i, i, i)], loop_here())
        assert not now.spent()


STEPS = 0


def counted(step):
    """The ordinary way to lay something around a step of torch's."""

    @functools.wraps(step)
    def wrapper(self, closure=None):
        global STEPS
        STEPS += 1
        return step(self, closure)

    return wrapper


def on_its_step():
    class Mine(torch.optim.SGD):
        def step(self, closure=None):
            Mine.step.n = getattr(Mine.step, "n", 0) + 1
            return super().step(closure)

    return Mine


def another_step():
    class Mine(torch.optim.SGD):
        def step(self, closure=None):
            type(self).step = lambda self, closure=None: None
            return super().step(closure)

    return Mine


def around_torchs():
    class Mine(torch.optim.SGD):
        step = counted(torch.optim.SGD.step)

    return Mine


def hooked_by_its_author():
    def laid(step):
        count = [0]

        def wrapper(self, closure=None):
            count[0] += 1
            return step(self, closure)

        wrapper.hooked, wrapper.__wrapped__ = True, step
        return wrapper

    class Mine(torch.optim.SGD):
        step = laid(torch.optim.SGD.step)

    return Mine


@pytest.mark.parametrize("made_by", [on_its_step, another_step, around_torchs, hooked_by_its_author])
def test_what_a_step_keeps_for_itself_costs_its_process(made_by, monkeypatch):
    """Found with fresh eyes: numbers would depend on which trainings shared a process."""
    monkeypatch.setattr(now._State, "spent", False)
    packed = [jobs.pack(thing) for thing in (find(tiny.task()), contenders([made_by()])[0])]
    jobs.train_chunk(*packed, [Member(0, "tune", 0, 0, {"lr": 0.1}, 1, 0, 0, 0)], loop_here())
    assert now.spent()


class Answering(dict):
    """A configuration whose values are attributes, too."""

    __getattr__ = dict.__getitem__


ASKED = {
    "a dictionary with attributes": (Answering(momentum=0.3), False),
    "a table": (pl.DataFrame({"momentum": [0.3], "name": ["x"]}), False),
    "a mock": (mock.Mock(return_value=0.3), True),  # it counts its calls
}


@pytest.mark.parametrize("what", ASKED)
def test_what_is_kept_is_looked_at_and_not_asked(what, monkeypatch):
    """What answers to any name, or raises another error than Python's, or makes a child of itself at each question."""
    kept, changes = ASKED[what]
    monkeypatch.setattr(now._State, "spent", False)

    def make(model, run, lr):
        if isinstance(kept, mock.Mock):
            kept()
        return torch.optim.SGD(model.parameters(), lr=lr + 0 * len(str(type(kept))))

    arm = Contender("mine", make, {"lr": Float(1e-3, 1.0, log=True)})
    packed = [jobs.pack(thing) for thing in (find(tiny.task()), arm)]
    jobs.train_chunk(*packed, [Member(0, "tune", 0, 0, {"lr": 0.1}, 1, 0, 0, 0)], loop_here())
    assert now.spent() is changes


def test_a_worker_loads_nothing_more_for_a_task_and_a_contender_of_assays():
    """What travels names nothing of the driver's or the judge's, which every process would have to load."""
    packed = [jobs.pack(thing) for thing in (find("digits").under("honest"), contenders(["adam"])[0])]
    code = (
        "import pickle, sys\nfrom importlib import import_module\nfrom assay.workers import jobs, serve\n"
        "for name in serve.PRELOADED: import_module(name)\nbefore = set(sys.modules)\n"
        "for packed in pickle.load(sys.stdin.buffer): jobs._open(packed)\n"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('assay.')))"
    )
    found = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(packed), capture_output=True, check=True)
    assert found.stdout.strip() == b"[]", found.stdout
