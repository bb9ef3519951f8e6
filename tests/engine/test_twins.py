"""Full length: the engine and the loop train the same plan to scores that are equal in distribution.

Rounding acts like another seed once it has grown, so here the learning rate is one at which it grows fast: within twenty
epochs most members score differently in the two engines, which must not favour either. At the start they are equal in
value. `benchmarks/twins.py` does the same at the length of a real task.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from assay import seeds
from assay.contenders import contenders
from assay.core import Curves, Member
from assay.engine.train import train_with
from assay.training import loop

from .. import tiny
from .small import KINDS, numerics

SEEDS = 30
TASK = tiny.task(epochs=20, batch_size=10)
(ADAM, _) = contenders(["adam", "sgd"])


def plan() -> list[Member]:
    """Final runs, each with data, weights and batches of its own."""
    return [Member(0, "final", k, 0, {"lr": 1.0}, **seeds.of_member(0, "honest", k, "final", 0)) for k in range(SEEDS)]


@pytest.fixture(scope="module")
def by_the_loop() -> Curves:
    return loop.train(TASK, ADAM, plan(), numerics("float32"))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_equal_in_distribution_and_first_epochs_in_value(kind: str, by_the_loop: Curves) -> None:
    found = train_with(KINDS[kind], TASK, ADAM, plan(), numerics("float32", chunk_size=SEEDS))
    for name in ("train_loss", "grad_norm", "update_norm"):
        ours, theirs = getattr(found, name), getattr(by_the_loop, name)
        np.testing.assert_allclose(ours[:, :1], theirs[:, :1], rtol=1e-5)
        np.testing.assert_allclose(ours[:, :2], theirs[:, :2], rtol=1e-2)

    assert found.test is not None
    assert by_the_loop.test is not None
    engine, twin = found.test[:, -1], by_the_loop.test[:, -1]
    assert np.mean(engine != twin) > 0.5  # or there would be nothing to compare
    assert stats.ttest_rel(engine, twin).pvalue > 0.01
    assert stats.ks_2samp(engine, twin).pvalue > 0.01
    assert stats.ttest_rel(found.train_loss[:, -1], by_the_loop.train_loss[:, -1]).pvalue > 0.01
