"""A process as it is set, noted, and put back."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from assay.contenders.guard.held import Held
from assay.contenders.guard.settings import (
    ENVIRONMENT,
    Filters,
    changed_variables,
    random_states,
    set_random_states,
    settings,
)

NAMED = 5  # changes in a line


class Snapshot:
    """What is set for the whole process at this moment."""

    def __init__(self) -> None:
        self._filters = Filters.now()
        with _silently():
            self._settings = [(setting, setting.get()) for setting in settings()]
            self._held, self._random = Held(), random_states()

    def put_back(self) -> list[str]:
        """Put back what has changed since, as far as it can be; the changes by their names, in an order of their own.

        Global generators are put back without a word: drawing from them is nobody's fault.
        """
        changed = ["warning filters"] if self._filters.changed_for_all() else []
        self._filters.put_back()
        held = self._held.put_back(of_torch=False)  # first: by these the settings are read, and put back
        with _silently():
            for setting, before in self._settings:
                if (now := setting.get()) != before:
                    changed.append(_told(setting.name, before, now))
                    with contextlib.suppress(Exception):  # what can't be put back ends with its process
                        setting.put(before)
            changed += sorted([*held, *self._held.put_back(of_torch=True)])
            set_random_states(self._random)
        return changed


@contextlib.contextmanager
def kept() -> Iterator[list[str]]:
    """What runs in here leaves no trace in the process; yields a list that its changes are named in, afterwards."""
    before, changed = Snapshot(), list[str]()
    try:
        yield changed
    finally:
        changed += before.put_back()


def listed(changes: Sequence[str]) -> str:
    """Changes in a few words."""
    more = len(changes) - NAMED
    return ", ".join(changes[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _told(name: str, before: Any, now: Any) -> str:
    return f"{name} ({listed(changed_variables(before, now))})" if name == ENVIRONMENT else name


@contextlib.contextmanager
def _silently() -> Iterator[None]:
    """Some settings warn where they are read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
