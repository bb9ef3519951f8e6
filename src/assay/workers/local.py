"""Worker processes, shaped like `concurrent.futures.Executor`: one process a core, one thread each.

What a worker is asked for is data (bytes and plain structures), so that another executor, on another machine, can stand
in for this one.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any

import cloudpickle
import numpy as np

from assay.core import Contender, Curves, EngineOptions, Member, Numerics, Task
from assay.errors import AssayError, Interrupted, UsageError, own_frames
from assay.workers.watchdog import Patience

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usual(device: str) -> int:
    """Processes where none were asked for: one a core. A GPU is kept busy by a few, each of which takes memory of it."""
    return cores() if device == "cpu" else min(4, cores())


def pack(thing: Task | Contender) -> bytes:
    """A task or a contender as bytes that a worker can open; code from a user's file travels with it."""
    return cloudpickle.dumps(thing)


def train_chunk(packed_task: bytes, packed_contender: bytes, members: Sequence[Member], numerics: Numerics) -> Curves:
    """In a worker: train a chunk of members with the plan's engine.

    Members that the engine refuses on the way (they disagree in a branch, say) train in the loop, and their curves say so.

    Raises:
        UsageError: the contender's or the task's own code raises; the traceback is trimmed to their frames.
        Interrupted: memory or disk ran out.
    """
    task, contender = _open(packed_task), _open(packed_contender)
    reason = ""
    try:
        if numerics.engine == "vectorized":
            from assay.engine.eager import train as vectorized
            from assay.engine.eager.refusal import Hindered, NotVectorizable

            try:
                return vectorized.train(task, contender, members, numerics)
            except Hindered as error:
                raise Interrupted(f"{contender.name}: {error}; run the same command again, it goes on") from error
            except NotVectorizable as error:  # the same members always are, wherever they train
                reason = str(error)
        from assay.training import loop

        return replace(loop.train(task, contender, members, numerics), fallback=(reason,) * len(members))
    except AssayError:
        raise
    except Exception as error:
        if _out_of_memory(error):
            raise Interrupted(
                f"out of memory while {contender.name} trained; take fewer --workers and run the same command again, it goes on"
            ) from None
        raise UsageError(f"{contender.name} fails while it trains: {own_frames(error)}") from None


def _out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(
        words in f"{type(error).__name__} {error}" for words in ("OutOfMemoryError", "can't allocate memory")
    )


def score_chunk(packed_task: bytes, members: Sequence[Member], weights: np.ndarray, numerics: Numerics) -> np.ndarray:
    """In a worker: test scores (n,) of trained members."""
    from assay.training.loop import score_weights

    return score_weights(_open(packed_task), members, weights, numerics)


def settle(
    packed_task: bytes, packed_contender: bytes, wanted: EngineOptions, *numbers: int
) -> tuple[Numerics, float | None]:
    """In a worker: `engines.settle`, whose numbers these are, in its order."""
    from assay.engine.select import select as engines

    found = engines.settle(_open(packed_task), _open(packed_contender), wanted, *numbers)
    return found.numerics, found.step_seconds


def make_data(packed_task: bytes, seed: int) -> str:
    """In a worker: see that a data set is made and kept, and fit to be trained on; its digest."""
    from assay.training.validate import admit

    task = _open(packed_task)
    try:
        splits = task.data(seed)
    except AssayError:
        raise
    except Exception as error:
        raise UsageError(f"the data of task {task.name} can't be made: {own_frames(error)}") from None
    admit(task, splits)
    return splits.digest


def time_step(packed_task: bytes, packed_contender: bytes, member: Member, numerics: Numerics) -> tuple[int, float]:
    """In a worker: `timing.step_seconds`."""
    from assay.training.timing import step_seconds

    return step_seconds(_open(packed_task), _open(packed_contender), member, numerics)


def time_optimizers(
    packed_task: bytes, packed_contenders: Sequence[bytes], members: Sequence[Member], numerics: Numerics
) -> list[float]:
    """In a worker: `timing.optimizer_seconds`."""
    from assay.training.timing import optimizer_seconds

    return optimizer_seconds(_open(packed_task), [_open(c) for c in packed_contenders], members, numerics)


@lru_cache(maxsize=64)
def _open(packed: bytes) -> Any:
    try:
        return cloudpickle.loads(packed)
    except Exception as error:
        raise UsageError(f"code of the task or a contender can't be loaded in a worker: {own_frames(error)}") from None


class InProcess(Executor):
    """Runs what is submitted at once, in this process: for debugging and small tests."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call now; the future is done when this returns."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalWorkers(ProcessPoolExecutor):
    """A process a core, started from a server that has torch loaded, one thread each. `size`: how many there are."""

    patience: Patience | None = None  # with those that hang

    def __init__(self, workers: int) -> None:
        self.size = workers
        kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(kind)
        with _one_thread():
            if kind == "forkserver":
                context.set_forkserver_preload(["assay.training.loop"])
                from multiprocessing import forkserver

                with _without_interrupts():  # it loads torch before it ignores Ctrl-C
                    forkserver.ensure_running()
            super().__init__(workers, mp_context=context, initializer=_initialize)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in Executor. A user's script need not be guarded by `if __name__ == "__main__"`: workers don't run it."""
        try:
            with _without_main(), _one_thread():
                return super().submit(fn, *args, **kwargs)
        except BrokenExecutor as error:  # a worker was lost since the last call: said where the results are read
            return _lost(error)
        except (EOFError, ConnectionError) as error:  # a worker, or the server that starts them, died while it began
            return _lost(BrokenExecutor(f"a worker could not be started: {error}"))

    def beside(self, fn: Any, /, *args: Any) -> Future[Any]:
        """Call what needs the run folder here, beside the work of the others."""
        return self.submit(fn, *args)

    def kill(self) -> None:
        """End the workers now, whatever they are doing."""
        processes = list((self._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _lost(error: BrokenExecutor) -> Future[Any]:
    lost: Future[Any] = Future()
    lost.set_exception(error)
    return lost


@contextlib.contextmanager
def pool(workers: int) -> Iterator[LocalWorkers]:
    """Workers that end with the block: when their work is done, or at once where the block ends by an exception."""
    executor = LocalWorkers(workers)
    try:
        yield executor
    except BaseException:
        executor.kill()
        raise
    executor.shutdown()


def _initialize() -> None:
    import torch

    parent = multiprocessing.parent_process()
    if parent is not None:  # a worker whose command was killed has nobody to work for
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    torch.set_num_threads(1)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """What is started here is born with Ctrl-C blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """While a process starts, hide where `__main__` came from: what it defines travels by value, so it isn't rerun."""
    main = sys.modules["__main__"]
    hidden = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)
