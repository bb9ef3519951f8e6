"""As a library's maintainer meets it: a test suite, a package, a baseline, files that other tools read."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import torch

import assay
from assay.cli import call
from assay.conformance import Finding, Report, check_optimizer, render
from assay.conformance.catalogue import BY_NAME, CATALOGUE
from assay.conformance.explained import EXPLAINED
from assay.conformance.outputs import as_badge, as_baseline, as_junit, as_sarif, gone, new
from assay.conformance.package import exported, is_package
from assay.errors import UsageError
from assay.testing import parametrize_with_checks

LIBRARY = """
import abc, torch

class Base(torch.optim.Optimizer, abc.ABC):
    @abc.abstractmethod
    def direction(self, p): ...

class Unfinished(torch.optim.Optimizer):
    pass

class Sound(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, dict(lr=lr))

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        p.sub_(p.grad / (1 + p.grad.abs()), alpha=group["lr"])
        return loss

class Prints(Sound):
    def step(self, closure=None):
        print("a step")
        return super().step(closure)

class NeedsMore(Sound):
    def __init__(self, params, process_group, lr=0.1):
        super().__init__(params, lr=lr)

Again = Sound
_Private = Sound
Adam = torch.optim.Adam
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    (tmp_path / "lib.py").write_text(LIBRARY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_test_of_each_optimizer_and_check(library):
    (library / "test_lib.py").write_text(
        "import lib\n"
        "from assay.testing import parametrize_with_checks\n"
        "def known(optimizer):\n"
        "    return {'quiet': 'it tells', 'zero_dim': 'once it did'} if optimizer is lib.Prints else {}\n"
        "@parametrize_with_checks([lib.Prints, lib.Sound, 'torch.optim:LBFGS'], expected_failures=known)\n"
        "def test_them(optimizer, check):\n"
        "    check(optimizer)\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rxs", "--junitxml", "found.xml", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=library)
    cases = {case.get("name"): case for case in ET.parse(library / "found.xml").iter("testcase")}
    assert {f"test_them[Prints-{s.name}]" for s in CATALOGUE if s.kind == "check"} < cases.keys()
    failed = {name for name, case in cases.items() if case.find("failure") is not None}
    assert "test_them[Prints-zero_dim]" in failed  # strict: it passes
    assert not any("Sound-" in str(name) for name in failed)
    assert "XFAIL test_lib.py::test_them[Prints-quiet] - it tells" in done.stdout
    assert "compares" in done.stdout or "SKIPPED" in done.stdout  # LBFGS has what doesn't apply to it


def test_a_package_without_a_line_of_code(library):
    (library / "known.json").write_text(json.dumps({"lib.py:Prints": {"quiet": "it tells"}}))
    command = [sys.executable, "-m", "pytest", "-rxs", "--assay-check", "lib.py", "--assay-baseline", "known.json"]
    done = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider"], capture_output=True, text=True, check=False, cwd=library
    )
    assert done.returncode == 0, done.stdout
    assert "XFAIL" in done.stdout
    assert "it tells" in done.stdout
    assert "process_group" in done.stdout  # which nothing gives, so that it is skipped
    unknown = subprocess.run(
        [sys.executable, "-m", "pytest", "--assay-check", "nothing_here.py"],
        capture_output=True, text=True, check=False, cwd=library,
    )  # fmt: skip
    assert "there is no file nothing_here.py" in unknown.stderr


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (["--assay-check", "torch.optim:Adamm"], 1, "did you mean Adam"),  # named, so that nothing of it may be skipped
        (
            ["--assay-check", "lib.py", "--assay-baseline", "lib.py"],
            4,
            "--assay-baseline|--baseline lib.py can't be read",
        ),
    ],
)
def test_what_pytest_cant_ask_fails(asked, code, said, library):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=library)
    assert done.returncode == code, done.stdout
    assert any(words in done.stdout + done.stderr for words in said.split("|"))
    assert "INTERNALERROR" not in done.stdout


def test_what_is_wrongly_expected_is_said():
    with pytest.raises(UsageError, match="no check is called silent"):
        parametrize_with_checks([torch.optim.SGD], expected_failures={"silent": "?"})
    with pytest.raises(AssertionError, match="quiet passes, though expected to fail"):
        check_optimizer(torch.optim.SGD, expected_failures={"quiet": "it tells"})
    assert assay.testing.parametrize_with_checks is parametrize_with_checks


def test_what_a_package_exports(library):
    assert exported("lib") == ["Adam", "NeedsMore", "Prints", "Sound"]
    assert exported("lib.py") == ["NeedsMore", "Prints", "Sound"]  # of a file its own
    assert {"Adam", "SGD", "LBFGS"} < set(exported("torch.optim"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import torch\nclass A(torch.optim.SGD): pass\n1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("import os; os._exit(3)", "SystemExit|exit code 3"),
        ("import torch", "exports no class"),
    ],
)
def test_what_exports_none_is_one_line(source, said, tmp_path):
    (tmp_path / "half.py").write_text(source)
    with pytest.raises(UsageError, match=said) as raised:
        exported(str(tmp_path / "half.py"))
    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "of_package"),
    [
        ("adam", False), ("muon", False), ("adam+cosine", False), ("torch.optim:Adam", False), ("adamm", False),
        ("torch.optim", True), ("lib", True), ("lib.py", True), ("./lib.py", True), ("lib.py:Sound", False),
    ],
)  # fmt: skip
def test_a_package_is_told_from_an_optimizer(text, of_package, library):
    assert is_package(text) == of_package


def test_a_library_with_faults_fails_for_new_ones_only(library, capsys):
    files = ["--junit", "j.xml", "--sarif", "s.json", "--badge", "b.svg"]
    assert call(["check", "lib.py", *files]) == 1
    printed = capsys.readouterr().out
    assert "FAIL quiet" in printed
    assert "pass lib.py:Sound" in printed
    assert "n/a  lib.py:NeedsMore" in printed
    assert "1 of 2 pass everything, 1 could not be checked" in printed
    assert (library / "j.xml").read_text().count("<failure") == 1
    result = json.loads((library / "s.json").read_text())["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["artifactLocation"]["uri"]) == ("quiet", "lib.py")
    assert LIBRARY.splitlines()[place["region"]["startLine"] - 1].startswith("class Prints")
    assert "1 of 2 pass" in (library / "b.svg").read_text()

    assert call(["check", "lib.py", "--baseline", "known.json", "--update-baseline"]) == 0
    assert call(["check", "lib.py", "--baseline", "known.json", *files]) == 0
    assert "passes, faults known" in (library / "b.svg").read_text()
    assert "<failure" not in (library / "j.xml").read_text()
    (library / "lib.py").write_text(LIBRARY.replace('print("a step")', "pass"))
    capsys.readouterr()
    assert call(["check", "lib.py", "--baseline", "known.json"]) == 0
    assert "lib.py:Prints: quiet fails no more" in capsys.readouterr().err


def test_several_are_checked_one_after_the_other(library, capsys):
    assert call(["check", "lib.py:Sound", "torch.optim:SGD", "--no-speed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"lib.py:Sound", "torch.optim:SGD"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ([], "what is to be checked?"),
        (["adam", "--update-baseline"], "--update-baseline: which one?"),
        (["adam", "--junit", "nowhere/x.xml"], "can't be written"),
        (["adam", "--badge", "."], "it is a folder"),
        (["--explain", "zero_gard"], "did you mean zero_grad"),
    ],
)
def test_what_cant_be_is_one_line(asked, said, library, capsys):
    assert call(["check", *asked]) == 2
    assert said in capsys.readouterr().err


def test_a_baseline_that_is_none(library, capsys):
    (library / "known.json").write_text("[1]")
    assert call(["check", "lib.py:Sound", "--no-speed", "--baseline", "known.json"]) == 2
    assert "--baseline known.json can't be read" in capsys.readouterr().err


def test_each_check_is_explained(capsys):
    assert EXPLAINED.keys() == {spec.name for spec in CATALOGUE if spec.kind == "check"}
    assert call(["check", "--explain", "groups"]) == 0
    assert "lr = group['lr']" in capsys.readouterr().out
    assert call(["check", "--explain", "state_bytes"]) == 0
    assert "can't fail" in capsys.readouterr().out


def found(**statuses: str) -> Report:
    findings = tuple(Finding(n, BY_NAME[n].title, "check", s, f"{n} {s}", "x = 1") for n, s in statuses.items())  # type: ignore[arg-type]
    return Report("mine", findings, "mine.py:3")


def test_the_worst_is_told_first_with_its_mend():
    lines = render(found(made="pass", quiet="fail", zero_dim="fail", schedulers="fail", order="not applicable"))
    failing = [line.split()[1] for line in lines if line.startswith("FAIL")]
    assert failing == ["schedulers", "zero_dim", "quiet"]
    assert any(line.split()[:2] == ["mend", "lr"] for line in lines)
    assert "n/a  order: order not applicable" in lines


def test_known_faults_are_told_from_new_and_mended_ones():
    reports = {"a": found(quiet="fail", order="pass"), "b": "it needs a GPU", "c": found(quiet="pass")}
    known = {"a": {"order": "as it was"}, "c": {"quiet": "?"}, "elsewhere": {"quiet": "?"}}
    assert new(reports, known) == {"a": {"quiet": "quiet fail"}}
    assert gone(reports, known) == {"a": {"order": "as it was"}, "c": {"quiet": "?"}}
    assert json.loads(as_baseline(reports, known)) == {"a": {"quiet": "quiet fail"}, "elsewhere": {"quiet": "?"}}
    kept = json.loads(as_baseline(reports, {"a": {"quiet": "our reason"}}))
    assert kept == {"a": {"quiet": "our reason"}}
    suites = {s.get("name"): s.attrib for s in ET.fromstring(as_junit(reports, known)).iter("testsuite")}
    assert [suites[n]["failures"] for n in "abc"] == ["1", "0", "0"]
    assert suites["b"]["skipped"] == "1"
    assert len(json.loads(as_sarif(reports, known))["runs"][0]["results"]) == 1
    ET.fromstring(as_badge(reports, known))
    assert "all checks pass" in as_badge({"c": found(quiet="pass")}, {})


MATRIX = '''
import torch

class Faulty(torch.optim.Optimizer):
    """With weight decay it fails on scalars; with weight decay and maximize together it also forgets the rate."""
    def __init__(self, params, lr=0.01, weight_decay=0.0, maximize=False):
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, maximize=maximize))

    def step(self, closure=None):
        with torch.no_grad():
            for group in self.param_groups:
                decay, up = group["weight_decay"], group["maximize"]
                lr = self.defaults["lr"] if decay and up else group["lr"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    p.sub_((-p.grad if up else p.grad) / (1 + p.grad.abs()), alpha=lr)
                    if decay:
                        p.mul_(1 - lr * decay / len(p) * len(p))
'''


def test_a_failure_names_the_smallest_setting_that_shows_it(tmp_path, capsys):
    (tmp_path / "lib.py").write_text(MATRIX)
    where = f"{tmp_path / 'lib.py'}:Faulty"
    only = ["none_grad", "schedulers", "zero_dim"]
    assert assay.check(where, speed=False, only=only).ok
    report = assay.check(where, speed=False, only=only, matrix=True)
    assert report["zero_dim"].sentence.endswith("(with weight_decay=0.1)")
    assert report["schedulers"].sentence.endswith("(with weight_decay=0.1, maximize=True)")
    assert "weight_decay=0.1" in str(report["zero_dim"].example)
    assert report["none_grad"].status == "pass"
    assert [label for label, _ in report.matrix][:3] == ["as it is", "weight_decay=0.1", "maximize=True"]


REFUSING = """
import torch

class Picky(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, weight_decay=0.0, nesterov=False, capturable=False):
        if isinstance(lr, torch.Tensor):
            raise ValueError("lr has to be a number")
        if nesterov:
            raise RuntimeError("nesterov needs momentum")
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, capturable=capturable))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            if group["capturable"]:
                raise AssertionError("capturable=True wants parameters on a GPU")
            if group["weight_decay"]:
                raise AssertionError("out of luck")
            for p in group["params"]:
                if p.grad is not None:
                    p.sub_(p.grad / (1 + p.grad.abs()), alpha=group["lr"])
"""


def test_a_setting_that_is_refused_by_name_is_no_fault_and_has_its_reason(tmp_path):
    (tmp_path / "lib.py").write_text(REFUSING)
    report = assay.check(f"{tmp_path / 'lib.py'}:Picky", speed=False, only=["zero_dim"], matrix=True)
    rows = {label: {f.name: f for f in findings} for label, findings in report.matrix}
    for label, said in {
        "nesterov=True": "nesterov needs momentum",
        "capturable=True": "wants parameters on a GPU",
        "lr=torch.tensor(lr)": "lr has to be a number",
    }.items():
        assert {f.status for f in rows[label].values()} == {"not applicable"}
        assert said in rows[label]["zero_dim"].sentence
    assert [f.name for f in report.failed] == ["steps"]  # an error that doesn't name the setting is a fault
    assert report["steps"].sentence.endswith("(with weight_decay=0.1)")


def test_settings_are_asked_as_long_as_there_is_time():
    report = assay.check("torch.optim:SGD", speed=False, only=["zero_dim"], matrix=True, budget=0.0)
    assert report.ok
    assert {f.sentence for _, findings in report.matrix[1:] for f in findings} == {
        "not asked: the time for settings is over"
    }


def test_a_rate_that_is_a_tensor_is_obeyed_and_shown():
    report = assay.check("torch.optim:Adagrad", speed=False, only=["schedulers", "resume", "groups"], matrix=True)
    rows = {label: {f.name: f.status for f in findings} for label, findings in report.matrix}
    assert set(rows["lr=torch.tensor(lr)"].values()) == {"pass"}


class Cells(HTMLParser):
    """The table's cells and ids of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.style = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []
        self.links += [given["href"]] if tag == "a" else []
        assert tag != "script"
        if tag == "td":
            self.cells.append(given["class"])


def test_a_page_has_a_row_a_check_a_column_a_setting_and_each_fault(tmp_path, capsys):
    (tmp_path / "lib.py").write_text(MATRIX)
    page = tmp_path / "page.html"
    assert call(["check", f"{tmp_path / 'lib.py'}:Faulty", "--no-speed", "--matrix", "--html", str(page)]) == 1
    text = page.read_text()
    seen = Cells()
    seen.feed(text)
    settings, checks = text.count("<li><code>"), sum(spec.kind == "check" for spec in CATALOGUE)
    assert (
        settings == 6
    )  # as it is, weight decay, maximize, a tensor for the rate, the pair that shows a fault, all of them
    assert len(seen.cells) == settings * checks
    assert "at fail" in seen.cells
    assert set(seen.links) <= {f"#{name}" for name in seen.ids}
    assert {"#f1-zero_dim", "#f1-schedulers"} <= set(seen.links)
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text  # nothing comes from elsewhere
    assert "What mends it" in text


def test_a_packages_optimizers_are_asked_under_their_settings_too(tmp_path, capsys):
    (tmp_path / "lib.py").write_text(MATRIX)
    assert call(["check", str(tmp_path / "lib.py"), "--matrix"]) == 1
    assert "(with weight_decay=0.1, maximize=True)" in capsys.readouterr().out


def test_settings_are_those_that_it_declares():
    from assay.conformance.matrix import label, settings_of, together

    adam, sgd = settings_of(torch.optim.Adam), settings_of(torch.optim.SGD)
    assert {"amsgrad=True", "fused=True", "weight_decay=0.1"} < {label(s) for s in adam}
    assert "nesterov=True, momentum=0.9" in {label(s) for s in sgd}
    for whole in together(adam):
        assert not {"foreach", "fused"} <= whole.keys()
    assert settings_of(lambda params, lr: None) == []
