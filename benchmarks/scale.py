"""Plans of 1,000 to 100,000 members, planned, scheduled, stored, judged and reported by the real driver, with a stub
in place of the engine: what does the driver cost a member, in seconds, memory and files?

    python benchmarks/scale.py 1000 10000 100000 [--no-export]

Seconds leave out the export of `studies.db`, which a worker writes beside the final runs and which has a column of its own;
`--no-export` leaves it undone. Each size runs in a process of its own.

What is real: Optuna's studies, streams and chunks, the Parquet files, the judge,
the export, the report, the manifest. The stub answers a chunk at once with curves drawn from the members' seeds.
"""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from assay.workers.interface import Watchdog

EPOCHS, WEIGHTS, WIDTH, TRIALS, SEEDS = 15, 12_000, 8, 20, 8


class Stub:
    """Answers what workers are asked for, in this process, and trains nothing."""

    size, device, export_seconds = 2, "cpu", 0.0
    export = True

    def __init__(self) -> None:
        self.watchdog = Watchdog()

    def submit(self, fn: Any, /, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(getattr(self, fn.__name__)(*args))
        return future

    def submit_here(self, fn: Any, /, *args: Any) -> Future[Any]:
        started, future = time.perf_counter(), Future()
        future.set_result(fn(*args) if Stub.export else None)
        Stub.export_seconds += time.perf_counter() - started
        return future

    def make_data(self, task: bytes, seed: int) -> str:
        return f"{seed:064x}"

    def choose_engine(self, *_: Any) -> Any:
        from assay.training.numerics import Chosen, loop_here

        return Chosen(msgspec.structs.replace(loop_here(), engine="vectorized", chunk_size=WIDTH), 1e-4)

    def time_step(self, *_: Any) -> Any:
        from assay.training.timing import Timed

        return Timed(8000, 0, 1e-4)

    def time_optimizers(self, task: bytes, contenders: list[bytes], *_: Any) -> list[float]:
        return [1e-5] * len(contenders)

    def train_chunk(self, task: bytes, contender: bytes, members: list[Any], numerics: Any) -> Any:
        from assay.core import Curves, DataFacts

        n, final = len(members), members[0].phase == "final"
        rng = np.random.default_rng(members[0].batches)
        near = np.array([-0.02 * (np.log10(m.hyperparameters["lr"]) + 2.5) ** 2 for m in members])
        curve = 0.6 + near[:, None] + 0.01 * rng.normal(size=(n, EPOCHS)) + 0.005 * members[0].slot
        return Curves(
            validation=curve,
            test=curve if final else None,
            train_loss=1 - curve,
            grad_norm=curve,
            update_norm=curve,
            diverged=np.zeros(n, dtype=int),
            gradient_evaluations=np.full(n, 1000),
            seconds=np.full(n, 0.1),
            data=tuple(DataFacts(f"{m.split:064x}", 8000, 2000, 0.1, 0.1) for m in members),
            weights=None if final else rng.random((n, WEIGHTS), dtype=np.float32),
        )

    def score_chunk(self, task: bytes, members: list[Any], weights: np.ndarray, numerics: Any) -> np.ndarray:
        return 0.6 + 0.01 * weights[:, 0].astype(float)


def one(members: int, export: bool) -> dict[str, Any]:
    """One plan, in this process."""
    from assay import events
    from assay.core import ProtocolOptions, WorkerOptions
    from assay.driver import one
    from assay.driver.plan import plan

    Stub.export = export

    replicates = max(2, round(members / (2 * (TRIALS + SEEDS))))
    began, stages = time.perf_counter(), []

    def note(event: Any) -> None:
        if isinstance(event, events.Stage):
            stages.append((event.name, time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    one.open_workers = lambda *_: contextlib.nullcontext(Stub())  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="assay-scale-") as folder:
        out = Path(folder) / "run"
        asked = ProtocolOptions(replicates=replicates, trials=TRIALS, final_seeds=SEEDS)
        (job,) = plan("adam", "sgd", protocol=asked, out=out).jobs
        one.run_job(job, WorkerOptions(), note)
        ended = time.perf_counter()
        files = [p for p in out.rglob("*") if p.is_file()]
        size = sum(p.stat().st_size for p in files)
        count = replicates * 2 * (TRIALS + SEEDS)
        exported, again = Stub.export_seconds, time.perf_counter()
        one.run_job(job, WorkerOptions())
        again_export = Stub.export_seconds - exported
        resumed = time.perf_counter() - again - again_export
    ends = [at for _, at, _ in stages[1:]] + [ended]
    seconds: dict[str, float] = {}
    for (name, at, _), end in zip(stages, ends, strict=True):
        seconds[name] = seconds.get(name, 0.0) + end - at
    first_export = exported
    seconds["score"] = seconds.get("score", 0.0) - first_export  # the export runs beside the final runs, in a worker
    return {
        "export": first_export,
        "members": count,
        "seconds": ended - began - first_export,
        "stages": seconds,
        "resumed": resumed,
        "peaks": {name: round(mib) for name, _, mib in stages},
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "files": len(files),
        "disk": size / 1e6,
    }


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(int(sys.argv[2]), sys.argv[3] == "export")))
        return
    shown = ("tune", "score", "final", "report")
    export = "plain" if "--no-export" in sys.argv else "export"
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()] or [1000, 10_000, 100_000]
    print(
        f"| members | s | ms a member | {' | '.join(shown)} (ms a member) | export, s | again, s | MiB | files | MB on disk |"
    )
    print("|" + "---|" * (8 + len(shown)))
    for size in sizes:
        command = [sys.executable, __file__, "--one", str(size), export]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        f = json.loads(done.stdout.splitlines()[-1])
        parts = [f"{1000 * f['stages'].get(name, 0.0) / f['members']:.2f}" for name in shown]
        print(
            f"| {f['members']:,} | {f['seconds']:.0f} | {1000 * f['seconds'] / f['members']:.2f} | {' | '.join(parts)} | "
            f"{f['export']:.0f} | {f['resumed']:.0f} | {f['megabytes']:.0f} | {f['files']:,} | {f['disk']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
