"""What a contender's and a task's code reaches is part of the plan, or said to be beyond it; what says nothing is neither."""

from __future__ import annotations

import hashlib
import importlib
import os
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from assay.contenders import code, contenders, packages
from assay.contenders.load import load
from assay.contenders.reach import reach_of
from assay.contenders.registry import CONTENDERS
from assay.core import Contender, Science
from assay.errors import UsageError
from assay.space import Float
from assay.tasks import TASKS, find

from .. import asked, tiny
from .changes import BEYOND, HARMLESS, HEAD, HELPED, MAKE, NOTHING, RATES

ROOT = Path(__file__).parents[2]
LR = {"lr": Float(1e-3, 1e-1, log=True)}


def cell(text: str) -> dict:
    """What a notebook's cell leaves, its module without a file."""
    module = types.ModuleType("a_notebook")
    sys.modules["a_notebook"] = module  # where data classes look for their own
    exec(compile(text, "<cell>", "exec"), vars(module))
    return vars(module)


def planned(text: str, **changes) -> Science:
    mine = Contender("mine", cell(HEAD + text + MAKE)["make"], space=LR, **changes)
    return asked.job("adam", mine, task=tiny.task(), trials=2, replicates=2).science


@pytest.mark.parametrize("what", RATES)
def test_one_constant_changed_is_another_plan(what):
    one, same, other = (planned(RATES[what].replace("X", number)) for number in ("0.5", "0.5", "0.25"))
    assert one.plan_hash == same.plan_hash
    assert one.plan_hash != other.plan_hash
    assert one.training_hash(1) != other.training_hash(1)
    assert one.training_hash(0) == other.training_hash(0)
    assert not one.contenders[1].beyond
    assert one.differences(other) == ["the source of mine was edited since the record was made"]


@pytest.mark.parametrize("what", HELPED)
def test_a_helpers_constant_changed_is_another_plan(what, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    helper, text = HELPED[what]

    def with_helper(number: str) -> str:
        for name, content in {"helper": helper, "deeper": "BETA = X"}.items():
            (tmp_path / f"{name}.py").write_text(content.replace("X", number))
            monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.invalidate_caches()
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        return planned(text).plan_hash

    one, same, other = with_helper("0.5"), with_helper("0.5"), with_helper("0.25")
    assert one == same != other


@pytest.mark.parametrize("what", BEYOND)
def test_what_no_digest_holds_is_said_to_be_beyond(what):
    text, words = BEYOND[what]
    one, same = (planned(text.replace("X", "1")) for _ in range(2))
    assert words in " ".join(one.contenders[1].beyond)
    assert one.plan_hash == same.plan_hash
    assert "0x" not in " ".join(one.contenders[1].beyond)


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_common_is_not_beyond(what):
    assert not planned(HARMLESS[what]).contenders[1].beyond


@pytest.mark.parametrize("reference", [e.reference for e in CONTENDERS.values()] + ["assay.contenders.muon:muon"])
def test_nothing_of_a_contender_that_is_known_by_name_is_beyond(reference):
    assert reach_of({"make": load(reference)}).beyond == ()


@pytest.mark.parametrize("name", TASKS)
def test_nothing_of_a_built_in_task_is_beyond(name):
    assert find(find(name)).beyond == ()


@pytest.mark.parametrize("reference", ["factory.py:make", "own_class.py:CautiousSign", "wrapper.py:Lookahead"])
def test_nothing_of_an_example_is_beyond(reference):
    assert reach_of({"make": load(str(ROOT / "examples" / reference))}).beyond == ()


def test_nothing_of_an_examples_task_is_beyond():
    assert find(f"{ROOT / 'examples' / 'own_task.py'}:spirals").beyond == ()


def test_what_a_data_function_reads_too_is_still_beyond_for_a_model():
    text = "def read(): return np.load('x.npy')\ndef data(seed): return read()\ndef model(): return read()"
    made = cell(HEAD + text)
    assert find(tiny.task(data=made["data"], model=made["model"])).beyond == ("files (read)",)


def test_instructions_that_a_later_python_joins_are_two():
    found = [
        code.Step("LOAD_CONST", 0, True),
        code.Step("LOAD_CONST", None, True),
        code.Step("IMPORT_NAME", "os", False),
    ]
    found += [code.Step("STORE_FAST_LOAD_FAST", ("os", "os"), False), code.Step("LOAD_ATTR", "environ", False)]
    assert code.bound(found) == {"os": ("os",)}
    assert code.names(found, {"os"}) == [code.Named("os", ("environ",))]


def test_an_import_inside_a_function_is_the_same_whether_it_is_loaded(monkeypatch):
    text = "def rate(lr):\n    import ftplib, polars.selectors as cs\n    return cs.float(), ftplib.FTP"
    before = planned(text).plan_hash
    for name in [name for name in sys.modules if name.split(".")[0] in ("ftplib", "polars")]:
        monkeypatch.delitem(sys.modules, name)
    assert planned(text).plan_hash == before


@pytest.mark.parametrize("what", NOTHING)
def test_what_says_nothing_is_no_other_plan(what):
    one, other = (planned(text) for text in NOTHING[what])
    assert one.plan_hash == other.plan_hash


def test_schedules_and_fixed_values_are_part_of_it():
    text = "def rate(lr): return lr"
    assert planned(text, schedule=lambda t: 1 - t).plan_hash != planned(text, schedule=lambda t: 1 - t / 2).plan_hash
    long = [torch.zeros(5000) for _ in range(2)]
    long[1][2500] = 1  # which no repr shows
    assert repr(long[0]) == repr(long[1])

    def weighted(model, run, lr, weights):
        return torch.optim.SGD(model.parameters(), lr)

    held = [Contender("mine", weighted, space=LR, fixed={"weights": tensor}) for tensor in long]
    assert len({asked.job("adam", each, task=tiny.task()).science.plan_hash for each in held}) == 2


PARTS = {
    "data": "def data(seed, tiny=tiny):\n    s = tiny.clouds(seed)\n    s.train.inputs[0] += X\n    return s",
    "model": "def model(): return torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(X))",
    "loss": "def loss(o, t): return X * torch.nn.functional.cross_entropy(o, t)",
    "metric": (
        "from assay import Metric\nmetric = Metric('m', lambda o, t: X * o.mean(), lambda a, b: 0.5, 'max', '')"
    ),
    "constant": "from assay import Metric\nmetric = Metric('m', lambda o, t: o.mean(), lambda a, b: X, 'max', '')",
    "arrays": "data = (np.full((50, 4), X, dtype=np.float32), np.arange(50) % 2)",
    "splits": "s = tiny.clouds(0)\ns.test.inputs[0] = X\ndata = s",
}


@pytest.mark.parametrize("what", PARTS)
def test_one_constant_of_a_task_changed_is_another_plan(what):
    def science(number: str) -> Science:
        made = cell("from tests import tiny" + HEAD + PARTS[what].replace("X", number))
        parts = {name: made[name] for name in ("data", "model", "loss", "metric") if name in made}
        return asked.job("adam", "sgd", task=tiny.task(**parts), trials=2, replicates=2).science

    one, same, other = (science(number) for number in ("0.5", "0.5", "0.25"))
    assert one.plan_hash == same.plan_hash != other.plan_hash
    assert one.training_hash(0) != other.training_hash(0), "all contenders are trained on the task"


def test_a_data_functions_files_are_not_beyond_for_its_data_is_compared():
    made = cell(HEAD + "def data(seed): return np.load('x.npz')\ndef model(): return torch.load('x.pt')")
    assert find(tiny.task(data=made["data"])).beyond == ()
    assert "files (model)" in find(tiny.task(model=made["model"])).beyond


def test_what_is_installed_is_a_package_and_its_version():
    adam, nadam, gns = contenders(["adam", "torch.optim:NAdam", "gns-adam"])
    assert (adam.reach, nadam.reach, gns.reach) == ("", "", "")
    assert adam.source == nadam.source == f"torch {torch.__version__.partition('+')[0]}"


PACKAGE = {
    "developed/__init__.py": "from .mine import Mine, task",
    "developed/mine.py": (
        "import torch\nfrom tests import tiny\nfrom .deeper import BETA\n"
        "class Mine(torch.optim.SGD):\n    def __init__(self, params, lr): super().__init__(params, lr * BETA)\n"
        "def task(): return tiny.task()"
    ),
    "developed/deeper.py": "BETA = X",
    "developed-0.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: developed\nVersion: 0.1\n",
}


@pytest.fixture
def developed(tmp_path, monkeypatch):
    """A function that installs another build of one version of a package: its number, and what else is beside it."""

    def install(number: str, more: Mapping[str, str] = {}) -> None:
        place = tmp_path / number / "site-packages"
        for name, text in {**PACKAGE, **more}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text.replace("X", number))
        monkeypatch.syspath_prepend(place)
        for name in [name for name in sys.modules if name.partition(".")[0] == "developed"]:
            monkeypatch.delitem(sys.modules, name)
        for cached in (packages.content_of, packages._from_a_folder, packages._distribution, packages._distributions):
            cached.cache_clear()

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield install
    for name in [name for name in sys.modules if name.partition(".")[0] == "developed"]:
        monkeypatch.delitem(sys.modules, name)


def test_the_package_of_a_contender_or_a_task_is_its_content(developed):
    def found(number: str) -> list[tuple[str, str]]:
        developed(number)
        mine, task = contenders(["adam", "developed:Mine"])[1], find("developed:task")
        return [(mine.source, mine.reach), (task.source, task.reach)]

    one, same, other = found("0.5"), found("0.5"), found("0.25")
    assert one == same
    for before, after in zip(one, other, strict=True):
        assert before[0] == after[0] == "developed 0.1"
        assert before[1] != after[1]


@pytest.mark.parametrize(
    "text",
    [
        "from developed import Mine\ndef rate(lr): return Mine",
        "def rate(lr):\n    import developed\n    return developed",
    ],
)
def test_what_was_installed_from_a_folder_is_its_content_wherever_it_is_named(text, developed):
    def reach(number: str, more: Mapping[str, str]) -> str:
        developed(number, more)
        return planned(text).plan_hash

    local = {"developed-0.1.dist-info/direct_url.json": '{"dir_info": {}, "url": "file:///home/me/developed"}'}
    assert reach("0.5", local) == reach("0.5", local) != reach("0.25", local)
    assert reach("2", {}) == reach("3", {}), "of an index: by its version"


def test_an_optimizer_that_was_made_before_is_the_same():
    """torch wraps `step` in the class when the first of them is made."""
    made = cell(HEAD + RATES["an optimizer's step"].replace("X", "0.5") + MAKE)
    mine = Contender("mine", made["make"], space=LR)
    before = contenders(["adam", mine])[1].reach
    made["make"](torch.nn.Linear(2, 2), None, 0.1)
    assert contenders(["adam", mine])[1].reach == before


def test_a_task_that_was_found_before_is_the_same():
    arrays = (np.zeros((50, 4), np.float32), np.arange(50) % 2)
    task = find(tiny.task(data=arrays))
    assert find(task).reach == task.reach


def test_it_is_the_same_in_every_process(tmp_path):
    """Other hash seeds, another folder, another place of the file."""
    text = HEAD + "".join(f"\n{t.replace('X', '0.5')}\nrate_{i} = rate" for i, t in enumerate(RATES.values()))
    text += f"\nrate = lambda lr: [{', '.join(f'rate_{i}' for i in range(len(RATES)))}]" + MAKE
    say = "import sys; from assay.contenders import contenders as c; m = c(['adam', sys.argv[1]])[1]; print(m.reach, m.source)"
    found = set()
    for seed in ("1", "77"):
        folder = tmp_path / seed
        folder.mkdir()
        (folder / "mine.py").write_text(text)
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", say, f"{folder / 'mine.py'}:make"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
    assert "sha256:" in found.pop()


def test_a_file_that_was_edited_is_loaded_again_with_its_helpers(tmp_path):
    name = f"helper_{os.getpid()}"
    (tmp_path / "mine.py").write_text(f"import torch\nfrom {name} import B\ndef make(model, lr): return B")
    (tmp_path / "theirs.py").write_text(f"import torch\nfrom {name} import B\ndef make(model, lr): return B")
    files = [f"one={tmp_path / 'mine.py'}:make", f"two={tmp_path / 'theirs.py'}:make"]

    def made() -> list:
        return [(c.make(None, asked_run(), lr=1), c.source, c.reach) for c in contenders(["adam", *files])[1:]]

    (tmp_path / f"{name}.py").write_text("B = 1")
    before = made()
    (tmp_path / f"{name}.py").write_text("B = 2  # another")
    after = made()
    assert [b[0] for b in before] == [1, 1]
    assert [a[0] for a in after] == [2, 2]
    assert all(b[1] != a[1] and b[2] != a[2] for b, a in zip(before, after, strict=True))


def asked_run():
    from assay.core import Run

    return Run(10, 2, 5)


def test_an_edit_within_the_second_and_of_the_same_size_is_what_runs(tmp_path):
    """Python would take the bytecode that it kept of the file before."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    asked = "import sys; from assay.contenders import load; print(load(sys.argv[1])())"
    found = []
    for beta in (1, 2):
        (tmp_path / "helper.py").write_text(f"BETA = {beta}\n")
        (tmp_path / "mine.py").write_text(f"import helper\nOWN = {beta}\ndef both(): return OWN, helper.BETA\n")
        for name in ("helper.py", "mine.py"):
            os.utime(tmp_path / name, (10**9, 10**9))
        command = [sys.executable, "-c", asked, f"{tmp_path / 'mine.py'}:both"]
        found.append(
            subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()
        )
    assert found == ["(1, 1)", "(2, 2)"]


def test_a_module_that_was_edited_since_it_was_imported_is_one_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "imported_once.py"
    file.write_text("def make(model, lr): return 1")
    assert contenders(["adam", "imported_once:make"])[1].make(None, asked_run(), lr=1) == 1
    file.write_text("def make(model, lr): return 22")
    with pytest.raises(UsageError, match=r"importlib\.reload") as caught:
        contenders(["adam", "imported_once:make"])
    assert "\n" not in str(caught.value)
    importlib.reload(sys.modules["imported_once"])
    assert contenders(["adam", "imported_once:make"])[1].make(None, asked_run(), lr=1) == 22
    monkeypatch.delitem(sys.modules, "imported_once")


async def _coroutine(model, run, lr):
    return None


def _generator(model, run, lr):
    yield None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_generator, "let it return the optimizer"),
        (_coroutine, "write def, not async def"),
        (torch.optim, "(a module)"),
        ((i for i in ()), "(a generator)"),
    ],
)
def test_what_makes_no_optimizer_is_one_line(make, words):
    with pytest.raises(UsageError) as caught:
        contenders(["adam", Contender("mine", make, space=LR)])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_taken_of_a_package_inside_a_function_is_reached(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "__init__.py").write_text("")

    def with_beta(number: str) -> Science:
        (tmp_path / "taken" / "sub.py").write_text(f"BETA = {number}")
        importlib.invalidate_caches()
        return planned("def rate(lr):\n    from taken import sub\n    return lr * sub.BETA")

    assert with_beta("0.5").plan_hash != with_beta("0.25").plan_hash


def test_a_module_in_folders_without_an_init_is_found_where_none_of_them_is_loaded(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "outer_space" / "inner").mkdir(parents=True)
    (tmp_path / "outer_space" / "inner" / "rule.py").write_text("BETA = 0.5")
    found = packages.imported_files("outer_space.inner.rule")
    assert found["outer_space.inner.rule"] == hashlib.sha256(b"BETA = 0.5").hexdigest()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import subprocess\ndef rate(lr): return lr * len(subprocess.run(['true']).args)", "files"),
        ("def rate(lr): return lr * len(os.urandom(1))", "random numbers of the machine"),
        ("import sys\ndef rate(lr): return lr * len(sys.argv)", "the command's own words"),
    ],
)
def test_what_the_machine_gives_is_beyond(text, words):
    assert any(words in line for line in planned(text).contenders[1].beyond)


def test_a_value_that_ends_the_process_as_it_is_taken_apart_ends_nothing():
    text = "class Ends:\n    def __reduce_ex__(self, _): raise SystemExit(0)\nB = Ends()\ndef rate(lr): return lr * len([B])"
    assert any("can't be taken apart" in line for line in planned(text).contenders[1].beyond)
