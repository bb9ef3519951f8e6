"""schedulefree 1.4.1, with what is known of it."""

import pytest

from assay.testing import parametrize_with_checks

schedulefree = pytest.importorskip("schedulefree")  # in its own repository: import schedulefree

DECAY = {"grads_intact": "weight decay is added to the gradient itself, so that no second tensor is needed"}
SQUARES = {
    "complex": "the second moment of a complex gradient is its square, without a conjugate: none are meant to be given"
}
GOES_ON = {"none_grad": "weights are made anew from z at each step, also of a parameter whose gradient has become None"}
KNOWN = {
    schedulefree.AdamWScheduleFree: DECAY | SQUARES,
    schedulefree.RAdamScheduleFree: DECAY | SQUARES,
    schedulefree.SGDScheduleFree: DECAY,
    schedulefree.SGDScheduleFreeClosure: GOES_ON,
    schedulefree.AdamWScheduleFreeReference: SQUARES,
}


@parametrize_with_checks([*KNOWN], expected_failures=KNOWN.get, limit=120)
def test_optimizers(optimizer, check):
    check(optimizer)
