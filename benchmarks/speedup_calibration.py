"""Is a speed-up true? Comparisons on real trainings whose right answer is known: Adam, given 0.8, 1 and 1.2 times the steps.

    python benchmarks/speedup_calibration.py --to FILE      (ten minutes on 2 cores)
    python benchmarks/speedup_calibration.py --from FILE    (the table again)

The candidate is Adam under another name with a sampler and final seeds of its own, tuned and trained for so many times the
steps that the comparison counts: what it is worth is known, therefore. Replicates of the logistic task, 5 epochs of 4 large
batches, where longer training helps, are cut into comparisons of K, each with a ladder that begins and grows as in a run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration import Bench, Population, Progress, contenders, made, shown, with_usual
from calibration_table import Line, _markdown, expected_range

from assay.core import WorkerOptions
from assay.judge.decide import Interval, paired_interval, resolution
from assay.judge.speedup import Ladder, Worth, wanted, worth
from assay.tasks import find
from assay.workers.choose import open_workers

PLANNED, BATCH = 5, 256  # epochs, and samples in a batch
RUNGS = (2, 4, 5, 7, 10, 14)
FIRST = (4, 5, 7)  # that every ladder has
TRUE = {0.8: 4, 1.0: 5, 1.2: 6}
KS = (8, 14)


def measure(o: argparse.Namespace) -> dict[str, Any]:
    """All trainings: the mean scores (replicate) of Adam at every rung, and of its twin at every true speed-up."""
    rivals, started = (
        contenders(["adam", "twin=adam"], [f"{n}.lr=0.02..0.3:log" for n in ("adam", "twin")]),
        time.perf_counter(),
    )
    lengths, replicates = sorted({*RUNGS, *TRUE.values()}), o.comparisons * min(KS)
    progress = Progress(len(lengths) * 2 * replicates * (o.trials + o.final_seeds))
    found: dict[int, Population] = {}
    with (
        open_workers(WorkerOptions(workers=o.workers)) as workers,
        tempfile.TemporaryDirectory(prefix="calibration-") as folder,
    ):
        for epochs in lengths:
            task = replace(find("logistic"), epochs=epochs, batch_size=BATCH)
            bench = Bench(o, workers, (o.records or Path(folder)) / str(epochs), progress, task)
            bench.settle(rivals, replicates)
            found[epochs] = bench.population("speed-ups", rivals, replicates, apart=True)

    def scores(epochs: int, slot: int) -> list[float]:
        return found[epochs].evidence[slot].test.mean(axis=1).round(6).tolist()

    return {
        "made": made(progress, time.perf_counter() - started),
        "settings": {n: getattr(o, n) for n in ("trials", "final_seeds", "comparisons", "seed")},
        "rungs": {str(epochs): scores(epochs, 0) for epochs in RUNGS},
        "candidates": {str(true): scores(epochs, 1) for true, epochs in TRUE.items()},
        "resolution": resolution([contender.test for contender in found[PLANNED].evidence]),
    }


def comparisons(raw: dict[str, Any], true: float, replicates: int) -> list[Worth]:
    """What each comparison of K replicates says."""
    rungs = {int(epochs): np.array(values) for epochs, values in raw["rungs"].items()}
    ours = np.array(raw["candidates"][str(true)])

    def deciding(differences: np.ndarray) -> Interval:
        return paired_interval(differences, 0.05, resolution=raw["resolution"])

    found: list[Worth] = []
    for first in range(0, len(ours) - replicates + 1, replicates):
        own, known = slice(first, first + replicates), [*FIRST]
        while True:
            ladder = Ladder(np.array(known) / PLANNED, np.stack([rungs[e][own] for e in known], axis=1))
            said = worth(ours[own] - rungs[PLANNED][own], ladder, deciding)
            assert said is not None
            places = {"shorter": RUNGS.index(known[0]) - 1, "longer": RUNGS.index(known[-1]) + 1}
            further = [RUNGS[places[end]] for end in wanted([said], ladder, deciding) if 0 <= places[end] < len(RUNGS)]
            if not further:
                break
            known = sorted([*known, *further])
        found.append(said)
    return found


def lines(raw: dict[str, Any]) -> list[Line]:
    """Coverage at each true speed-up and number of replicates."""
    found: list[Line] = []
    for replicates in KS:
        for true in TRUE:
            said = comparisons(raw, true, replicates)
            held = sum(any(low <= true <= high for low, high in w.pieces) for w in said)
            least, most = expected_range(len(said), [0.95])
            middle = float(np.median([w.factor for w in said if w.factor is not None]))
            ends = [np.log(w.high / w.low) for w in said if w.low is not None and w.high is not None]
            width = f"{np.median(ends):.2f}" if ends else "–"
            told = sum((w.low or 0.0) > 1 or (w.high or np.inf) < 1 for w in said)
            open_ends = f"{len(said) - len(ends)} open at an end"
            note = f"median {middle:.2f}, middle width {width} of a logarithm, {open_ends}, {told} without 1"
            found.append(
                Line(
                    f"{true:g}× the steps: the interval holds {true:g}",
                    replicates,
                    len(said),
                    held,
                    0.95,
                    least,
                    most,
                    note,
                    False,
                )
            )
    return found


def text(raw: dict[str, Any]) -> str:
    """The table, as Markdown."""
    by, s = raw["made"], raw["settings"]
    head = ["", "K", "comparisons", "found, % (95 % exact interval)", "expected, % (99 % range)", "holds", ""]
    return "\n".join(
        [
            f"{by['trainings']:,} trainings in {by['seconds']} s on {by['cores']} cores of {by['cpu']}; Python "
            f"{by['python']}, torch {by['torch']}, {by['date']}. {s['trials']} trials, {s['final_seeds']} final seeds, "
            f"seed {s['seed']}.",
            "",
            *_markdown(head, [line.cells() for line in lines(raw)]),
        ]
    )


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=100, help=f"of {min(KS)} replicates")
    shown(with_usual(parser).parse_args(given), measure, text)


if __name__ == "__main__":
    main()
