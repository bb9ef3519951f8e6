"""Is a verdict across tasks true? Hundreds of comparisons on four cheap tasks, whose right answer is known.

    python benchmarks/suite_calibration.py --to FILE      (about half an hour on 2 cores)
    python benchmarks/suite_calibration.py --from FILE    (the table again)

As `calibration.py`, on four variants of the logistic task at once. Replicates are cut into groups of K, one of each task makes a
suite, and its headline is `judge.across.these` with the level and the margin of a plan. Compared are Adam with itself, under two
names and seeds of its own, and Adam with Adam that has a handicap (`planted.py`), whose true mean difference over these tasks is
measured by a large run of its own.
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
from planted import off_centre

from assay.core import Task, WorkerOptions
from assay.judge.across import Part, these
from assay.judge.decide import outcome, resolution, rounding_sd
from assay.tasks import find
from assay.workers.choose import open_workers

STRENGTH = 0.09  # of the handicap
KS = (4, 6, 14)  # replicates of a suite's runs
ALPHA = 0.05


def tasks() -> list[Task]:
    """Four that differ in what is hard about them, each with data of its own."""
    plain = find("logistic")
    return [
        plain,
        replace(find("logistic", {"label_noise": 0.2}), name="logistic-noisy"),
        replace(plain, name="logistic-short", epochs=2),
        replace(plain, name="logistic-large-batches", batch_size=64),
    ]


def measure(o: argparse.Namespace) -> dict[str, Any]:
    """All trainings; the differences (slot, replicate) of each task, in margins, and what they are rounded to."""
    ranges = [f"{name}.lr=0.005..0.1:log" for name in ("adam", "twin")]
    adam, twin = contenders(["adam", "twin=adam"], ranges)
    rivals, started = [adam, twin, off_centre("handicap", STRENGTH, adam.space)], time.perf_counter()
    each = (3 * o.suites * min(KS) + 2 * o.truth) * (o.trials + o.final_seeds)
    progress, found = Progress(len(tasks()) * each), []
    with (
        open_workers(WorkerOptions(workers=o.workers)) as workers,
        tempfile.TemporaryDirectory(prefix="calibration-") as folder,
    ):
        for task in tasks():
            bench = Bench(o, workers, (o.records or Path(folder)) / task.name, progress, task)
            bench.settle(rivals, o.truth)
            own = bench.population(f"suites-{task.name}", rivals, o.suites * min(KS), apart=True)
            truth = bench.population(f"truth-{task.name}", [rivals[0], rivals[2]], o.truth)
            found.append(_of(task, own, truth))
    return {
        "made": made(progress, time.perf_counter() - started),
        "settings": {n: getattr(o, n) for n in ("trials", "final_seeds", "suites", "truth", "seed")},
        "tasks": found,
    }


def _of(task: Task, own: Population, truth: Population) -> dict[str, Any]:
    step = resolution([contender.test for contender in own.evidence])
    measured = truth.truth(1)
    return {
        "name": task.name,
        "differences": [(own.differences(slot) / task.margin).round(5).tolist() for slot in (1, 2)],
        "least_sd": rounding_sd(step) / task.margin,
        "truth": measured["difference"] / task.margin,
        "se": measured["se"] / task.margin,
        "sd": measured["sd"] / task.margin,
    }


def headlines(raw: dict[str, Any], slot: int, replicates: int) -> np.ndarray:
    """The ends (suites, 2) of the interval that decides, in margins."""
    own, names = [np.array(t["differences"][slot - 1]) for t in raw["tasks"]], [t["name"] for t in raw["tasks"]]
    least = [t["least_sd"] for t in raw["tasks"]]
    ends: list[tuple[float, float]] = []
    for first in range(0, min(map(len, own)) - replicates + 1, replicates):
        parts = [Part(d[first : first + replicates], sd) for d, sd in zip(own, least, strict=True)]
        found = these(parts, names, ALPHA)
        ends.append((found.low, found.high))
    return np.array(ends)


def lines(raw: dict[str, Any]) -> list[Line]:
    """Errors between equals, and coverage and power with the handicap, at each K."""
    truth = float(np.mean([t["truth"] for t in raw["tasks"]]))
    found: list[Line] = []
    for k in KS:
        same, apart = headlines(raw, 1, k), headlines(raw, 2, k)
        said = [outcome(low, high, 1.0) for low, high in same]
        wrong = int(((same[:, 0] > 0) | (same[:, 1] < 0)).sum())
        note = ", ".join(f"{said.count(name)} {name}" for name in ("better", "worse", "negligible", "equivalent"))  # type: ignore[arg-type]
        held = int(((apart[:, 0] <= truth) & (truth <= apart[:, 1])).sum())
        seen = int(((apart[:, 0] > 0) | (apart[:, 1] < 0)).sum())
        share, n = _power(raw, truth, k), len(apart)
        for what, hits, expected, more, errors in (
            ("Adam and itself: a difference is claimed", wrong, ALPHA, note, True),
            ("handicap: the 95 % interval covers the truth", held, 1 - ALPHA, "", False),
            ("handicap: detected", seen, share, f"{int((apart[:, 0] > 0).sum())} in the wrong direction", False),
        ):
            least, most = expected_range(n, [expected])
            found.append(Line(what, k, n, hits, expected, least, most, more, errors))
    return found


def _power(raw: dict[str, Any], truth: float, replicates: int, draws: int = 4000) -> float:
    """How often a handicap of that size is seen, by simulation of normal differences with the spreads of these suites' own.

    The truth is measured on replicates whose seeds the two share, and a suite's are apart: their spread is larger.
    """
    rng, names = np.random.default_rng(0), [t["name"] for t in raw["tasks"]]
    spreads = [float(np.std(t["differences"][1], ddof=1)) for t in raw["tasks"]]
    seen = 0
    for _ in range(draws):
        drawn = (rng.normal(t["truth"], sd, replicates) for t, sd in zip(raw["tasks"], spreads, strict=True))
        parts = [Part(values, t["least_sd"]) for values, t in zip(drawn, raw["tasks"], strict=True)]
        found = these(parts, names, ALPHA)
        seen += found.low > 0 or found.high < 0
    return seen / draws


def text(raw: dict[str, Any]) -> str:
    """The tables, as Markdown."""
    by, s = raw["made"], raw["settings"]
    head = ["", "K", "suites", "found, % (95 % exact interval)", "expected, % (99 % range)", "holds", ""]
    tasks_head = ["task", "handicap, margins", "sd, seeds shared", "sd, seeds apart, as in these suites"]
    rows = [
        (
            t["name"],
            f"{t['truth']:.2f} ± {t['se']:.2f}",
            f"{t['sd']:.2f}",
            f"{np.std(t['differences'][1], ddof=1):.2f}",
        )
        for t in raw["tasks"]
    ]
    return "\n".join(
        [
            f"{by['trainings']:,} trainings in {by['seconds']} s on {by['cores']} cores of {by['cpu']}; Python "
            f"{by['python']}, torch {by['torch']}, {by['date']}. {s['trials']} trials, {s['final_seeds']} final seeds, "
            f"seed {s['seed']}.",
            "",
            *_markdown(head, [line.cells() for line in lines(raw)]),
            "",
            *_markdown(tasks_head, rows),
        ]
    )


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=int, default=500, help=f"of {min(KS)} replicates")
    parser.add_argument("--truth", type=int, default=960, help="replicates of a task that measure what is true of it")
    shown(with_usual(parser).parse_args(given), measure, text)


if __name__ == "__main__":
    main()
