"""The logistic task against statsmodels' maximum likelihood and against what its teacher makes possible."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm

from assay import seeds
from assay.contenders import contenders
from assay.core import Member, Numerics, Split
from assay.engine.select.parity import probe
from assay.tasks import find
from assay.tasks.logistic import CLASSES, FEATURES, SCALES, generate, teacher
from assay.training import loop
from assay.training.numerics import loop_here


def standardised(split: Split) -> np.ndarray:
    return sm.add_constant(split.inputs.astype(float) / np.geomspace(*SCALES, FEATURES))


def fit(split: Split):
    return sm.MNLogit(split.targets, standardised(split)).fit(disp=0)


def test_the_labels_come_from_the_teacher():
    """Maximum likelihood on many data sets together finds the teacher's weights, by the Wald test of them all."""
    parts = [generate(seeds.split(1, k)).test for k in range(20)]
    together = fit(Split(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True))))
    expected = np.vstack([np.zeros(CLASSES), teacher()])
    errors = (together.params - (expected[:, 1:] - expected[:, :1])).ravel(order="F")
    wald = errors @ np.linalg.solve(together.cov_params(), errors)
    assert 0.001 < scipy.stats.chi2.sf(wald, errors.size) < 0.999


@pytest.mark.parametrize(("name", "lr", "short"), [("adam", 0.025, 0.02), ("sgd", 0.2, 0.07)])
def test_a_tuned_optimizer_learns_what_there_is_to_learn(name, lr, short):
    """Close to maximum likelihood on the same samples, and never above the best possible rule by more than chance."""
    task, (contender,) = find("logistic"), contenders([name])
    gaps, above = [], []
    for k in range(4):
        member = Member(0, "final", k, 0, {"lr": lr}, **seeds.of_member(0, "honest", k, "final", 0))
        curves = loop.train(task, contender, [member], loop_here("cpu"))
        splits = generate(member.split)
        likelihood = np.mean(fit(splits.train).predict(standardised(splits.test)).argmax(1) == splits.test.targets)
        best = np.mean((standardised(splits.test)[:, 1:] @ teacher()).argmax(1) == splits.test.targets)
        gaps.append(likelihood - curves.test[0, -1])  # type: ignore[index]
        above.append(curves.test[0, -1] - best)  # type: ignore[index]
        assert curves.test[0, -1] > curves.data[0].test_floor + 0.2  # type: ignore[index]
    assert np.mean(gaps) < short
    assert np.mean(above) < 0


def test_every_seed_draws_a_data_set_of_its_own_and_always_the_same():
    one, again, other = generate(7), generate(7), generate(8)
    assert one.digest == again.digest
    rows = [row.tobytes() for s in (one, other) for part in (s.train, s.validation, s.test) for row in part.inputs]  # type: ignore[union-attr]
    assert len(set(rows)) == len(rows) == 2 * (512 + 1024 + 1024)
    assert one.train.inputs.dtype == np.float32
    assert one.train.targets.dtype == np.int64


def test_populations_train_it():
    (adam,) = contenders(["adam"])
    vectorized = Numerics("vectorized", False, 3, "float32", "cpu", 1, "", "")
    assert probe(find("logistic"), adam, vectorized) is None
