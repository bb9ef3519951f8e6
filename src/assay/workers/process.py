"""A worker process, from the outside: started, asked, listened to, ended."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from multiprocessing import connection
from typing import Any, NamedTuple

from assay.contenders.guard import last_lines
from assay.errors import UsageError
from assay.workers.serve import serve

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
KEPT = 64 * 1024  # bytes of what a call prints: the last ones
# what a process's own code ends it with, and will again; anything else came from outside
CRASHES = {
    getattr(signal, f"SIG{name}")
    for name in [
        "SEGV",
        "ABRT",
        "BUS",
        "FPE",
        "ILL",
        "SYS",
        "ALRM",
        "VTALRM",
        "PROF",
        "XCPU",
        "XFSZ",
        "PIPE",
        "USR1",
        "USR2",
        "TRAP",
    ]
    if hasattr(signal, f"SIG{name}")
}
_UNTOLD = 255  # as multiprocessing has it where the server of processes is gone
_starting = threading.Lock()


class Answer(NamedTuple):
    """What a call came to: its value, or what it raised; `printed`, and `during` what, if the call said so."""

    value: Any
    error: Exception | None
    spent: bool  # the process is not to be used again
    printed: str
    during: str


class WorkerProcess:
    """One process. It does one call at a time, and those of one owner only, whose code it has loaded."""

    def __init__(self, context: Any, owner: object) -> None:
        """EOFError or OSError where it can't be started."""
        self.owner = owner
        self._calls, calls = context.Pipe()
        self._printed, printed = context.Pipe(duplex=False)
        with _starting, without_main():
            environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
            self._process = context.Process(target=serve, args=(calls, printed, environment))
            self._process.start()
        calls.close()
        printed.close()

    def ask(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Answer:
        """Call the function there.

        The answer's error is a UsageError where the call's own code ended the process, BrokenExecutor where it was lost.
        """
        said, during = b"", ""
        try:
            self._calls.send_bytes(pickle.dumps((function, arguments)))
            listened: list[Any] = [self._calls, self._printed]
            while True:
                ready = connection.wait(listened)
                if self._printed in ready:
                    said, more = self._heard(said)
                    if not more:
                        listened.remove(self._printed)
                if self._calls in ready:
                    kind, content = self._calls.recv()
                    if kind == "doing":
                        during = content
                        continue
                    fine, value, spent = content
                    printed = _text(self._rest(said))
                    if fine:
                        return Answer(value, None, spent, printed, during)
                    return Answer(None, _with_output(value, printed), spent, printed, during)
        except (EOFError, OSError, pickle.UnpicklingError):
            printed = _text(self._rest(said))
            return Answer(None, _with_output(self._how_it_ended(during), printed), True, printed, during)

    def _heard(self, said: bytes) -> tuple[bytes, bool]:
        """What was printed so far, its last part, and whether there can be more."""
        with contextlib.suppress(OSError):
            if more := os.read(self._printed.fileno(), KEPT):
                return (said + more)[-KEPT:], True
        return said, False

    def _rest(self, said: bytes) -> bytes:
        for _ in range(16):  # more than a pipe holds: somebody goes on printing
            if not connection.wait([self._printed], 0):
                break
            said, more = self._heard(said)
            if not more:
                break
        return said

    def _how_it_ended(self, during: str) -> Exception:
        self._joined(5)
        code = self._process.exitcode
        while_ = f" while {during}" if during else ""
        if code is not None and -code in CRASHES:
            how = f"its process crashed with {signal.Signals(-code).name}"
        elif code is not None and 0 <= code != _UNTOLD:
            how = f"its code ended its process (exit code {code})"
        else:
            return BrokenExecutor(f"a worker process was lost{while_}")
        return UsageError(f"{how}{while_}: it would again, so mend that code; what is finished is kept")

    def end(self) -> None:
        """End it and all that it started. It has a moment to end by itself."""
        self._calls.close()
        self._joined(2)
        self.kill()
        self._joined()
        self._process.close()
        self._printed.close()

    def _joined(self, seconds: float | None = None) -> None:
        """Wait for its end. Whoever starts a process reads the exit codes of all others, so nobody starts one meanwhile."""
        if connection.wait([self._process.sentinel], seconds):
            with _starting:
                self._process.join()

    def leave(self) -> None:
        """Let it go: it ends by itself, `end` sees that it has."""
        self._calls.close()

    def kill(self) -> None:
        """End it, and all that it started, at once; who waits for its answer gets BrokenExecutor."""
        pid = self._process.pid
        with contextlib.suppress(OSError, AttributeError):
            os.killpg(pid, signal.SIGKILL)  # the group that it has made for itself
        self._process.kill()


def _text(printed: bytes) -> str:
    return printed.decode("utf-8", errors="replace")


def _with_output(error: Exception, printed: str) -> Exception:
    """A fault of the user's code, with the last lines that it printed."""
    if isinstance(error, UsageError) and printed:
        return type(error)(f"{error}{last_lines(printed)}")
    return error


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
