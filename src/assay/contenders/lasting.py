"""What users' code could do in the command's process that nothing puts back afterwards, and so is not done."""

from __future__ import annotations

import atexit
import contextlib
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from assay.contenders.packages import version_of

AT_EXIT = "what runs at exit (atexit)"


@contextlib.contextmanager
def nothing_lasting() -> Iterator[list[str]]:
    """Functions that a user's own code registers for the exit of this process are not; a hard limit on a resource stays.

    Yields a list that names the former, where there were any. What an installed package registers as it is imported is.
    """
    told: list[str] = []
    register = atexit.register

    def registered(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        if _is_installed(sys._getframe(1)):
            return register(function, *args, **kwargs)
        told[:] = [AT_EXIT]
        return function

    atexit.register = registered
    try:
        with _hard_limits_kept():
            yield told
    finally:
        atexit.register = register


@contextlib.contextmanager
def _hard_limits_kept() -> Iterator[None]:
    """Who lowers one can't raise it again: what is asked for is the soft one, which `guard` puts back."""
    try:
        import resource
    except ImportError:  # elsewhere than on POSIX
        yield
        return
    put = resource.setrlimit

    def softly(which: int, limits: tuple[int, int], /) -> None:
        put(which, (limits[0], resource.getrlimit(which)[1]))

    resource.setrlimit = softly  # type: ignore[assignment]
    try:
        yield
    finally:
        resource.setrlimit = put


def _is_installed(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == "assay" or version_of(module, frame.f_code.co_filename) is not None
