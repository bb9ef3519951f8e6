"""Fixed data, partitioned anew for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assay.core import Split, Splits

SHARES = (0.6, 0.2, 0.2)  # of what is given whole: training, validation, test


@dataclass(frozen=True, eq=False)
class Partitioned:
    """`samples` dealt out by the seed: `sizes` of them to training, validation (0: no such split) and test."""

    samples: Split
    sizes: tuple[int, int, int]

    def __call__(self, seed: int) -> Splits:
        """The partition of a seed: a permutation, cut in three."""
        train, validation, test = self.sizes
        order = np.random.default_rng(seed).permutation(len(self.samples.targets))

        def part(start: int, size: int) -> Split:
            rows = order[start : start + size]
            return Split(self.samples.inputs[rows], self.samples.targets[rows])

        held_out = part(train, validation) if validation else None
        return Splits(part(0, train), held_out, part(train + validation, test))


def sizes_of(count: int, shares: Sequence[float] = SHARES) -> tuple[int, int, int]:
    """How `count` samples are dealt out by default: 60, 20 and 20 %."""
    train, validation = int(shares[0] * count), int(shares[1] * count)
    return train, validation, count - train - validation
