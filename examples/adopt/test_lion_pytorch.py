"""lion-pytorch 0.2.5, with what is known of it."""

import pytest

from assay.testing import parametrize_with_checks

lion_pytorch = pytest.importorskip("lion_pytorch")  # in its own repository: import lion_pytorch

KNOWN = {
    "deepcopy": "self.decoupled_wd is no part of torch's __getstate__",
    "pickle": "self.decoupled_wd is no part of torch's __getstate__",
    "identity": "it is Lion",
}


@parametrize_with_checks([lion_pytorch.Lion], expected_failures=KNOWN, limit=120)
def test_optimizers(optimizer, check):
    check(optimizer)
