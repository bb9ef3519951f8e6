"""The tutorial's commands run, in order, at small budgets; what doesn't depend on a budget is printed as the page has it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1] / "docs"
FEW = " --task logistic --epochs 2 --trials 2 --replicates 2 --final-seeds 1 --engine loop --workers 1"


def _module():
    spec = importlib.util.spec_from_file_location("tutorial", HOME / "site" / "tutorial.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def at_a_small_budget(command: str) -> str:
    return command + FEW if command.startswith("assay run") else command


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial").resolve()
    return _module().run((HOME / "tutorial.md").read_text(encoding="utf-8"), folder, at_a_small_budget)[0]


def test_each_command_ends_as_it_should(ran):
    for command, written, printed, code in ran:
        assert code == ("FAIL" in written), f"{command} ended with {code}:\n{printed}"
    assert [r.command for r in ran if r.code] == ["assay check mine.py:Ahead --no-speed"]
    assert len(ran) >= 7


def test_what_the_checks_say_is_what_stands_there(ran):
    checks = [r for r in ran if r.command.startswith("assay check")]
    assert checks
    for _, written, printed, code in checks:
        assert re.findall(r"^FAIL (\w+)", printed, re.MULTILINE) == re.findall(r"^FAIL (\w+)", written, re.MULTILINE)
        assert _passing(printed) == _passing(written)
        assert ("grads_intact" in _passing(printed)) == (code == 0)


def test_what_runs_and_records_say_has_the_lines_that_stand_there(ran):
    for command, written, printed, _ in ran:
        if not command.startswith(("assay run", "assay verify")):
            continue
        begun = [_begins(line) for line in written.splitlines()]
        assert {line for line in begun if line} <= {_begins(line) for line in printed.splitlines()}, (command, printed)


def _passing(said: str) -> list[str]:
    (listed,) = re.findall(r"^pass (.*?)\n\n", said, re.DOTALL | re.MULTILINE)
    return re.split(r",\s+", listed)


def _begins(line: str) -> str:
    """The first word of a line of a table, a path or a fact; "" of a number, or of a sentence about what came out."""
    found = re.match(r"(contender|adam|Ahead|report:|root|retrained|ahead:)(?= )", line)
    return found[1] if found else ""
