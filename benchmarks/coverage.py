"""Which published optimizers run in the population engine, unmodified, and why the others don't.

Every class of torch.optim, assay.optim and, if it is installed, pytorch-optimizer trains a small MLP in the plain loop
and in the engine's two forms; "vectorized" and "compiled" mean that every number agreed (the parity probe: 30 steps in
float64, 1e-5 relative). Compiled steps are traced, split and replayed here, not run through torch's compiler.

    python benchmarks/coverage.py [NAME…] [--markdown FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import assay.optim
from assay.contenders.adapt import adapt
from assay.contenders.registry import LEARNING_RATE
from assay.core import Contender, Numerics, Split, Splits, Task
from assay.errors import AssayError
from assay.tasks.metrics import accuracy
from assay.train import loop
from assay.train.probe import members, probe

NUMERICS = Numerics("vectorized", False, 3, "float64", "cpu", 1, "", "")


@dataclass
class Row:
    """What became of one class: "compiled", "vectorized", "loop" (with the reason) or "not run" by the loop itself."""

    package: str
    name: str
    outcome: str
    reason: str
    seconds: float


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


def classes() -> Iterator[tuple[str, type]]:
    for cls in vars(torch.optim).values():
        if inspect.isclass(cls) and issubclass(cls, torch.optim.Optimizer) and cls is not torch.optim.Optimizer:
            yield "torch.optim", cls
    for name in assay.optim.__all__:
        if inspect.isclass(getattr(assay.optim, name)):
            yield "assay.optim", getattr(assay.optim, name)
    with contextlib.suppress(ImportError):
        import pytorch_optimizer  # type: ignore[import-not-found]  # optional: the survey's packages are not ours

        seen: set[type] = set()
        for name in sorted(vars(pytorch_optimizer), key=str.lower):
            cls = getattr(pytorch_optimizer, name)
            if (
                inspect.isclass(cls)
                and issubclass(cls, torch.optim.Optimizer)
                and cls.__module__.startswith("pytorch_optimizer")
                and cls.__name__ != "BaseOptimizer"
                and cls not in seen
            ):
                seen.add(cls)
                yield "pytorch-optimizer", cls


def _by_shape(cls: type) -> Any:
    """Muon and its kin: matrices by the rule, the rest by its companion."""

    def make(model: nn.Module, run: Any, lr: float) -> Any:
        matrices = [p for p in model.parameters() if p.ndim == 2]
        others = [p for p in model.parameters() if p.ndim != 2]
        return cls([{"params": matrices, "use_muon": True}, {"params": others, "use_muon": False}], lr=lr)

    return make


def _matrices_only(cls: type) -> Any:
    return lambda model, run, lr: cls([p for p in model.parameters() if p.ndim == 2], lr=lr)


def _around_adam(cls: type) -> Any:
    return lambda model, run, lr: cls(torch.optim.Adam(model.parameters(), lr=lr))


# Classes that need more than parameters and a learning rate, each as its documentation says
FACTORIES: dict[str, Any] = {
    **dict.fromkeys(("AdaGO", "AdaMuon", "DistributedMuon", "MuonClip", "NorMuon"), _by_shape),
    **dict.fromkeys(
        ("Lookahead", "Magma", "OrthoGrad", "ScheduleFreeWrapper", "TRAC", "SafeFP16Optimizer"), _around_adam
    ),
    "SpectralSphere": _matrices_only,
    "Ranger21": lambda cls: lambda model, run, lr: cls(model.parameters(), lr=lr, num_iterations=run.total_steps),
}


def contender_of(cls: type) -> Contender:
    if cls.__name__ == "Muon":
        factory: Any = _by_shape if cls.__module__.startswith("pytorch_optimizer") else _matrices_only
    else:
        factory = FACTORIES.get(cls.__name__)
    if factory is not None:
        return Contender(cls.__name__, factory(cls), {"lr": LEARNING_RATE})
    adam = adapt(torch.optim.Adam, "adam", space={"lr": LEARNING_RATE})
    made = adapt(cls, cls.__name__, baseline=adam)
    closure = "yes" if "closure" in _required(cls) or cls is torch.optim.LBFGS else "no"
    return Contender(made.name, made.make, made.space, made.fixed, closure=closure)


def _required(cls: type) -> list[str]:
    parameters = inspect.signature(inspect.unwrap(cls.step)).parameters.values()  # type: ignore[attr-defined]
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)][1:]


def survey(package: str, cls: type) -> Row:
    started = time.perf_counter()

    def row(outcome: str, reason: str = "") -> Row:
        return Row(package, cls.__name__, outcome, " ".join(reason.split()), time.perf_counter() - started)

    small = task()
    try:
        arm = contender_of(cls)
        _loop_runs(small, arm)
    except AssayError as error:
        return row("not run", str(error))
    except Exception as error:
        return row("not run", f"{type(error).__name__}: {error}")
    reason = attempt(small, arm, compiled=False)
    if reason is not None:
        return row("loop", reason)
    reason = attempt(small, arm, compiled=True)
    return row("compiled") if reason is None else row("vectorized", reason)


def _loop_runs(small: Task, arm: Contender) -> None:
    """Raises what the loop raises in double precision and in single."""
    try:
        loop.train(small, arm, members(arm)[:1], NUMERICS)
    except Exception:
        loop.train(small, arm, members(arm)[:1], msgspec.structs.replace(NUMERICS, dtype="float32"))


def attempt(small: Task, arm: Contender, compiled: bool) -> str | None:
    numerics = Numerics("vectorized", compiled, 3, "float64", "cpu", 1, "", "")
    try:
        return probe(small, arm, numerics)
    except Exception as error:
        return f"the loop fails in this population: {type(error).__name__}: {error}"


def table(rows: list[Row]) -> str:
    lines = ["| package | class | engine | reason |", "|---|---|---|---|"]
    lines += [f"| {r.package} | {r.name} | {r.outcome} | {r.reason[:160].replace('|', '/')} |" for r in rows]
    return "\n".join(lines)


def summary(rows: list[Row]) -> str:
    lines: list[str] = []
    for package in dict.fromkeys(r.package for r in rows):
        runs = [r for r in rows if r.package == package and r.outcome != "not run"]
        vectorized = sum(r.outcome in ("vectorized", "compiled") for r in runs)
        compiled = sum(r.outcome == "compiled" for r in runs)
        lines.append(
            f"{package}: {len(runs)} classes that the loop can run; "
            f"{vectorized} vectorized ({vectorized / max(1, len(runs)):.0%}), "
            f"{compiled} compiled ({compiled / max(1, len(runs)):.0%})"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="classes to survey; all, if none is named")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    rows: list[Row] = []
    for package, cls in classes():
        if options.names and cls.__name__ not in options.names:
            continue
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            row = survey(package, cls)
        rows.append(row)
        print(f"{row.package:18} {row.name:22} {row.outcome:11} {row.seconds:5.1f} s  {row.reason[:150]}", flush=True)
    text: Any = summary(rows)
    print(f"\n{text}")
    if options.markdown:
        options.markdown.write_text(f"{table(rows)}\n\n{text}\n")


if __name__ == "__main__":
    main()
