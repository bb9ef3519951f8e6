"""A worker process, from the inside: it takes calls one after the other, and answers them, until it is ended.

Whatever the code that it runs does to the process, its driver hears of it: what is printed goes through a pipe of its own,
a child that was forked never answers, and threads that go on keep nobody waiting.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.util
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from assay.errors import AssayError
from assay.workers import now

# Loaded once, in the server that processes are forked from, and not by every process while it works.
PRELOADED = [
    "assay.record",
    "assay.training.validate",
    "assay.training.timing",
    "assay.training.made",
    "assay.engine.train",
    "assay.engine.select.choose",
    "assay.workers.jobs",
]


def serve(calls: Connection, printed: Connection, environment: Mapping[str, str]) -> None:
    """Answer the calls that come, each `(function, arguments)`, with `("done", (fine, value, spent))`.

    Before that, `("doing", what)` as often as what is done changes. Ends when the other side of `calls` is closed.
    """
    os.environ.clear()
    os.environ.update(environment)
    end_with_driver()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to answer
    _print_to(printed)
    me = os.getpid()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=calls.close)
    for name in PRELOADED:  # where there is no such server
        import_module(name)
    import torch

    torch.set_num_threads(1)
    now.tells(lambda what: calls.send(("doing", what)) if os.getpid() == me else None)
    with contextlib.suppress(EOFError, OSError):
        while True:
            answer = _answer(calls.recv_bytes())
            _flush()
            if os.getpid() != me:  # a child that the code forked, and that went on as if it were the worker
                break
            calls.send_bytes(answer)
    if os.getpid() == me:
        with contextlib.suppress(Exception):
            getattr(multiprocessing.util, "_run_finalizers")(0)  # noqa: B009  semaphores would be left, the compiler's too
    os._exit(0)  # not waiting for threads


def _answer(call: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(call)
        answer: tuple[bool, Any] = True, function(*arguments)
    except BaseException as error:
        answer = False, portable(error)
    try:
        return pickle.dumps(("done", (*answer, now.spent())))
    except Exception as error:  # a result that can't be pickled
        return pickle.dumps(("done", (False, portable(error), True)))


def portable(error: BaseException) -> Exception:
    """An error that another process can raise: the same where it can be pickled, else one of the same words."""
    last = "".join(traceback.format_exception_only(error)).strip()
    whole = "".join(traceback.format_exception(error))
    error.__traceback__ = None
    try:
        if isinstance(error, Exception) and pickle.loads(pickle.dumps(error)) is not None:
            if not isinstance(error, AssayError):  # which says all there is to say
                error.add_note(f"in a worker:\n{whole}")
            return error
    except Exception:  # whatever an exception class of others does when it is pickled
        pass
    return RuntimeError(last)


def _print_to(printed: Connection) -> None:
    """Whatever is printed, by Python or by C code, goes to the driver; nothing is read."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    for stream in (1, 2):
        os.dup2(printed.fileno(), stream)
    printed.close()
    how: dict[str, Any] = {"closefd": False, "encoding": "utf-8", "errors": "backslashreplace"}
    sys.stdin = os.fdopen(0, **how)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, **how) for stream in (1, 2))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # whatever stands there now
            stream.flush()
    with contextlib.suppress(Exception):
        ctypes.CDLL(None).fflush(None)  # what C code printed


def end_with_driver() -> None:
    """A worker whose driver is gone has nobody to work for: it ends, with all that it started."""
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
    driver = multiprocessing.parent_process()
    if driver is None:
        return

    def wait() -> None:
        driver.join()
        if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
