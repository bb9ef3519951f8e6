"""Where the faulty optimizers are registered, and with them the checks that must name each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

FAULTS: dict[str, tuple[Callable[..., Any], set[str]]] = {}


def fault(*checks: str):
    """Register a fault and the checks that must name it."""

    def register(thing):
        assert thing.__name__ not in FAULTS
        FAULTS[thing.__name__] = thing, set(checks)
        return thing

    return register
