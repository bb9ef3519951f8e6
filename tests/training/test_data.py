"""What a worker keeps of data sets: as many as fit, never fewer than a default plan's replicates."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from assay.core import Split, Splits
from assay.training import data as data_
from assay.training.data import KEPT, load

from .. import tiny


@pytest.mark.parametrize(("floats", "kept"), [(10, 3 * KEPT), (1000, KEPT)], ids=["small", "large"])
def test_data_sets_are_drawn_once_while_they_fit(floats, kept, monkeypatch):
    monkeypatch.setattr(data_, "KEPT_BYTES", 20_000)
    drawn: Counter[int] = Counter()

    def data(seed: int) -> Splits:
        drawn[seed] += 1
        split = Split(np.broadcast_to(np.float32(seed), (1, floats)), np.zeros(1, dtype=np.int64))
        return Splits(split, split, split)

    task = replace(tiny.task(), data=data, metric=replace(tiny.task().metric, constant=lambda *_: 0.0))
    for seed in [*range(3 * KEPT), *reversed(range(3 * KEPT))]:
        assert float(load(task, seed).train[0][0, 0]) == seed
    assert Counter(drawn.values()) == Counter({1: kept, 2: 3 * KEPT - kept})
