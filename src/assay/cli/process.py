"""A command as a process: what becomes of output that nobody takes, and of signals that end it. One line, no traceback."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, TextIO

from assay.errors import Interrupted
from assay.events.text import PLAINER, tell

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
AGAIN = 5.0  # seconds: a second Ctrl-C within them asks for what is under way already
GRACE = 0.5  # seconds for a thread to end by itself


class Output:
    """A stream that takes everything: what can't be written is let go, and `fault` says why it couldn't."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def write(self, text: str) -> int:
        """As a stream's own."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """As a stream's own."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Not by who is handed it: only `end` does."""

    def end(self) -> None:
        """What comes later, from a user's code as Python ends, is no part of the output."""
        self.flush()
        self._to_nowhere()

    def _give_up(self, error: OSError) -> None:
        self.fault = error
        self._to_nowhere()

    def _to_nowhere(self) -> None:
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())  # what is still in the stream goes there

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Ends:
    """Ctrl-C, and being asked to end or hung up on, are one KeyboardInterrupt, however often and quickly they come.

    `code`: of a command that is over, and whose process is left at once if asked again.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self._last = -AGAIN
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name, None) for name in ENDING):
                # but for those that whoever started it wants ignored (nohup)
                if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._asked)
                    # the last thing that runs: Python, as it ends, lets a signal kill the process, and the code be lost
                    atexit.register(signal.signal, number, signal.SIG_IGN)

    def _asked(self, number: int, _: Any) -> None:
        if time.monotonic() - self._last < AGAIN:
            return
        self._last = time.monotonic()
        if self.code is not None:
            os._exit(self.code)
        raise KeyboardInterrupt("" if number == signal.SIGINT else f"by {signal.Signals(number).name}")


def end_with(command: Callable[[], int]) -> NoReturn:
    """Run a command as the whole of this process, and exit with its code.

    Where standard output is closed by who reads it, the command goes on; where it can't be written, the code is 3.
    """
    out, err = _output("stdout"), _output("stderr")
    sys.stdout, sys.stderr = out, err  # type: ignore[assignment]
    ends, code = Ends(), Interrupted.exit_code
    with contextlib.suppress(KeyboardInterrupt):
        code = command()
        out.flush()
        if out.fault is not None and not isinstance(out.fault, BrokenPipeError):
            tell(f"standard output can't be written ({out.fault.strerror}); make room and run the same command again")
            code = Interrupted.exit_code
        err.flush()
    ends.code = code
    left = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    for thread in left:
        thread.join(GRACE)
    if any(thread.is_alive() for thread in left):  # a user's, from the import of a file: Python would wait for it
        tell("a thread that is not assay's still ran, and was ended")
        out.flush()
        err.flush()
        os._exit(code)
    out.end()
    sys.exit(code)


def _output(name: str) -> Output:
    stream: TextIO | None = getattr(sys, name)
    if stream is None:  # it was closed from the start
        stream = open(os.devnull, "w")  # noqa: SIM115 - to the end of the process
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=PLAINER)  # type: ignore[attr-defined]
    return Output(stream)
