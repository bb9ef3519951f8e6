"""What is asked from Python: the options once, for each function that takes them, and their way to a settled comparison."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from assay import events
from assay.core import Brought, EngineOptions, ProtocolOptions, Task, TaskOptions, WorkerOptions
from assay.core.typed import instance
from assay.errors import UsageError, nearest
from assay.events.view import view
from assay.workers.choose import begin
from assay.workers.choose import check as check_workers

from .plan import Comparison
from .plan import plan as settle

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Question:
    """Contenders and options, by what they decide."""

    contenders: tuple[Brought, ...]
    on: TaskOptions
    protocol: ProtocolOptions
    engine: EngineOptions
    work: WorkerOptions
    out: str | Path | None
    fresh: bool
    quiet: bool

    @contextlib.contextmanager
    def settled(self) -> Iterator[tuple[Comparison, events.Recorded]]:
        """The comparison, and who listens to what comes of it."""
        begin(self.work)
        with view(self.quiet) as on_event:
            comparison = settle(
                *self.contenders,
                on=self.on,
                protocol=self.protocol,
                engine=self.engine,
                out=self.out,
                fresh=self.fresh,
                warn=lambda line: on_event(events.Warned(line)),
            )
            yield comparison, events.Recorded(on_event)


def question(
    baseline: Brought,
    *candidates: Brought,
    task: str | Task | Sequence[str | Task] = "mnist1d-mlp",
    epochs: int | Sequence[int] | None = None,
    margin: float | None = None,
    train_samples: int | Sequence[int] | None = None,
    width: int | Sequence[int] | None = None,
    depth: int | Sequence[int] | None = None,
    context: int | Sequence[int] | None = None,
    batch_size: int | Sequence[int] | None = None,
    label_noise: float | Sequence[float] | None = None,
    target: str | None = None,
    vocabulary: int | None = None,
    model: str | None = None,
    scale: str | None = None,
    protocol: Literal["honest", "honest-1", "published"] = "honest",
    trials: int | None = None,
    replicates: int | str | None = None,
    looks: str | Sequence[int] | None = None,
    final_seeds: int | None = None,
    space: Sequence[str] = (),
    tune: Sequence[str] = (),
    seed: int = 0,
    schedule: str | Sequence[str] = "none",
    transfer: Literal["none", "1/width", "sqrt"] | None = None,
    speedup: bool = False,
    controls: bool = False,
    engine: Literal["auto", "vectorized", "loop"] = "auto",
    compile: Literal["auto", "on", "off"] = "auto",
    device: str = "cpu",
    precision: Literal["float32", "tf32", "bf16"] = "float32",
    micro_batch: int | None = None,
    workers: int | str | None = None,
    ray_address: str | None = None,
    time_limit: float | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
    quiet: bool = False,
) -> Question:
    """The question that these options ask. UsageError for one of another type."""
    on = TaskOptions(
        task=task, epochs=epochs, margin=margin, train_samples=train_samples,
        width=width, depth=depth, context=context, batch_size=batch_size, label_noise=label_noise,
        target=target, vocabulary=vocabulary, model=model, scale=scale,
    )  # fmt: skip
    how = ProtocolOptions(
        protocol=protocol, trials=trials, replicates=replicates, looks=looks,
        final_seeds=final_seeds, space=space, tune=tune, seed=seed,
        schedule=[schedule] if isinstance(schedule, str) else schedule, transfer=transfer,
        speedup=speedup, controls=controls,
    )  # fmt: skip
    trained_by = EngineOptions(
        engine=engine, compile=compile, device=device, precision=precision, micro_batch=micro_batch
    )
    work = WorkerOptions(workers=workers, ray_address=ray_address, time_limit=time_limit)
    check_workers(work)
    instance(out, (str, Path, type(None)), "out", "a folder's path")
    instance(fresh, bool, "fresh", "True or False")
    instance(quiet, bool, "quiet", "True or False")
    return Question((baseline, *candidates), on, how, trained_by, work, out, fresh, quiet)


def with_options_of(
    asking: Callable[Asked, Question],
) -> Callable[[Callable[[Question], Answer]], Callable[Asked, Answer]]:
    """Makes a function of a question one of the options that ask it, for callers, editors and `help` alike.

    The function's UsageError for an option that there isn't names the nearest.
    """
    signature = inspect.signature(asking, eval_str=True)

    def decorated(answer: Callable[[Question], Answer]) -> Callable[Asked, Answer]:
        @functools.wraps(answer)
        def function(*contenders: Asked.args, **options: Asked.kwargs) -> Answer:
            for name in options:
                if name == "plan_only":
                    raise UsageError("no option is called 'plan_only': assay.plan(…) plans, and trains nothing")
                if name not in signature.parameters:
                    raise UsageError(f"no option is called {name!r}; {nearest(name, list(signature.parameters)[2:])}")
            if not contenders:
                raise UsageError("name a baseline and a candidate: assay.compare('adam', MyOptimizer)")
            return answer(asking(*contenders, **options))

        returned = inspect.signature(answer, eval_str=True).return_annotation
        described: Any = function
        described.__signature__ = signature.replace(return_annotation=returned)
        described.__annotations__ = {**asking.__annotations__, "return": returned}
        del described.__wrapped__
        return function

    return decorated
