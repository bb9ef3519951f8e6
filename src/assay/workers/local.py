"""Worker processes on this machine, one thread each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from typing import Any

from assay.workers.interface import Result, Watchdog

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
A_GPU = 4  # processes that keep one busy, each of which takes memory of it


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalWorkers:
    """`Workers` that are processes, started from a server that has torch loaded; by default one a core, or a few a GPU."""

    def __init__(self, size: int | None = None, device: str = "cpu", time_limit: float | None = None) -> None:
        self.size = size or (cores() if device == "cpu" else min(A_GPU, cores()))
        self.watchdog = Watchdog(time_limit)
        kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(kind)
        with one_thread():
            if kind == "forkserver":
                context.set_forkserver_preload(["assay.training.loop"])
                from multiprocessing import forkserver

                # born with Ctrl-C blocked, for it loads torch before it ignores it, and with a terminal's end, too
                before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
                try:
                    forkserver.ensure_running()
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
            self._pool = ProcessPoolExecutor(self.size, mp_context=context, initializer=_initialize)

    def submit(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """See `Workers`. A user's script need not be guarded by `if __name__ == "__main__"`: workers don't run it."""
        try:
            with without_main(), one_thread():
                return self._pool.submit(fn, *args)
        except (BrokenExecutor, EOFError, ConnectionError) as error:
            # a worker was lost since the last call, or it or the server that starts it died while it began
            lost: Future[Any] = Future()
            lost.set_exception(BrokenExecutor(str(error)))  # said where the results are read
            return lost

    def submit_here(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """See `Workers`: all of them are on this machine."""
        return self.submit(fn, *args)

    def end(self, at_once: bool = False) -> None:
        """See `Workers`."""
        processes = list((self._pool._processes or {}).values())
        self._pool.shutdown(wait=not at_once, cancel_futures=at_once)
        for process in processes if at_once else ():
            process.kill()


def _initialize() -> None:
    import torch

    parent = multiprocessing.parent_process()
    if parent is not None:  # a worker whose command was killed has nobody to work for
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    torch.set_num_threads(1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """What is started here computes with one thread."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """While a process starts, hide where `__main__` came from: what it defines travels by value, so it isn't rerun."""
    main = sys.modules["__main__"]
    hidden = {name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)
