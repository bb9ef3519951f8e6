"""Worker processes on this machine, one thread each, and each for one contender only."""

from __future__ import annotations

import collections
import contextlib
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from assay.errors import UsageError
from assay.workers.interface import OnPrinted, Result, Watchdog, not_kept
from assay.workers.process import THREAD_VARIABLES, Answer, WorkerProcess
from assay.workers.serve import PRELOADED

FEWEST_FILES = 64  # that a process must be allowed to have open
A_GPU = 4  # processes that keep one busy, each of which takes memory of it


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Waiting(NamedTuple):
    future: Future[Any]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    owner: tuple[bytes, ...]


class LocalWorkers:
    """`Workers` that are processes, started from a server that has torch loaded; by default one a core, or a few a GPU.

    A process serves one owner: it opens the packed code of one set of bytes in its life, that of a task or of a task and a
    contender, so that no contender's code can reach another's numbers. `size` calls run at once; beside their processes,
    twice as many idle ones are kept for owners that may come back (a task, a baseline, a candidate), on a GPU none.
    """

    def __init__(
        self,
        size: int | None = None,
        device: str = "cpu",
        time_limit: float | None = None,
        on_printed: OnPrinted = not_kept,
    ) -> None:
        self.size = size or (cores() if device == "cpu" else min(A_GPU, cores()))
        self.watchdog = Watchdog(time_limit)
        self._on_printed = on_printed
        self._kept = 3 * self.size if device == "cpu" else self.size
        self._context = fork_server()
        self._lock = threading.Lock()
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._idle: list[WorkerProcess] = []  # the latest used last
        self._busy: set[WorkerProcess] = set()
        self._over = False
        self._threads = ThreadPoolExecutor(self.size)  # one listens to each busy process

    def submit(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """See `Workers`. A user's script need not be guarded by `if __name__ == "__main__"`: workers don't run it."""
        future: Future[Any] = Future()
        with self._lock:
            self._waiting.append(_Waiting(future, fn, args, owner_of(args)))
        self._threads.submit(self._serve_one)
        return future

    def submit_here(self, fn: Callable[..., Result], /, *args: Any) -> Future[Result]:
        """See `Workers`: a thread of this process, which nobody waits for where all ends at once."""
        future: Future[Any] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="assay export", daemon=True).start()
        return future

    def end(self, at_once: bool = False) -> None:
        """See `Workers`."""
        if at_once:
            with self._lock:
                self._over = True
                for waiting in self._waiting:
                    waiting.future.cancel()
                for process in self._busy:
                    process.kill()
        self._threads.shutdown(cancel_futures=at_once)
        for process in self._idle:
            process.leave()
        for process in self._idle:
            process.end()
        self._idle.clear()

    def _serve_one(self) -> None:
        """See one of the waiting calls done: the oldest whose owner has an idle process, or the oldest."""
        with self._lock:
            idle = {process.owner for process in self._idle}
            waiting = next((w for w in self._waiting if w.owner in idle), self._waiting[0])
            self._waiting.remove(waiting)
        if not waiting.future.set_running_or_notify_cancel():
            return
        try:
            answer = self._answered(waiting)
        except (EOFError, OSError) as error:  # it, or the server that starts it, died while it began
            answer = Answer(None, BrokenExecutor(str(error)), True, "", "")
        except BaseException as error:  # a call that can't be pickled, say
            waiting.future.set_exception(error)
            return
        if answer.printed:
            self._on_printed(answer.during, answer.printed)
        if answer.error is None:
            waiting.future.set_result(answer.value)
        else:
            waiting.future.set_exception(answer.error)

    def _answered(self, waiting: _Waiting) -> Answer:
        process = self._process_of(waiting.owner)
        spent = True
        try:
            answer = process.ask(waiting.function, waiting.arguments)
            spent = answer.spent
            return answer
        finally:
            with self._lock:
                self._busy.discard(process)
                if not spent:
                    self._idle.append(process)
            if spent:
                process.end()

    def _process_of(self, owner: tuple[bytes, ...]) -> WorkerProcess:
        """An idle process of this owner, or a new one; for which the one that idles longest is ended where there are many."""
        with self._lock:
            own = next((process for process in reversed(self._idle) if process.owner == owner), None)
            if own is not None:
                self._idle.remove(own)
                self._busy.add(own)
                return own
            many = len(self._idle) + len(self._busy) >= self._kept
            longest = self._idle.pop(0) if many and self._idle else None
        if longest is not None:
            longest.end()
        process = WorkerProcess(self._context, owner)
        with self._lock:
            self._busy.add(process)
            if self._over:
                process.kill()
        return process


def owner_of(arguments: tuple[Any, ...]) -> tuple[bytes, ...]:
    """Whose code a call brings: a digest of each packed thing among its arguments. Packed things are the only bytes."""
    packed = [
        part for a in arguments for part in (a if isinstance(a, list | tuple) else [a]) if isinstance(part, bytes)
    ]
    return tuple(hashlib.sha256(part).digest() for part in packed)


def fork_server() -> Any:
    """The context that starts worker processes; the server that it forks them from begins to load, if it hasn't."""
    kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(kind)
    if kind == "spawn":
        return context
    context.set_forkserver_preload(PRELOADED)
    import resource
    from multiprocessing import forkserver

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= allowed < FEWEST_FILES:
        raise UsageError(
            f"a process may open only {allowed} files here, too few for workers: ulimit -n {FEWEST_FILES}, or more"
        )
    with one_thread():
        # born with Ctrl-C blocked, for it loads torch before it ignores it, and with a terminal's end, too
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            forkserver.ensure_running()
        except OSError as error:
            if "AF_UNIX" not in str(error):
                raise
            raise UsageError(
                f"the folder for temporary files has too long a path ({error}): set TMPDIR=/tmp"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


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
