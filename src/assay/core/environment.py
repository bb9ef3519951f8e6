"""The environment variables that assay reads, each in one place."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Variable:
    """One of them: its name, and what it decides."""

    name: str
    decides: str

    @property
    def value(self) -> str:
        """As it is now; "" where it isn't set."""
        return os.environ.get(self.name, "")


CACHE = Variable(
    "ASSAY_CACHE",
    "The folder in which data and compiled steps are kept from run to run, instead of the platform's own for caches "
    "(~/.cache/assay on Linux). It may be emptied at any time.",
)
RAY_ADDRESS = Variable("RAY_ADDRESS", "The Ray cluster of --workers ray, where --ray-address doesn't name one.")
STRICT = Variable(
    "ASSAY_STRICT",
    "For who works on assay: a fault of an engine's own, or of what reads a record, is an error with its traceback, not a "
    "fallback to the loop, or a line.",
)
VARIABLES = (CACHE, RAY_ADDRESS, STRICT)
