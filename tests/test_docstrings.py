"""Every public name tells what it is, and shows it: the example in its docstring runs."""

from __future__ import annotations

import doctest
from types import ModuleType

import numpy as np
import pytest
import torch

import assay

NAMES = {
    "assay": assay,
    "check_optimizer": assay.check_optimizer,
    "np": np,
    "torch": torch,
}  # what every example may speak of

PUBLIC: dict[str, object] = {name: getattr(assay, name) for name in (*assay.__all__, "open")}
PUBLIC |= {f"optim.{name}": getattr(assay.optim, name) for name in assay.optim.__all__}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_described_and_its_example_runs(name):
    thing = PUBLIC[name]
    assert thing.__doc__
    tests = doctest.DocTestFinder(recurse=False).find(thing, name, globs=dict(NAMES))
    examples = [test for test in tests if test.examples]
    assert examples or isinstance(thing, ModuleType), "an example is wanted"
    runner = doctest.DocTestRunner()
    for test in examples:
        runner.run(test)
    assert runner.failures == 0
