"""What raises in a notebook's cell is shown with its line, though no file holds it and the worker has never seen the cell."""

from __future__ import annotations

import linecache

import pytest

from assay.errors import UsageError
from assay.workers import jobs

from .. import tiny


def test_the_line_of_a_cell_that_raised_is_shown(monkeypatch):
    name, text = "/nowhere/ipykernel_1/2.py", "def data(seed):\n    return 1 / (seed - seed)  # of no use\n"
    made: dict = {}
    exec(compile(text, name, "exec"), made)
    monkeypatch.setattr(linecache, "cache", {name: (len(text), None, text.splitlines(True), name)})
    packed = jobs.pack(tiny.task(data=made["data"]))
    monkeypatch.setattr(linecache, "cache", {})
    with pytest.raises(UsageError) as caught:
        jobs.make_data(packed, 1)
    assert f'File "{name}", line 2, in data' in str(caught.value)
    assert "return 1 / (seed - seed)  # of no use" in str(caught.value)
