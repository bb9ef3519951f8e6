"""Is the instrument true? Thousands of real comparisons whose right answer is known, judged as any other.

    python benchmarks/calibration.py --to benchmarks/calibration.json      (about half an hour on 2 cores)
    python benchmarks/calibration.py --from benchmarks/calibration.json    (the table again, from the raw figures)

Every replicate goes through the whole honest protocol on the `logistic` task: its own data, its own tuning by the same
studies, the same selection, fresh final seeds, test scores after all selection. Replicates are independent, so a large
population of them is trained block by block and then cut into groups of K: each group is a comparison of its own and is
given to the judge that `assay run` calls.

The budget is small: 6 trials (4 spread, 2 refined) in a range of about one decade, and 2 final seeds; judged at the usual number
of replicates and at 4. The ranges are given, so that there is no pilot: what pilots do to the level is in `pilot_level.py`.

Compared are

- Adam with itself, under two names; in half of the comparisons the two share no initial weights and no batch order;
- Adam with Adam that has a handicap (`planted.py`): of three sizes, found by a search among a few strengths;
- Adam with SGD.

What is true of the last two is measured by a large run of its own, on other seeds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import calibration_table
import msgspec
import numpy as np
import scipy.stats
from planted import off_centre

from assay import events, seeds
from assay.answer.arrays import RecordArrays
from assay.contenders import contenders
from assay.core import (
    Contender,
    EngineOptions,
    Member,
    Numerics,
    ProtocolOptions,
    Task,
    TaskOptions,
    WorkerOptions,
    plan_of,
)
from assay.core.verdict import TaskVerdict
from assay.driver.estimate import settle
from assay.driver.job import Job, task_info, trainings
from assay.driver.one import train_finals, tune
from assay.driver.plan import plan
from assay.driver.scheduler import ChunkStream, Scheduler
from assay.judge import ContenderScores, judge
from assay.record import RunFolder
from assay.record.extend import resume
from assay.training.numerics import cpu_model, torch_build
from assay.workers.choose import open_workers
from assay.workers.interface import Workers
from assay.workers.local import cores

RANGES = {"adam": "0.005..0.1:log", "sgd": "0.05..1:log"}
STARTUP = 2  # random trials before the sampler learns from them
EFFECTS = (0.5, 1.0, 2.0)  # planted, in seed standard deviations
STRENGTHS = (0.05, 0.1, 0.2)  # tried by the search
BLOCK = 96  # replicates that train together
SMALLEST = 2  # replicates that A/A is judged at too: there, equal differences are likeliest to pass for certainty
BY_REPLICATE = ("test", "validation_final", "chosen_validation", "chosen_positions", "train_loss")  # of the evidence


@dataclass(frozen=True)
class Population:
    """R replicates of some contenders, the baseline first, as the judge takes them. Floors (R,)."""

    job: Job
    evidence: tuple[ContenderScores, ...]
    test_floor: np.ndarray
    validation_floor: np.ndarray

    def __len__(self) -> int:
        return len(self.test_floor)

    def seed_sd(self) -> float:
        """The spread of the baseline's score between the final seeds of a replicate."""
        return float(np.sqrt(self.evidence[0].test.var(axis=1, ddof=1).mean()))

    def judged(self, slot: int, replicates: int, margin: float | None = None) -> list[TaskVerdict]:
        """The verdicts on one candidate of every group of `replicates`."""
        task = task_info(self.job.task)
        if margin is not None:
            task = msgspec.structs.replace(task, margin=margin)
        protocol = msgspec.structs.replace(self.job.science.protocol, replicates=replicates)
        verdicts: list[TaskVerdict] = []
        for first in range(0, len(self) - replicates + 1, replicates):
            group = slice(first, first + replicates)
            evidence = [_cut(self.evidence[s], group) for s in (0, slot)]
            floors = self.test_floor[group], self.validation_floor[group]
            verdicts += judge(evidence, task, protocol, *floors, seed=first)
        return verdicts

    def differences(self, slot: int) -> np.ndarray:
        """One candidate's difference in each replicate (R,), as the judge takes it."""
        return np.concatenate([v.details.differences for v in self.judged(slot, 2)])

    def truth(self, slot: int) -> dict[str, float]:
        """The mean difference of all replicates with its standard error; their spread and shape."""
        differences = self.differences(slot)
        sd = float(differences.std(ddof=1))
        return {
            "difference": float(differences.mean()),
            "se": sd / len(differences) ** 0.5,
            "sd": sd,
            "skewness": float(scipy.stats.skew(differences)),
            "kurtosis": float(scipy.stats.kurtosis(differences)),
        }


def _cut(evidence: ContenderScores, group: slice) -> ContenderScores:
    return replace(evidence, **{name: getattr(evidence, name)[group] for name in BY_REPLICATE})


class Apart(Scheduler):
    """A scheduler with which every candidate has initial weights and a batch order of its own."""

    def train(self, streams: Iterable[ChunkStream]) -> None:
        super().train(_reseeded(stream) for stream in streams)


def _reseeded(stream: ChunkStream) -> ChunkStream:
    wanted = next(stream)
    while True:
        curves = yield [[_own(m) for m in chunk] for chunk in wanted]
        try:
            wanted = stream.send(curves)
        except StopIteration:
            return


def _own(m: Member) -> Member:
    if m.slot == 0:
        return m
    own = {name: seeds.hashed("apart", getattr(m, name), what=name) for name in ("init", "batches", "noise")}
    return msgspec.structs.replace(m, **own)


@dataclass
class Bench:
    """Where and how everything is trained."""

    options: argparse.Namespace
    workers: Workers
    folder: Path
    progress: Progress
    task: str | Task

    def job(self, rivals: Sequence[Contender], replicates: int, seed: int) -> Job:
        o = self.options
        protocol = ProtocolOptions(
            protocol=o.protocol, trials=o.trials, replicates=replicates, final_seeds=o.final_seeds, seed=seed
        )
        engine = EngineOptions(engine=o.engine, compile="on" if o.engine == "vectorized" else "auto")
        (job,) = plan(*rivals, on=TaskOptions(task=self.task), protocol=protocol, engine=engine, out=self.folder).jobs
        if job.science.protocol.edition == 2:
            return job
        sampler = {**job.science.protocol.sampler_options, "n_startup_trials": STARTUP}
        settled = msgspec.structs.replace(job.science.protocol, sampler_options=sampler)
        return replace(job, science=msgspec.structs.replace(job.science, protocol=settled))

    def settle(self, rivals: Sequence[Contender], replicates: int) -> None:
        """The numerics of each kind of contender."""
        job = self.job(rivals, replicates, self.options.seed)
        numerics, _ = settle(self.workers, job, events.ignore)
        self.numerics = {_kind(c): n for c, n in zip(job.contenders, numerics, strict=True)}

    def population(self, label: str, rivals: Sequence[Contender], replicates: int, apart: bool = False) -> Population:
        """Train `replicates` of these contenders, block by block."""
        parts = [
            self._block(label, rivals, first, min(BLOCK, replicates - first), apart)
            for first in range(0, replicates, BLOCK)
        ]
        job = parts[0].job
        joined = tuple(_joined([p.evidence[s] for p in parts]) for s in range(len(rivals)))
        floors = (np.concatenate([getattr(p, name) for p in parts]) for name in ("test_floor", "validation_floor"))
        return Population(job, joined, *floors)

    def _block(self, label: str, rivals: Sequence[Contender], first: int, count: int, apart: bool) -> Population:
        seed = seeds.hashed("calibration", self.options.seed, population=label, first=first)
        job = self.job(rivals, count, seed)
        numerics: tuple[Numerics, ...] = tuple(self.numerics[_kind(c)] for c in job.contenders)
        path = self.folder / f"{label}-{first}"
        folder = resume(path, job.science, torch_build()) or RunFolder.create(path, plan_of(job.science, numerics))
        wanted, recorded = trainings(job.science), sum(folder.counts().values())
        if recorded < wanted or folder.unscored():
            scheduler = (Apart if apart else Scheduler)(folder, job.task, job.contenders, self.workers, events.ignore)
            tune(scheduler, job.contenders, range(count))
            train_finals(scheduler, range(count))
        arrays = RecordArrays(folder.plan, folder.frame())
        evidence = tuple(arrays.contender(slot) for slot in range(len(rivals)))
        floors = arrays.floors("test_floor"), arrays.floors("validation_floor")
        if not self.options.records:
            shutil.rmtree(path)
        self.progress.done(label, wanted, recorded)
        return Population(job, evidence, *floors)


def _kind(c: Contender) -> tuple[str, str]:
    return c.reference, c.source


def _joined(parts: Sequence[ContenderScores]) -> ContenderScores:
    return replace(parts[0], **{name: np.concatenate([getattr(p, name) for p in parts]) for name in BY_REPLICATE})


class Progress:
    """What is done of all trainings, on standard error."""

    def __init__(self, total: int) -> None:
        self.total, self.trained, self.recorded, self.started = total, 0, 0, time.perf_counter()

    def done(self, label: str, trainings: int, recorded: int) -> None:
        self.trained += trainings
        self.recorded += recorded
        seconds = time.perf_counter() - self.started
        left = seconds * (self.total / self.trained - 1)
        line = f"{self.trained:,} of {self.total:,} trainings, {seconds:.0f} s, about {left:.0f} s left ({label})"
        end = "\r" if sys.stderr.isatty() and self.trained < self.total else "\n"
        print(f"{line:<100}", end=end, file=sys.stderr, flush=True)


def measure(o: argparse.Namespace) -> dict[str, Any]:
    """All trainings and verdicts; the raw figures, as `calibration_table` reads them."""
    k = o.replicates
    half, planted_size = -(-o.comparisons // 2) * k, o.planted * k
    total = (2 * 2 * half + (len(STRENGTHS) + 1) * o.search + (len(EFFECTS) + 2) * (o.truth + planted_size)) * (
        o.trials + o.final_seeds
    )
    ranges = [f"{name}.lr={RANGES[kind]}" for name, kind in (("adam", "adam"), ("twin", "adam"), ("sgd", "sgd"))]
    adam, twin, sgd = contenders(["adam", "twin=adam", "sgd"], ranges)
    space, started = adam.space, time.perf_counter()
    with (
        open_workers(WorkerOptions(workers=o.workers)) as workers,
        tempfile.TemporaryDirectory(prefix="calibration-") as folder,
    ):
        bench = Bench(o, workers, o.records or Path(folder), Progress(total), o.task)
        bench.settle([adam, off_centre("handicap", STRENGTHS[0], space), sgd], o.truth + planted_size)
        search = bench.population("search", [adam, *_handicaps(STRENGTHS, space)], o.search)
        found = [search.truth(slot) for slot in range(1, len(STRENGTHS) + 1)]
        seed_sd = search.seed_sd()
        strengths = [strength_for(e * seed_sd, [t["difference"] for t in found]) for e in EFFECTS]
        rivals = [adam, *_handicaps(strengths, space), sgd]
        true = bench.population("truth", rivals, o.truth)
        truths = [true.truth(slot) for slot in range(1, len(rivals))]
        compared = bench.population("planted", rivals, planted_size)
        shared = bench.population("aa", [adam, twin], half)
        apart = bench.population("aa-apart", [adam, twin], half, apart=True)
    lines = list(_lines((k, o.also), shared, apart, compared, truths))
    return {
        "made": made(bench.progress, time.perf_counter() - started),
        "settings": {
            n: getattr(o, n) for n in ("protocol", "task", "trials", "final_seeds", "replicates", "truth", "seed")
        },
        "alpha": compared.job.science.protocol.alpha,
        "scale": compared.job.task.metric.scale,
        "unit": compared.job.task.metric.unit,
        "seed_sd": true.seed_sd(),
        "search": [{"strength": s, **t} for s, t in zip(STRENGTHS, found, strict=True)],
        "planted": [{"effect": e, "strength": s} for e, s in zip(EFFECTS, strengths, strict=True)],
        "aa": {"shared": shared.differences(1).tolist(), "apart": apart.differences(1).tolist()},
        "lines": lines,
    }


def _handicaps(strengths: Sequence[float], space: Any) -> list[Contender]:
    return [off_centre(f"handicap-{i}", s, space) for i, s in enumerate(strengths)]


def strength_for(effect: float, found: Sequence[float]) -> float:
    """The strength whose loss is `effect`, between those tried, whose differences are `found`; the largest if none is."""
    losses = np.maximum.accumulate([0.0, *np.negative(found)])
    if effect > losses[-1]:
        print("the search saw too little loss, so the largest handicap is taken: more --search", file=sys.stderr)
    return float(np.interp(effect, losses, [0.0, *STRENGTHS]))


def _lines(
    counts: tuple[int, int],
    shared: Population,
    apart: Population,
    compared: Population,
    truths: Sequence[dict[str, float]],
) -> Iterator[dict[str, Any]]:
    for group in sorted({SMALLEST, *counts}):
        for name, population in (("shared", shared), ("apart", apart)):
            yield {"kind": "aa", "name": name, "replicates": group, **_rows(population.judged(1, group))}
    for slot, (effect, truth) in enumerate(zip(EFFECTS, truths, strict=False), start=1):
        for group in counts:
            common = {"effect": effect, "truth": truth, "replicates": group}
            yield {"kind": "planted", **common, **_rows(compared.judged(slot, group))}
            at_margin = compared.judged(slot, group, margin=abs(truth["difference"]))
            yield {"kind": "margin", **common, "outcome": [v.outcome for v in at_margin]}
    for group in counts:
        pair = _rows(compared.judged(len(truths), group))
        yield {"kind": "pair", "truth": truths[-1], "replicates": group, **pair}


def _rows(verdicts: Sequence[TaskVerdict]) -> dict[str, Any]:
    """What the table needs of each verdict, a list each."""
    found = {
        name: [_short(getattr(v, name)) for v in verdicts] for name in ("difference", "ci_low", "ci_high", "p_value")
    }
    return {**found, "outcome": [v.outcome for v in verdicts]}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def made(progress: Progress, seconds: float) -> dict[str, Any]:
    packages = ("torch", "optuna", "numpy", "scipy")
    return {
        "date": date.today().isoformat(),
        "cpu": cpu_model(),
        "cores": cores(),
        "torch": torch_build(),
        "python": sys.version.split()[0],
        **{name: metadata.version(name) for name in packages if name != "torch"},
        "trainings": progress.trained,
        "recorded": progress.recorded,
        "seconds": round(seconds),
    }


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=1000, help="of A with A, half of them sharing no seeds")
    parser.add_argument("--planted", type=int, default=200, help="comparisons with each handicap and with SGD")
    parser.add_argument("--truth", type=int, default=1440, help="replicates that measure what is true of these")
    parser.add_argument("--search", type=int, default=960, help="replicates that the handicaps are found with")
    parser.add_argument("--replicates", type=int, default=14, help="K of a comparison")
    parser.add_argument("--also", type=int, default=4, help="a K that all is judged at as well")
    parser.add_argument("--task", default="logistic")
    return with_usual(parser).parse_args(given)


def with_usual(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options that a calibration has, whatever it calibrates."""
    parser.add_argument("--protocol", default="honest", choices=("honest", "honest-1"))
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--final-seeds", type=int, default=2)
    parser.add_argument("--engine", default="auto", choices=("auto", "vectorized", "loop"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument(
        "--records", type=Path, metavar="DIR", help="keep all members there; what is there isn't trained again"
    )
    parser.add_argument("--to", type=Path, metavar="FILE", help="keep the raw figures")
    parser.add_argument(
        "--from", type=Path, metavar="FILE", dest="source", help="train nothing: print from raw figures"
    )
    return parser


def shown(
    options: argparse.Namespace,
    measured: Callable[[argparse.Namespace], dict[str, Any]],
    text: Callable[[dict[str, Any]], str],
) -> None:
    """Print the tables, of figures on file or measured now, which are kept where that is asked for."""
    raw = json.loads(options.source.read_text()) if options.source else measured(options)
    if options.to:
        options.to.write_text(json.dumps(raw, separators=(",", ":")) + "\n")
    print(text(raw))


def main(given: Sequence[str] | None = None) -> None:
    shown(arguments(given), measure, calibration_table.text)


if __name__ == "__main__":
    main()
