from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay import seeds
from assay.core import PILOT
from assay.tasks.mnist1d import generate

ROOTS = st.integers(0, 2**63 - 1)


@given(
    root=ROOTS,
    replicates=st.integers(1, 20),
    trials=st.integers(1, 12),
    finals=st.integers(1, 12),
    slots=st.integers(2, 4),
)
def test_no_seed_has_two_roles(root, replicates, trials, finals, slots):
    used = [seeds.split(root, k) for k in range(replicates)]
    for k in range(replicates):
        for phase, count in (("tune", trials), ("final", finals)):
            for i in range(count):
                found = seeds.of_member(root, "honest", k, phase, i)
                used += [found[role] for role in ("init", "batches", "noise")]
        used += [seeds.sampler(root, k, t, s) for t in range(trials) for s in range(slots)]
    assert len(set(used)) == len(used)
    assert all(0 <= seed < 2**63 for seed in used)


@given(root=ROOTS, replicate=st.integers(0, 1000), index=st.integers(0, 1000))
def test_a_seed_depends_on_its_axes_alone(root, replicate, index):
    tune, again, final = (seeds.of_member(root, "honest", replicate, p, index) for p in ("tune", "tune", "final"))
    assert tune["init"] == again["init"]
    assert tune["init"] != final["init"]
    assert seeds.split(root, replicate) != seeds.split(root, replicate + 1)


def test_generated_replicates_share_no_row():
    rows: set[bytes] = set()
    total = 0
    for k in (PILOT, 0, 1, 2):
        splits = generate(seeds.split(0, k), train=200, validation=50, test=50)
        for split in (splits.train, splits.validation, splits.test):
            assert split is not None
            rows |= {row.tobytes() for row in split.inputs}
            total += len(split.inputs)
    assert len(rows) == total == 1200


def test_published_data_is_what_the_page_generated():
    """The page's call, make_dataset with num_samples, beside ours; and the global generators are left as they were."""
    import random

    import numpy as np
    from mnist1d.data import get_dataset_args, make_dataset

    arguments = get_dataset_args()
    vars(arguments)["num_samples"] = 1000
    theirs = make_dataset(arguments)
    random.seed(5)
    np.random.seed(5)
    before = np.random.get_state()[1].copy(), random.getstate()
    ours = generate(42, train=800, validation=0, test=200)
    assert (np.random.get_state()[1] == before[0]).all()
    assert random.getstate() == before[1]
    assert ours.validation is None
    np.testing.assert_array_equal(ours.train.inputs, theirs["x"].astype(np.float32))
    np.testing.assert_array_equal(ours.test.targets, theirs["y_test"])
