"""Which published optimizers run in the population engine, unmodified, and why the others don't.

Every class of torch.optim, assay.optim and, if it is installed, pytorch-optimizer trains a small MLP in the plain loop
and in the engine's two forms. "vectorized" and "compiled" mean that every number agreed: the parity probe, 60 steps in
float64, to 1e-5 relative, and that at least three steps in four ran compiled. Compiled steps are traced, split and
replayed; with `--compiler` they also run through torch's compiler, half a minute a class, and must agree again.

    python benchmarks/coverage.py [NAME…] [--compiler] [--keep FILE] [--page docs/coverage.md]

Each class has a process of its own, which may die or take too long. With `--keep` what is finished is kept in a file,
and not done again for the same engine, torch and package.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import multiprocessing
import platform
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from coverage_classes import classes, contender_of
from torch import nn
from torch.nn.functional import cross_entropy

from assay import engine
from assay.core import Contender, Numerics, Split, Splits, Task
from assay.core.versions import hash_of_sources
from assay.engine.compiled.population import Compiled, Interpreted
from assay.engine.eager.population import Population
from assay.engine.select.parity import members, probe
from assay.errors import AssayError
from assay.tasks.metrics import accuracy
from assay.training import loop

NUMERICS = Numerics("vectorized", False, 3, "float64", "cpu", 1, "", "")
LIMIT = 900.0  # seconds for one class
LEAST_COMPILED = 0.75  # of the steps


@dataclass
class Row:
    """What became of one class: "compiled", "vectorized", "loop" (with the reason) or "not run" by the loop itself."""

    package: str
    name: str
    outcome: str
    reason: str = ""
    seconds: float = 0.0


def task() -> Task:
    """An MLP 12 → 16 → 5 on random data: matrices, vectors, batches of 16 with a smaller last one."""

    def data(seed: int) -> Splits:
        draw = np.random.default_rng(seed)

        def split(n: int) -> Split:
            return Split(draw.normal(size=(n, 12)).astype(np.float32), draw.integers(0, 5, n))

        return Splits(split(200), split(40), split(40))

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 5))

    return Task("survey", data, model, cross_entropy, accuracy, 3, 16, 0.01, "survey")


# ---------------------------------------------------------------------------------------------------- one class


def survey(package: str, cls: type, compiler: bool = False) -> Row:
    small = task()
    try:
        arm = contender_of(cls)
        _loop_runs(small, arm)
    except AssayError as error:
        return Row(package, cls.__name__, "not run", str(error))
    except Exception as error:
        return Row(package, cls.__name__, "not run", f"{type(error).__name__}: {error}")
    reason = attempt(small, arm, Population)
    if reason is not None:
        return Row(package, cls.__name__, "loop", reason)
    for kind in (Interpreted, Compiled) if compiler else (Interpreted,):
        reason = attempt(small, arm, kind)
        if reason is not None:
            return Row(package, cls.__name__, "vectorized", reason)
    return Row(package, cls.__name__, "compiled")


def _loop_runs(small: Task, arm: Contender) -> None:
    """Raises what the loop raises in double precision and in single."""
    try:
        loop.train(small, arm, members(arm)[:1], NUMERICS)
    except Exception:
        loop.train(small, arm, members(arm)[:1], msgspec.structs.replace(NUMERICS, dtype="float32"))


def attempt(small: Task, arm: Contender, kind: type[Population]) -> str | None:
    """None where this kind of population gives the loop's numbers, else why not."""
    steps = missed = 0

    class Counted(kind):
        def step(self, *batch: Any) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            nonlocal steps, missed
            traces = super().step(*batch)
            steps, missed = steps + 1, getattr(self, "missed", 0)
            return traces

    compiled = issubclass(kind, Compiled)
    try:
        reason = probe(small, arm, msgspec.structs.replace(NUMERICS, compiled=compiled), kind=Counted)
    except Exception as error:
        return f"the loop fails in this population: {type(error).__name__}: {error}"
    if reason is None and compiled and missed > (1 - LEAST_COMPILED) * steps:
        return f"{missed} of {steps} steps ran eagerly"
    return reason


def guarded(package: str, cls: type, compiler: bool) -> Row:
    """The survey of one class in a process of its own."""
    started = time.perf_counter()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, package, cls, compiler))
    child.start()
    theirs.close()
    try:
        row = Row(**ours.recv()) if ours.poll(LIMIT) else Row(package, cls.__name__, "loop", f"over {LIMIT:.0f} s")
    except EOFError:
        row = Row(package, cls.__name__, "not run", "the process died")
    child.kill()
    child.join()
    row.seconds = time.perf_counter() - started
    row.reason = " ".join(row.reason.split())
    return row


def _child(pipe: Connection, package: str, cls: type, compiler: bool) -> None:
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        pipe.send(asdict(survey(package, cls, compiler)))


# --------------------------------------------------------------------------------------------------- what is kept


class Kept:
    """Rows in a file, a line each, by the facts that they hold for."""

    def __init__(self, path: Path | None, compiler: bool) -> None:
        source = hash_of_sources(Path(engine.__file__).parent)
        self.path, self.facts = path, {**versions(), "engine": source, "compiler": str(compiler)}
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        documents = [json.loads(line) for line in lines]
        self.rows = {
            (d["row"]["package"], d["row"]["name"]): Row(**d["row"]) for d in documents if d["facts"] == self.facts
        }

    def add(self, row: Row) -> None:
        self.rows[row.package, row.name] = row
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps({"facts": self.facts, "row": asdict(row)}) + "\n")


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "torch": torch.__version__}
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["pytorch-optimizer"] = metadata.version("pytorch-optimizer")
    return found


# --------------------------------------------------------------------------------------------------- what is shown


def summary(rows: Sequence[Row]) -> list[str]:
    packages = [(p, [r for r in rows if r.package == p]) for p in dict.fromkeys(r.package for r in rows)]
    return [_counts(package, own) for package, own in packages] + [_counts("all", rows)]


def _counts(package: str, rows: Iterable[Row]) -> str:
    runs = [r for r in rows if r.outcome != "not run"]
    vectorized = sum(r.outcome in ("vectorized", "compiled") for r in runs)
    compiled = sum(r.outcome == "compiled" for r in runs)
    return (
        f"{package}: {len(runs)} classes that the loop can run; {vectorized} vectorized "
        f"({vectorized / max(1, len(runs)):.0%}), {compiled} of them compiled ({compiled / max(1, len(runs)):.0%})"
    )


def page(rows: Sequence[Row], compiler: bool) -> str:
    command = f"python benchmarks/coverage.py{' --compiler' if compiler else ''} --page docs/coverage.md"
    compiled = (
        "Compiled steps ran through torch's compiler." if compiler else "Compiled steps were replayed uncompiled."
    )
    parts = [
        "# Which optimizers the population engine runs\n",
        f"Made by `{command}` with {', '.join(f'{name} {version}' for name, version in versions().items())}.\n",
        "Every class trains a small MLP in the plain loop and in the engine, unmodified, three members with rates of "
        "their own. It counts as *vectorized* or *compiled* only if every number of 60 float64 steps agrees with the "
        f"loop's to 1e-5 (1e-3 in float32 where it takes no other). {compiled} All else trains in the loop: at the start "
        "of each run the same probe decides, so a class is never given numbers that aren't the loop's.\n",
        *(f"- {line}" for line in summary(rows)),
    ]
    for outcome, title, column in (
        ("loop", "In the loop", "why"),
        ("vectorized", "Vectorized, not compiled", "why it isn't compiled"),
        ("not run", "Not run by the loop either", "why"),
    ):
        own = [r for r in rows if r.outcome == outcome]
        parts += [f"\n## {title}: {len(own)}\n", f"| package | class | {column} |", "|---|---|---|"]
        parts += [f"| {r.package} | {r.name} | {r.reason[:200].replace('|', '/')} |" for r in own]
    own = [r for r in rows if r.outcome == "compiled"]
    parts.append(f"\n## Compiled: {len(own)}\n")
    for package in dict.fromkeys(r.package for r in own):
        parts.append(f"**{package}**: {', '.join(r.name for r in own if r.package == package)}\n")
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="classes to survey; all, if none is named")
    parser.add_argument("--compiler", action="store_true", help="also run compiled steps through torch's compiler")
    parser.add_argument("--keep", type=Path, help="keep what is finished in this file, and go on from it")
    parser.add_argument("--page", type=Path, help="write the page to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.keep, options.compiler)
    rows: list[Row] = []
    for package, cls in classes():
        if options.names and cls.__name__ not in options.names:
            continue
        row = kept.rows.get((package, cls.__name__))
        if row is None:
            row = guarded(package, cls, options.compiler)
            kept.add(row)
        rows.append(row)
        print(f"{row.package:18} {row.name:22} {row.outcome:11} {row.seconds:5.1f} s  {row.reason[:150]}", flush=True)
    print("\n" + "\n".join(summary(rows)))
    if options.page:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(page(rows, options.compiler))


if __name__ == "__main__":
    main()
