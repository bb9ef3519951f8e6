"""What real threads found faulty is named by the check that is its own; mended, it passes."""

from __future__ import annotations

import pytest

from assay.conformance import check

from .history import TOLD
from .test_faults import assert_shown


@pytest.mark.parametrize("name", TOLD)
def test_a_thread_is_told_by_its_check(name):
    told = TOLD[name]
    before, after = (check(rule, speed=False, limit=120, only=told.check) for rule in (told.before, told.after))
    assert [f.name for f in before.failed] == [told.check], [f"{f.name}: {f.sentence}" for f in before.failed]
    assert_shown(before[told.check].example)
    assert after.ok
    assert after[told.check].status == "pass", after[told.check].sentence
