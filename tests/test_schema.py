"""Whatever `result.json` a run writes is what the JSON Schema of `assay.core.result` says, by jsonschema's own judgement."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest

import assay
from assay.cli import call
from assay.core.result import schema

from .golden.plans import HERE, PLANS, kept

jsonschema = pytest.importorskip("jsonschema")
FEW = ["--trials", "3", "--replicates", "3", "--final-seeds", "2", "--workers", "1", "--engine", "loop", "--quiet"]
LOGISTIC = ["--task", "logistic", "--epochs", "2"]


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


@pytest.fixture(scope="module")
def with_all(tmp_path_factory):
    """A run of today's protocol with all that is beside a verdict."""
    folder = tmp_path_factory.mktemp("runs") / "all"
    assert call(["run", "adam", "sgd", *LOGISTIC, *FEW, "--controls", "--speedup", "--out", str(folder)]) == 0
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("name", PLANS)
def test_a_kept_record_is_of_the_schema(name, tmp_path, monkeypatch, validator):
    monkeypatch.chdir(HERE)
    found = sorted(kept(name, tmp_path).rglob("result.json"))
    assert found
    for path in found:
        validator.validate(json.loads(path.read_text()))


def test_a_run_with_all_there_is_beside_it_is_of_the_schema(with_all, validator):
    assert with_all["controls"]
    assert with_all["ladder"]
    validator.validate(with_all)


@pytest.mark.whole
def test_several_sizes_are_of_the_schema(tmp_path, validator):
    folder = tmp_path / "run"
    sizes = ["--task", "logistic", "--scale", "epochs=2,4,8", "--speedup"]
    assert call(["run", "adam", "sgd", *sizes, *FEW, "--out", str(folder)]) == 0
    for path in folder.rglob("result.json"):
        validator.validate(json.loads(path.read_text()))
    assert assay.open(folder).verdicts[0].unit == "margins"


SPOILED = {
    "a field that isn't named": lambda r: r.update(more=1),
    "a missing field": lambda r: r.pop("ledger"),
    "an outcome that is none": lambda r: r["verdicts"][0].update(outcome="great"),
    "a field of a contender": lambda r: r["contenders"]["adam"].update(more=1),
    "a control's level as text": lambda r: r["controls"][0].update(level="0.95"),
    "a rung without scores": lambda r: r["ladder"]["rungs"][0].pop("scores"),
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_what_is_spoiled_is_not(spoil, with_all, validator):
    result = deepcopy(with_all)
    spoil(result)
    assert not validator.is_valid(result)
