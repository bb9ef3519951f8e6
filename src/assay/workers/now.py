"""What this process is at, told to whoever started it, so that it can be named when the process is lost."""

from __future__ import annotations

from collections.abc import Callable


def _nobody(what: str) -> None:
    """Where nobody started this process, nobody is told."""


class _State:
    """Of this process: whom it tells what it does, and whether it is fit to do more."""

    tell: Callable[[str], None] = staticmethod(_nobody)
    spent: bool = False


def tells(listener: Callable[[str], None]) -> None:
    """Have `listener` told what this process does."""
    _State.tell = listener


def doing(what: str) -> None:
    """Say what is done from now on, as in "mine trained (tune 0 of replicate 3)"."""
    _State.tell(what)


def spend() -> None:
    """This process was changed by what ran in it: it is not to be used again."""
    _State.spent = True


def spent() -> bool:
    """Whether it is not to be used again."""
    return _State.spent
